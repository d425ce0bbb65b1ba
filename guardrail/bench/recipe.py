"""What the engine is measured against: the model card's recipe, and a bare forward.

The recipe, on the same weights: the chat template over the whole prompt, then `generate` of one
token, greedily. The bare forward computes the new tokens alone after a head that is cached: no
engine around a transformers model can do with less.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from guardrail.prompt import render
from guardrail.types import Conversation

__all__ = ["BareForward", "Recipe", "plain_attention", "untouched"]


def untouched(model: Any) -> Any:
    """Return the model with its weights as they were loaded, before an engine takes it over.

    On a CPU an engine rearranges them, so this is a copy; elsewhere it is the model itself.
    """
    return copy.deepcopy(model) if model.device.type == "cpu" else model


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Lend the model transformers' own attention; no engine may run meanwhile."""
    packed = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(packed)


class Recipe:
    """Scores conversations as the model's card does.

    Args:
        model: with transformers' own attention; see `plain_attention`.
        tokenizer: the model's.
        labels: token ids of safe and unsafe.
    """

    def __init__(self, model: Any, tokenizer: Any, labels: Sequence[int]) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._labels = list(labels)

    def one_by_one(self, conversations: Sequence[Conversation]) -> list[float]:
        """Return the scores, each prompt generated from alone."""
        return [score for each in conversations for score in self.padded([each])]

    def padded(self, conversations: Sequence[Conversation]) -> list[float]:
        """Return the scores, all prompts generated from as one padded batch."""
        encoded = self._tokenizer.apply_chat_template(
            [[{"role": "user", "content": render(each)}] for each in conversations],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
            tokenizer_kwargs={"padding_side": "left"},
        ).to(self._model.device)
        with torch.inference_mode():
            generated = self._model.generate(
                **encoded,
                max_new_tokens=1,
                do_sample=False,
                return_dict_in_generate=True,
                output_logits=True,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        return _scores(generated.logits[0], self._labels)


class BareForward:
    """One forward of the model over what follows a head, and nothing else.

    Args:
        model: with transformers' own attention; see `plain_attention`.
        head: token ids to cache.
    """

    def __init__(self, model: Any, head: Sequence[int]) -> None:
        self._model = model
        self._cache = DynamicCache(config=model.config)
        self._forward(head)

    def __call__(self, rest: Sequence[int]) -> Tensor:
        """Return the logits (1, vocabulary) after head and `rest`."""
        logits = self._forward(rest)
        self._cache.crop(-len(rest))
        return logits

    @torch.inference_mode()
    def _forward(self, ids: Sequence[int]) -> Tensor:
        tokens = torch.tensor([list(ids)], device=self._model.device)
        # The cache by its place: transformers 5.24 renamed it.
        out = self._model(tokens, None, None, self._cache, logits_to_keep=1)
        logits: Tensor = out.logits[:, -1]
        return logits


def _scores(logits: Tensor, labels: Sequence[int]) -> list[float]:
    """Return the softmax's share of the second label, for logits (B, vocabulary)."""
    unsafe: list[float] = logits.float()[:, list(labels)].softmax(-1)[:, 1].tolist()
    return unsafe
