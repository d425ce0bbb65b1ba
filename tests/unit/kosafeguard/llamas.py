"""Tiny Llamas for tests, and the model card's recipe as the reference."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch

from guardrail.bench.models import SIZES, Size, random_llama, tokenizer_like_llama3
from guardrail.bench.recipe import Recipe
from guardrail.classifiers import KoSafeGuard
from guardrail.types import Conversation

TINY = SIZES["tiny"]

SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)


def lively_llama(size: Size = TINY, *, context: int = 8192, seed: int = 0) -> Any:
    """Return a tiny Llama whose answer depends on every token it reads."""
    model = random_llama(size, context=context, seed=seed)
    torch.manual_seed(seed)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2)
    return model


@dataclass
class Pair:
    """A classifier, and the recipe on a copy of its model."""

    guard: KoSafeGuard
    recipe: Recipe

    def expected(self, *conversations: Conversation) -> list[float]:
        """Return what the recipe scores, each conversation alone."""
        return self.recipe.one_by_one(conversations)


def pair(model: Any = None, **settings: Any) -> Pair:
    """Return a classifier and its reference."""
    model = lively_llama() if model is None else model
    tokenizer = tokenizer_like_llama3()
    reference = copy.deepcopy(model)
    guard = KoSafeGuard.from_loaded(model, tokenizer, **{"min_label_mass": 0.0, **settings})
    return Pair(guard, Recipe(reference, tokenizer, guard.engine.labels))
