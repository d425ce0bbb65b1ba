"""Who reads what in one packed forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Group", "Packing", "Span"]


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring segments that read the same head.

    Args:
        start: of their queries in the packed sequence.
        stop: likewise.
        head: keys and values (layers, 2, C, KV, D), or None for prompts that are read whole.
    """

    start: int
    stop: int
    head: Tensor | None


@dataclass(frozen=True, slots=True)
class Span:
    """One segment: its queries in the packed sequence, its keys in the own buffer.

    The queries are the last of the keys; the keys before them were cached.
    """

    start: int
    stop: int
    key_start: int
    key_stop: int

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return self.stop - self.start

    @property
    def cached(self) -> int:
        """How many keys come before the first query's own."""
        return self.key_stop - self.key_start - self.queries


@dataclass(frozen=True, eq=False)
class Packing:
    """Who reads what in one packed forward.

    Args:
        groups: cover the packed sequence, in order.
        spans: cover the packed sequence, in order.
        own: every segment's own keys and values (layers, 2, S, KV, D); the forward fills in those
            of the new tokens.
        slots: where in `own` each new token's key and value go (N,).
        ends: of the spans' queries and keys, with a leading 0 (2, spans + 1), int32. Where given,
            FlashAttention's kernels read it instead of `spans`; see `has_flash`.
        longest: the most queries and the most keys of any span, for `ends`.
    """

    groups: Sequence[Group]
    spans: Sequence[Span]
    own: Tensor
    slots: Tensor
    ends: Tensor | None = None
    longest: tuple[int, int] = (0, 0)

    @cached_property
    def masks(self) -> list[Tensor | None]:
        """What each span's queries may read, (1, 1, n, m) to add; None is all, or plain causal."""
        return [
            _lower_right(span, self.own) if span.cached and span.queries > 1 else None
            for span in self.spans
        ]

    @cached_property
    def last(self) -> Packing:
        """The same with the last query of each span alone."""
        numbers = {span.start: number for number, span in enumerate(self.spans)}
        numbers[self.spans[-1].stop] = len(self.spans)
        return Packing(
            groups=[
                Group(numbers[group.start], numbers[group.stop], group.head)
                for group in self.groups
            ],
            spans=[
                Span(number, number + 1, span.key_start, span.key_stop)
                for number, span in enumerate(self.spans)
            ],
            own=self.own,
            slots=self.slots,
        )


def _lower_right(span: Span, like: Tensor) -> Tensor:
    n, m = span.stop - span.start, span.key_stop - span.key_start
    future = torch.ones(n, m, dtype=torch.bool, device=like.device).triu(1 + span.cached)
    return like.new_zeros(n, m).masked_fill_(future, -torch.inf)[None, None]
