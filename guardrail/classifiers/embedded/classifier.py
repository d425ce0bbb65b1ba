"""The embedded classifier: numpy, four megabytes of weights, under a millisecond."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from guardrail.classifiers.base import Classifier
from guardrail.classifiers.embedded.network import WEIGHTS, Floats, Network
from guardrail.classifiers.embedded.normalise import readable, unmasked
from guardrail.classifiers.embedded.windows import windows
from guardrail.errors import ConfigError
from guardrail.types import Category, Conversation, Verdict, last_exchange

__all__ = ["Embedded"]

_READABLE = 0.8  # when more than a fifth of a text was disguise, the rest says nothing by itself
_AT_ONCE = 1500  # characters in all: two or three milliseconds


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
        ConfigError: the threshold is not from 0 to 1.
    """

    def __init__(self, threshold: float | None = None, *, weights: Path = WEIGHTS) -> None:
        if threshold is not None and not 0.0 <= threshold <= 1.0:
            raise ConfigError(f"threshold must be from 0 to 1, not {threshold!r}")
        self._threshold = threshold
        self._weights = weights
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
        return [self._judged(*last_exchange(conversation)) for conversation in conversations]

    def answers_at_once(self, conversations: Sequence[Conversation]) -> bool:
        """Whether the weights are loaded and the texts take two or three milliseconds at most."""
        exchanges = map(last_exchange, conversations)
        size = sum(len(user) + len(reply or "") for user, reply in exchanges)
        return size <= _AT_ONCE and self._loaded is not None

    def _judged(self, user: str, reply: str | None) -> Verdict:
        logits = _worst(self._network(), user, reply)
        score = _sigmoid(float(logits[0]))
        shares = np.exp(logits[1:] - logits[1:].max())
        shares *= score / shares.sum()
        categories = dict(zip(Category, map(float, shares), strict=True))
        return Verdict(score >= self.threshold, score, categories, self.name)

    def _network(self) -> Network:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = Network.load(self._weights)
        return self._loaded


def _worst(network: Network, user: str, reply: str | None) -> Floats:
    """Return the logits of the worst window.

    Each window of the reply is read after the last window of what the user said, and the worst of
    them after every other: time grows with the length of both, not with their product.
    """
    if reply is None:
        texts = (network.read(view) for view in _views(user))
        return max((network.logits(text, text, alone=True) for text in texts), key=_unsafe)
    *earlier, latest = _views(user)
    question = network.read(latest)
    replies = map(network.read, _views(reply))
    judged = ((network.logits(question, said, alone=False), said) for said in replies)
    worst, said = max(judged, key=lambda pair: _unsafe(pair[0]))
    others = (network.logits(network.read(view), said, alone=False) for view in earlier)
    return max((worst, *others), key=_unsafe)


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


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))
