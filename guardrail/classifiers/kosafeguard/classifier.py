"""The classifier: conversations in, verdicts out, through one engine that all callers share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import torch

from guardrail.classifiers.kosafeguard.encode import Encoded, Encoder
from guardrail.classifiers.kosafeguard.engine import Engine, Stats
from guardrail.classifiers.kosafeguard.load import (
    MODEL,
    Loaded,
    Quantization,
    context_of,
    load,
    refuse_unpackable,
)
from guardrail.classifiers.kosafeguard.prompts import Prompts, label_ids
from guardrail.classifiers.kosafeguard.reader import Reader
from guardrail.classifiers.kosafeguard.trial import Trial
from guardrail.classifiers.labelled import Labelled, Reading, Render
from guardrail.deadline import seconds_left
from guardrail.errors import ClassifierTimeout
from guardrail.prompt import render
from guardrail.settings import at_least
from guardrail.taxonomy import KOSAFEGUARD, Taxonomy
from guardrail.types import Conversation

__all__ = ["KoSafeGuard"]

_BATCH_TOKENS = {"cuda": 8192}  # past this a forward only grows longer, not faster per token
_BATCH_TOKENS_ELSEWHERE = 1024


class KoSafeGuard(Labelled[Encoded]):
    """Judges replies with KoSafeGuard-8B, or another model that answers one of two labels.

    The score is the softmax over the two labels' logits after one forward pass. What the model
    has read before is not read again, and what waits together is read together.

    Args:
        model: name on the Hugging Face hub, path of a local folder, or `Loaded`.
        revision: on the hub, where KoSafeGuard has one per quarter epoch; of a folder, the name of
            one in it, such as "checkpoint-500".
        quantization: "4bit" as on the model's card, "8bit", or None or "none" for the weights as
            stored.
        device: such as "cuda:1" or "cpu"; the first GPU if there is one.
        dtype: of weights that are not quantised, and of computing; "auto" is the stored one.
        cache_tokens: tokens whose keys and values are kept, and beside them those of the policy;
            for an 8B Llama 3 each takes 128 KiB.
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
        ConfigError: an argument is wrong.
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
        super().__init__(
            taxonomy=taxonomy, threshold=threshold, min_label_mass=min_label_mass, labels=labels
        )
        at_least(0, "cache_tokens", cache_tokens)
        for name, tokens in ("max_batch", max_batch_tokens), ("context", context_tokens):
            if tokens is not None:
                at_least(1, f"{name}_tokens", tokens)
        if not isinstance(model, Loaded):
            model = load(
                model, revision=revision, quantization=quantization, device=device, dtype=dtype
            )
        refuse_unpackable(model.model)
        encoder = Encoder(model.tokenizer)
        context = context_of(model.model)
        self._prompts = Prompts(encoder, render, limit=min(context_tokens or context, context))
        self._prompts.head(taxonomy, replied=True)  # does the tokenizer encode this prompt?
        trial = Trial(model.model, encoder)
        reader = Reader(model.model, graphs=cuda_graphs)
        trial.check(reader)
        self.how = reader.how
        """In words, which of its fast ways this device takes."""
        device_type = model.model.device.type
        self.engine = Engine(
            reader,
            labels=label_ids(encoder, self._labels),
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

    def close(self) -> None:
        """Give the model's memory back; what waits, and calls after this, fail."""
        self.engine.close()

    def prompts(
        self, conversation: Conversation, taxonomy: Taxonomy | None = None
    ) -> list[Encoded]:
        """Return what the model reads for a conversation: one prompt, or one per window."""
        return self._prompts(conversation, taxonomy or self._taxonomy)

    def _read(self, prompts: Sequence[Encoded]) -> list[Reading]:
        if seconds_left() == 0.0:
            raise ClassifierTimeout("the time was up before the model was asked")
        return _wait(self.engine.submit(prompts))

    async def _aread(self, write: Callable[[], Awaitable[Sequence[Encoded]]]) -> list[Reading]:
        return await _await(self.engine.submit(await write()))


def _wait(futures: Sequence[Future[Reading]]) -> list[Reading]:
    """Return the readings, or take back what still waits when nobody wants them any more."""
    try:
        return [future.result(seconds_left()) for future in futures]
    except TimeoutError as error:
        raise ClassifierTimeout("the model did not answer in time") from error
    finally:
        _cancel(futures)


async def _await(futures: Sequence[Future[Reading]]) -> list[Reading]:
    try:
        return await asyncio.gather(*map(asyncio.wrap_future, futures))
    finally:
        _cancel(futures)


def _cancel(futures: Iterable[Future[Reading]]) -> None:
    for future in futures:
        future.cancel()  # which does nothing to one that is done
