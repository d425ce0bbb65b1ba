"""Small batches replayed as one CUDA graph.

A forward of a 32-layer model is some thousand kernel launches; for a batch of a few hundred tokens
a GPU waits for the CPU to launch them. A graph of them is captured once per padded size and head,
over tensors at fixed addresses, and replayed as a single launch:

    numbers    ids, positions and slots of up to `size` tokens; ends and lasts of up to 16 segments
    own        every segment's keys and values, and scratch slots that padding writes to
    head       where it is: the cache never moves a head

Padding tokens are no segment's: they are computed and never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from guardrail.classifiers.kosafeguard.forward import (
    Forwarded,
    Plan,
    Prepared,
    Segment,
    fill,
    new_own,
    plan,
    run,
    views,
)
from guardrail.classifiers.kosafeguard.packing import Group, Packing

__all__ = ["Graphs", "can_be_captured"]

_SIZES = (*range(64, 513, 64), *range(640, 1025, 128))  # beyond, the GPU's work hides launches
_MOST_SEGMENTS = 16
_OWN_SLOTS = 2048
_MOST_GRAPHS = 32


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    graph: torch.cuda.CUDAGraph
    numbers: Tensor  # (3 * size + 2 * (segments + 1) + segments,) int32
    logits: Tensor  # (segments, vocabulary)
    head: Tensor  # kept: the graph reads it by address


class Graphs:
    """Reads small batches by replaying graphs; captures each when it is first wanted.

    Args:
        prepared: the model.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._device = prepared.shape.device
        self._own = new_own(prepared.shape, _OWN_SLOTS + _SIZES[-1])
        self._graphs: dict[tuple[int, int], _Graph] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def takes(self, segments: Sequence[Segment]) -> bool:
        """Whether these share one head and are few and short enough."""
        head, size = segments[0].head, _size(segments)
        return (
            head is not None
            and size is not None
            and all(segment.head is head for segment in segments)
            and len(segments) <= _MOST_SEGMENTS
            and sum(segment.own for segment in segments) <= _OWN_SLOTS
            and ((size, id(head)) in self._graphs or len(self._graphs) < _MOST_GRAPHS)
        )

    def __call__(self, segments: Sequence[Segment]) -> Forwarded:
        """Read segments that `takes` accepts; the next call overwrites the result."""
        layout, size, head = plan(segments), _size(segments), segments[0].head
        assert head is not None and size is not None  # noqa: PT018  # `takes` said so
        fill(self._own, segments, layout.spans)
        numbers = torch.tensor(_numbers(layout, size), dtype=torch.int32)
        key = (size, id(head))
        if key not in self._graphs:
            self._graphs[key] = self._capture(numbers.to(self._device), size, head)
        graph = self._graphs[key]
        graph.numbers.copy_(numbers)
        graph.graph.replay()
        return Forwarded(graph.logits[: len(segments)], views(self._own, layout.spans))

    def _capture(self, numbers: Tensor, size: int, head: Tensor) -> _Graph:
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]  # it has no types
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            self._forward(numbers, size, head)  # libraries set themselves up outside the capture
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            logits = self._forward(numbers, size, head)
        return _Graph(graph, numbers, logits, head)

    def _forward(self, numbers: Tensor, size: int, head: Tensor) -> Tensor:
        ids, positions, slots = (each.long() for each in numbers[: 3 * size].view(3, size))
        ends, last = numbers[3 * size : -_MOST_SEGMENTS], numbers[-_MOST_SEGMENTS:]
        packing = Packing(
            groups=[Group(0, size, head)],
            spans=[],
            own=self._own,
            slots=slots,
            ends=ends.view(2, -1),
            longest=(size, _OWN_SLOTS),
        )
        return run(self._prepared, ids=ids, positions=positions, last=last.long(), packing=packing)


def can_be_captured(model: Any) -> bool:
    """Whether a model's layers do the same whatever the numbers are.

    8-bit layers do not: they pick out columns by the size of their values.
    """
    return not any(type(module).__name__ == "Linear8bitLt" for module in model.modules())


def _size(segments: Sequence[Segment]) -> int | None:
    """Return the smallest size that holds the segments' new tokens, if any does."""
    tokens = sum(len(segment.new) for segment in segments)
    return next((size for size in _SIZES if size >= tokens), None)


def _numbers(layout: Plan, size: int) -> list[int]:
    """Return a layout as the graph's numbers, padded."""
    tokens = size - len(layout.ids)
    segments = _MOST_SEGMENTS - len(layout.spans)
    query_ends, key_ends = layout.ends
    return [
        *layout.ids, *[0] * tokens,
        *layout.positions, *[0] * tokens,
        *layout.slots, *range(_OWN_SLOTS, _OWN_SLOTS + tokens),
        *query_ends, *query_ends[-1:] * segments,
        *key_ends, *key_ends[-1:] * segments,
        *layout.last, *[0] * segments,
    ]  # fmt: skip
