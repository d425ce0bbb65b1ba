"""The paths that only a GPU takes, with its kernel and its graphs played by plain torch.

What they compute is held here; that CUDA computes it too is for a machine that has it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from guardrail.classifiers.kosafeguard import graphs
from guardrail.classifiers.kosafeguard.forward import Forwarded, Segment, forward, prepare
from guardrail.classifiers.kosafeguard.graphs import Graphs, can_be_captured
from tests.unit.kosafeguard.llamas import lively_llama

PREPARED = prepare(copy.deepcopy(lively_llama()))
HEAD = [5, 6, 7, 8]


def flash(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    query_ends: Tensor | None,
    key_ends: Tensor | None,
    most_queries: int,
    most_keys: int,
    dropout: float,
    causal: bool,
    debug: bool,
    *,
    scale: float,
) -> tuple[Tensor, Tensor, None]:
    """Do what `aten::_flash_attention_forward` does: whole (1, n, H, D), or several in a row."""
    assert (dropout, debug) == (0.0, False)
    if query_ends is None or key_ends is None:
        out, lse = one(query[0], keys[0], values[0], scale, causal=causal)
        return out[None], lse[None], None
    out, lse = torch.full_like(query, torch.nan), query.new_full(query.shape[1::-1], torch.nan)
    places = zip(*(ends.unfold(0, 2, 1).tolist() for ends in (query_ends, key_ends)), strict=True)
    for (start, stop), (key_start, key_stop) in places:
        assert stop - start <= most_queries
        assert key_stop - key_start <= most_keys
        if stop > start:
            out[start:stop], lse[:, start:stop] = one(
                query[start:stop],
                keys[key_start:key_stop],
                values[key_start:key_stop],
                scale,
                causal=causal,
            )
    return out, lse, None


def one(
    query: Tensor, keys: Tensor, values: Tensor, scale: float, *, causal: bool
) -> tuple[Tensor, Tensor]:
    """Return outputs (n, H, D) and log-sum-exps (H, n); causal counts from the last key."""
    groups = query.shape[1] // keys.shape[1]
    keys, values = (each.repeat_interleave(groups, 1) for each in (keys, values))
    scores = torch.einsum("nhd,mhd->hnm", query, keys) * scale
    if causal:
        future = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1 + len(keys) - len(query))
        scores = scores.masked_fill(future, -torch.inf)
    return torch.einsum("hnm,mhd->nhd", scores.softmax(-1), values), scores.logsumexp(-1)


class Replayed(Graphs):
    """Graphs that are computed anew instead of replayed."""

    def _capture(self, numbers: Tensor, size: int, head: Tensor) -> Any:
        logits = self._forward(numbers, size, head)
        again = lambda: logits.copy_(self._forward(numbers, size, head))  # noqa: E731
        return graphs._Graph(
            type("Graph", (), {"replay": staticmethod(again)}), numbers, logits, head
        )


@pytest.fixture(autouse=True)
def _kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", flash)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    with torch.inference_mode():
        yield


def head() -> Tensor:
    return forward(PREPARED, [Segment(HEAD)]).own[0].clone()


def segments(prompts: list[tuple[list[int], list[int]]], head: Tensor | None) -> list[Segment]:
    """Return segments of cached rests and new tokens after a head."""
    return [
        Segment(
            new,
            head=head,
            rest=forward(PREPARED, [Segment(rest, head=head)]).own[0].clone() if rest else None,
        )
        for rest, new in prompts
    ]


def assert_same(one: Forwarded, other: Forwarded) -> None:
    torch.testing.assert_close(one.logits, other.logits, atol=1e-3, rtol=1e-3)
    for mine, theirs in zip(one.own, other.own, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


tokens = st.lists(st.integers(0, 999), max_size=40)
prompts = st.lists(st.tuples(tokens, tokens.filter(bool)), min_size=1, max_size=6)
once = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@once
@given(prompts, st.booleans())
def test_flash_attention_reads_the_same(
    prompts: list[tuple[list[int], list[int]]], headed: bool
) -> None:
    """The GPU's kernel is told the same layout as the portable one."""
    given = segments(prompts, head() if headed else None)

    assert_same(forward(PREPARED, given, flash=True), forward(PREPARED, given))


def test_flash_attention_with_several_heads() -> None:
    """Each run of neighbours reads its own head."""
    given = [
        *segments([([], [1, 2]), ([3], [4])], head()),
        *segments([([], [5])], None),
        *segments([([6], [7, 8, 9])], head()),
    ]

    assert_same(forward(PREPARED, given, flash=True), forward(PREPARED, given))


@once
@given(st.lists(prompts, min_size=1, max_size=3))
def test_graphs_read_the_same(batches: list[list[tuple[list[int], list[int]]]]) -> None:
    """A padded graph, replayed with one batch after the other, gives each batch's own answers."""
    replayed, shared = Replayed(PREPARED), head()
    for batch in batches:
        given = segments(batch, shared)

        assert replayed.takes(given)
        assert_same(replayed(given), forward(PREPARED, given))


def test_what_graphs_take() -> None:
    """Few short prompts with one head; anything else is forwarded as ever."""
    replayed, shared = Replayed(PREPARED), head()
    short = Segment([1], head=shared)

    assert replayed.takes([short] * 16)
    assert not replayed.takes([short] * 17)
    assert not replayed.takes([Segment([1])])
    assert not replayed.takes([short, Segment([1], head=head())])
    assert not replayed.takes([Segment([1] * 1025, head=shared)])
    assert not replayed.takes([Segment([1], head=shared, rest=torch.zeros(2, 2, 5000, 2, 16))])


def test_models_that_graphs_cannot_hold() -> None:
    """8-bit layers look at their values, so they are not captured."""
    model = lively_llama()
    model.probe = type("Linear8bitLt", (torch.nn.Linear,), {})(1, 1)

    assert not can_be_captured(model)
    assert can_be_captured(lively_llama())
