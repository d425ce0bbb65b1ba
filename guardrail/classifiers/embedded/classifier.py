"""The embedded classifier: numpy, four megabytes of weights, under a millisecond."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from guardrail.classifiers.base import Classifier
from guardrail.classifiers.embedded.network import WEIGHTS, Asked, Floats, Network
from guardrail.classifiers.embedded.normalise import readable, unmasked
from guardrail.classifiers.embedded.windows import windows
from guardrail.errors import ConfigError
from guardrail.settings import probability
from guardrail.types import Category, Conversation, Verdict, last_exchange

__all__ = ["Embedded", "Exchange"]

_READABLE = 0.8  # when more than a fifth of a text was disguise, the rest says nothing by itself
_AT_ONCE = 1500  # characters in all: two or three milliseconds
_BATCH, _LONG = 64, 50_000  # exchanges, or characters, that are judged in one go

Exchange: TypeAlias = tuple[str, str | None]


class Embedded(Classifier):
    """Judges replies in the light of the question, Korean first, with nothing but numpy.

    A conversation that ends in the user's turn is judged by that text alone, which is weaker: much
    of what is asked is harmless or not by its answer. Only the last exchange is read. Long texts
    are judged in overlapping windows, and the worst counts.

    Args:
        threshold: score from which a turn is unsafe, 0 to 1; by default the one stored with the
            weights, which the model card explains.
        weights: a file of weights other than the package's own.

    Raises:
        ConfigError: the threshold is not a number from 0 to 1, or there are no such weights.
    """

    def __init__(self, threshold: float | None = None, *, weights: str | Path = WEIGHTS) -> None:
        if not Path(weights).is_file():
            raise ConfigError(f"weights must be a file, and there is none at {str(weights)!r}")
        self._threshold = None if threshold is None else probability("threshold", threshold)
        self._weights = Path(weights)
        self._loading = Lock()
        self._loaded: Network | None = None

    @property
    def name(self) -> str:
        """How records and verdicts call this classifier."""
        return "embedded"

    @property
    def threshold(self) -> float:
        """Score from which a turn is unsafe."""
        return float(self._network().threshold) if self._threshold is None else self._threshold

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation, in the same order.

        Raises:
            ClassifierUnavailable: the weights cannot be read.
        """
        exchanges = [last_exchange(conversation) for conversation in conversations]
        return [verdict for few in _batches(exchanges) for verdict in self._judged(few)]

    def answers_at_once(self, conversations: Sequence[Conversation]) -> bool:
        """Whether the weights are loaded and the texts take two or three milliseconds at most."""
        exchanges = map(last_exchange, conversations)
        size = sum(len(user) + len(reply or "") for user, reply in exchanges)
        return size <= _AT_ONCE and self._loaded is not None

    @property
    def scales_by_process(self) -> bool:
        """Always: it is numpy on one core."""
        return True

    def _judged(self, exchanges: Sequence[Exchange]) -> Iterator[Verdict]:
        network, threshold, name = self._network(), self.threshold, self.name
        logits = _worst(network, exchanges)
        scores = _sigmoid(logits[:, 0])
        shares = np.exp(logits[:, 1:] - logits[:, 1:].max(axis=1, keepdims=True))
        shares *= scores[:, None] / shares.sum(axis=1, keepdims=True)
        for score, values in zip(scores.tolist(), shares.tolist(), strict=True):
            categories = dict(zip(Category, values, strict=True))
            yield Verdict(score >= threshold, score, categories, name)

    def _network(self) -> Network:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = Network.load(self._weights)
        return self._loaded


def _batches(exchanges: Iterable[Exchange]) -> Iterator[list[Exchange]]:
    """Yield the exchanges, as many at a time as make the most of one go and little of memory."""
    batch: list[Exchange] = []
    size = 0
    for user, reply in exchanges:
        batch.append((user, reply))
        size += len(user) + len(reply or "")
        if len(batch) >= _BATCH or size >= _LONG:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _worst(network: Network, exchanges: Sequence[Exchange]) -> Floats:
    """Return (B, 7): the logits of each exchange's worst window.

    Each window of the reply is read after the last window of what the user said, and the worst of
    them after every other: time grows with the length of both, not with their product.
    """
    asked = [_views(user) for user, _ in exchanges]
    said = [None if reply is None else _views(reply) for _, reply in exchanges]
    texts = list(dict.fromkeys(chain(*asked, *filter(None, said))))
    read = dict(zip(texts, network.read_many(texts), strict=True))
    first = [
        [(read[view], read[view], True) for view in users]
        if replies is None
        else [(read[users[-1]], read[view], False) for view in replies]
        for users, replies in zip(asked, said, strict=True)
    ]
    logits, places = _worst_of(network, first)
    earlier = {
        place: [(read[view], first[place][places[place]][1], False) for view in users[:-1]]
        for place, users in enumerate(asked)
        if said[place] is not None and len(users) > 1
    }
    if earlier:
        others, _ = _worst_of(network, list(earlier.values()))
        for place, other in zip(earlier, others, strict=True):
            logits[place] = max(logits[place], other, key=_unsafe)
    return logits


def _worst_of(network: Network, asked: Sequence[Sequence[Asked]]) -> tuple[Floats, list[int]]:
    """Return the logits of the worst of each group, and which it was."""
    logits = network.logits_many([one for group in asked for one in group])
    ends = list(accumulate(map(len, asked)))
    worst = [
        int(logits[end - len(group) : end, 0].argmax())
        for group, end in zip(asked, ends, strict=True)
    ]
    rows = [end - len(group) + place for group, end, place in zip(asked, ends, worst, strict=True)]
    return logits[rows], worst


def _views(text: str) -> list[str]:
    """Return the text's windows: first with its disguises undone, if it has any, then as it is."""
    plain = readable(text)
    bare = unmasked(plain)
    if len(bare) < _READABLE * len(plain):
        forms: tuple[str, ...] = (bare,)
    else:
        forms = (plain,) if bare == plain else (bare, plain)
    return [window for form in forms for window in windows(form)]


def _unsafe(logits: Floats) -> float:
    return float(logits[0])


def _sigmoid(logits: Floats) -> npt.NDArray[np.float64]:
    scores: npt.NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits, -30, 30, dtype=np.float64)))
    return scores
