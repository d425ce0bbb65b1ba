"""The classifier: conversations in, verdicts out, through one engine that all callers share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self

import torch

from guardrail.classifiers.base import Classifier
from guardrail.classifiers.kosafeguard.encode import Encoded, Encoder, Head
from guardrail.classifiers.kosafeguard.engine import Engine, Reading, Stats
from guardrail.classifiers.kosafeguard.load import (
    MODEL,
    Loaded,
    Quantization,
    context_of,
    load,
    refuse_unpackable,
)
from guardrail.classifiers.kosafeguard.reader import Reader
from guardrail.classifiers.kosafeguard.windows import in_windows
from guardrail.errors import ClassifierProtocolError, ClassifierUnavailable
from guardrail.prompt import render
from guardrail.taxonomy import KOSAFEGUARD, Taxonomy
from guardrail.types import Category, Conversation, Role, Verdict, exchange, question

__all__ = ["KoSafeGuard", "Render"]

_PROBES = (("a", "b"), ("가", "나"), ("1", "2"))  # texts that have nothing in common
_BATCH_TOKENS = {"cuda": 8192}  # past this a forward only grows longer, not faster per token
_BATCH_TOKENS_ELSEWHERE = 1024


class Render(Protocol):
    """Writes the prompt that asks whether a conversation's last turn is unsafe."""

    def __call__(self, conversation: Conversation, *, taxonomy: Taxonomy) -> str: ...


