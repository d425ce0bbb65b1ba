"""Packed forwards against plain ones, whatever is packed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.bench.models import SIZES
from guardrail.classifiers.kosafeguard import attention
from guardrail.classifiers.kosafeguard.forward import Segment, plan
from guardrail.classifiers.kosafeguard.reader import Reader
from tests.unit.kosafeguard.llamas import lively_llama

PLAIN = lively_llama()
READER = Reader(copy.deepcopy(PLAIN))
HEADS: list[list[int]] = [[], [5, 6, 7], [8] * 11]

tokens = st.lists(st.integers(0, 999), max_size=9)
prompts = st.lists(
    st.tuples(st.sampled_from(HEADS), tokens, tokens.filter(bool)), min_size=1, max_size=5
)


def plain_logits(ids: list[int], model: Any = PLAIN) -> torch.Tensor:
    """Return the logits after a prompt, by the model alone."""
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([ids])).logits[0, -1]
    return logits


def read(reader: Reader, prompts: list[tuple[list[int], list[int], list[int]]]) -> torch.Tensor:
    """Return the logits after prompts of a head, a cached rest and new tokens."""
    with torch.inference_mode():
        heads = {
            id(head): reader([Segment(head)]).own[0].clone() if head else None for head in HEADS
        }
        segments = []
        for head, rest, new in prompts:
            cached = heads[id(head)]
            kept = reader([Segment(rest, head=cached)]).own[0].clone() if rest else None
            segments.append(Segment(new, head=cached, rest=kept))
        return reader(segments).logits.clone()


@settings(max_examples=60)
@given(prompts)
def test_packed_equals_plain(prompts: list[tuple[list[int], list[int], list[int]]]) -> None:
    """Whatever heads, cached rests and lengths are packed, each reads its own prompt alone."""
    packed = read(READER, prompts)
    plain = torch.stack([plain_logits(head + rest + new) for head, rest, new in prompts])

    torch.testing.assert_close(packed, plain, atol=1e-3, rtol=1e-3)


def test_other_devices_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no kernel gives log-sum-exps, plain arithmetic gives the same."""
    given = [(HEADS[1], [1, 2], [3, 4, 5]), (HEADS[1], [], [6, 7]), (HEADS[0], [], [9])]
    kernel = read(READER, given)

    def plain(query: Any, keys: Any, values: Any, scale: float, **how: Any) -> Any:
        keys, values = (
            each.transpose(0, 1).expand(len(query), -1, -1, -1) for each in (keys, values)
        )
        return attention._partial_plain(
            query, keys, values, scale, causal=how.get("causal", False), mask=how.get("mask")
        )

    monkeypatch.setattr(attention, "_partial", plain)
    torch.testing.assert_close(read(READER, given), kernel, atol=1e-3, rtol=1e-3)


def test_half_precision() -> None:
    """In bfloat16 the packed forward stays within the dtype's rounding of the plain one."""
    model = copy.deepcopy(PLAIN).bfloat16()
    packed = read(Reader(copy.deepcopy(model)), [(HEADS[2], [1, 2, 3], [4, 5])])
    plain = plain_logits([*HEADS[2], 1, 2, 3, 4, 5], model)

    assert (packed[0] - plain).abs().max() < 0.05 * plain.abs().max()


def test_one_layer() -> None:
    """In a model whose first layer is its last, too, each prompt is read alone."""
    model = lively_llama(replace(SIZES["tiny"], layers=1))
    given = [(HEADS[1], [1, 2], [3, 4, 5]), (HEADS[1], [], [6, 7]), (HEADS[0], [], [9])]
    plain = torch.stack([plain_logits(head + rest + new, model) for head, rest, new in given])

    torch.testing.assert_close(
        read(Reader(copy.deepcopy(model)), given), plain, atol=1e-3, rtol=1e-3
    )


def test_the_layout() -> None:
    """New tokens follow each other, positions go on from each prompt's own cache."""
    rest = torch.zeros(1, 2, 2, 1, 1)
    head = torch.zeros(1, 2, 10, 1, 1)
    layout = plan([Segment([7, 8, 9], head=head, rest=rest), Segment([4], head=head), Segment([5])])

    assert layout.ids == [7, 8, 9, 4, 5]
    assert layout.positions == [12, 13, 14, 10, 0]
    assert layout.slots == [2, 3, 4, 5, 6]
    assert [(group.start, group.stop) for group in layout.groups] == [(0, 4), (4, 5)]
    assert layout.last == [2, 3, 4]