class KoSafeGuard(Classifier):
    """Judges replies with KoSafeGuard-8B, or another model that answers one of two labels.

    The score is the softmax over the two labels' logits after one forward pass. What the model
    has read before is not read again, and what waits together is read together.

    Args:
        model: name on the Hugging Face hub, path of a local folder, or `Loaded`.
        revision: on the hub; KoSafeGuard has one per quarter epoch.
        quantization: "4bit" as on the model's card, "8bit", or None for the weights as stored.
        device: such as "cuda:1" or "cpu"; the first GPU if there is one.
        dtype: of weights that are not quantised, and of computing; "auto" is the stored one.
        cache_tokens: tokens whose keys and values are kept; for an 8B Llama 3 each takes 128 KiB.
        max_batch_tokens: new tokens read in one go; 8192 on a GPU, 1024 elsewhere.
        context_tokens: the longest prompt; the model's own limit. Longer conversations are judged
            in overlapping windows, and the worst counts.
        threshold: the score from which on a reply is unsafe.
        min_label_mass: probability that both labels must have together.
        taxonomy: the policy that the prompt states.
        labels: how the model answers safe and unsafe; one token each.
        render: writes the prompt.
        cuda_graphs: replay small batches as one launch; False saves some GPU memory.

    Raises:
        ClassifierUnavailable: the model cannot be loaded or run; the message says what to do.
        MissingExtraError: a library is not installed.
    """

    def __init__(
        self,
        model: str | Path | Loaded = MODEL,
        *,
        revision: str | None = None,
        quantization: Quantization | None = "4bit",
        device: str | None = None,
        dtype: str | torch.dtype = "auto",
        cache_tokens: int = 16384,
        max_batch_tokens: int | None = None,
        context_tokens: int | None = None,
        threshold: float = 0.5,
        min_label_mass: float = 0.5,
        taxonomy: Taxonomy = KOSAFEGUARD,
        labels: tuple[str, str] = ("safe", "unsafe"),
        render: Render = render,
        cuda_graphs: bool = True,
    ) -> None:
        if not isinstance(model, Loaded):
            model = load(
                model, revision=revision, quantization=quantization, device=device, dtype=dtype
            )
        refuse_unpackable(model.model)
        self._encoder = Encoder(model.tokenizer)
        self._threshold = threshold
        self._min_label_mass = min_label_mass
        self._taxonomy = taxonomy
        self._render = render
        self._heads: dict[tuple[Taxonomy, bool], Head] = {}
        self._context_tokens = min(
            context_tokens or context_of(model.model), context_of(model.model)
        )
        reader = Reader(model.model, graphs=cuda_graphs)
        self.how = reader.how
        """In words, which of its fast ways this device takes."""
        device_type = model.model.device.type
        self.engine = Engine(
            reader,
            labels=_label_ids(self._encoder, labels),
            cache_tokens=cache_tokens,
            max_batch_tokens=max_batch_tokens
            or _BATCH_TOKENS.get(device_type, _BATCH_TOKENS_ELSEWHERE),
        )

    @classmethod
    def from_loaded(cls, model: Any, tokenizer: Any, **settings: Any) -> Self:
        """Return a classifier of a model that is loaded already, on one device.

        The model is the classifier's from then on: its attention is replaced.

        Args:
            model: a causal language model of transformers.
            tokenizer: its fast tokenizer, with a chat template.
            settings: the constructor's, but for those of loading.
        """
        return cls(Loaded(model, tokenizer), **settings)

    @property
    def stats(self) -> Stats:
        """What the engine has done so far."""
        return self.engine.stats

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation, in the same order.

        Raises:
            ClassifierProtocolError: the model answers something else than a label.
            ClassifierUnavailable: it is closed, out of memory, or its device lost.
        """
        prompts = [self.prompts(conversation) for conversation in conversations]
        readings = _wait(self.engine.submit(_flat(prompts)))
        return self._verdicts(_regrouped(readings, prompts))

    async def aclassify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return what `classify_many` returns; cancelling takes back what still waits."""
        prompts = [self.prompts(conversation) for conversation in conversations]
        readings = await _await(self.engine.submit(_flat(prompts)))
        return self._verdicts(_regrouped(readings, prompts))

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Return each category's score under a policy of that category alone.

        The model was not trained on such prompts: use these to choose a refusal, not to judge.
        """
        prompts = self._category_prompts(conversations)
        readings = _wait(self.engine.submit(_flat(prompts)))
        return self._categories(_regrouped(readings, prompts))

    async def acategorise(
        self, conversations: Sequence[Conversation]
    ) -> list[Mapping[Category, float]]:
        """Return what `categorise` returns; cancelling takes back what still waits."""
        prompts = self._category_prompts(conversations)
        readings = await _await(self.engine.submit(_flat(prompts)))
        return self._categories(_regrouped(readings, prompts))

    def close(self) -> None:
        """Give the model's memory back; what waits, and calls after this, fail."""
        self.engine.close()

    def prompts(
        self, conversation: Conversation, taxonomy: Taxonomy | None = None
    ) -> list[Encoded]:
        """Return what the model reads for a conversation: one prompt, or one per window."""
        taxonomy = taxonomy or self._taxonomy
        replied = bool(conversation) and conversation[-1].role is Role.ASSISTANT
        head = self._head(taxonomy, replied=replied)
        return in_windows(
            conversation,
            encode=lambda part: self._encoder.encode(self._render(part, taxonomy=taxonomy), head),
            starts=self._encoder.starts,
            limit=self._context_tokens,
        )

    def _category_prompts(self, conversations: Iterable[Conversation]) -> list[list[Encoded]]:
        return [
            self.prompts(conversation, alone)
            for conversation in conversations
            for alone in self._taxonomy.split()
        ]

    def _head(self, taxonomy: Taxonomy, *, replied: bool) -> Head:
        key = (taxonomy, replied)
        if key not in self._heads:
            probes = [exchange(*texts) if replied else question(texts[0]) for texts in _PROBES]
            prompts = [self._render(probe, taxonomy=taxonomy) for probe in probes]
            self._heads[key] = self._encoder.head(prompts)
        return self._heads[key]

    def _verdicts(self, readings: Iterable[Sequence[Reading]]) -> list[Verdict]:
        scores = map(self._worst, readings)
        return [Verdict(score >= self._threshold, score, classifier=self.name) for score in scores]

    def _categories(self, readings: Iterable[Sequence[Reading]]) -> list[Mapping[Category, float]]:
        clauses = self._taxonomy.clauses
        scores = map(self._worst, readings)
        found: list[Mapping[Category, float]] = []
        while chunk := list(islice(scores, len(clauses))):
            categories: dict[Category, float] = {}
            for clause, score in zip(clauses, chunk, strict=True):
                categories[clause.category] = max(score, categories.get(clause.category, 0.0))
            found.append(categories)
        return found

    def _worst(self, readings: Sequence[Reading]) -> float:
        """Return the highest score of a conversation's windows."""
        for reading in readings:
            if not reading.mass >= self._min_label_mass:  # also when it is no number
                raise ClassifierProtocolError(
                    f"the model puts {reading.mass:.2g} of its probability on its labels, and "
                    f"{self._min_label_mass:.2g} are asked for; is it the model that the prompt "
                    "and the labels belong to?"
                )
        return max(reading.score for reading in readings)


def _label_ids(encoder: Encoder, labels: tuple[str, str]) -> tuple[int, int]:
    safe, unsafe = (encoder.label(label) for label in labels)
    if safe == unsafe:
        raise ClassifierUnavailable(
            f"the labels {labels[0]!r} and {labels[1]!r} are the same token of this model"
        )
    return safe, unsafe


def _flat(prompts: Iterable[Sequence[Encoded]]) -> list[Encoded]:
    return [prompt for windows in prompts for prompt in windows]


def _regrouped(
    readings: Iterable[Reading], prompts: Iterable[Sequence[Encoded]]
) -> list[list[Reading]]:
    """Return the readings as the prompts were grouped."""
    left = iter(readings)
    return [list(islice(left, len(windows))) for windows in prompts]


def _wait(futures: Sequence[Future[Reading]]) -> list[Reading]:
    try:
        return [future.result() for future in futures]
    except BaseException:
        _cancel(futures)
        raise


async def _await(futures: Sequence[Future[Reading]]) -> list[Reading]:
    try:
        return await asyncio.gather(*map(asyncio.wrap_future, futures))
    except BaseException:
        _cancel(futures)
        raise


def _cancel(futures: Iterable[Future[Reading]]) -> None:
    for future in futures:
        future.cancel()
