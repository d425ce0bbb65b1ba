"""One forward over packed prompts: new tokens in, the next token's logits and new keys out.

    prompt i   = [ head (C) | rest (R_i) | new (n_i) ]     head and rest are cached
    packed     = [ new_1 | new_2 | ... ]                   (1, N), N = sum of n_i
    positions  = [ C + R_1 ... | C + R_2 ... | ... ]       each prompt counts on from its own cache
    own buffer = [ rest_1 new_1 | rest_2 new_2 | ... ]     (layers, 2, S, KV, D)

`plan` lays this out and touches no model; `forward` runs the model once over a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain, groupby
from typing import Any

import torch
from torch import Tensor

from guardrail.classifiers.kosafeguard.attention import NAME, packed_attention
from guardrail.classifiers.kosafeguard.cpu import quicken
from guardrail.classifiers.kosafeguard.last_layer import Asked, narrow
from guardrail.classifiers.kosafeguard.packing import Group, Packing, Span

__all__ = [
    "Forwarded",
    "Plan",
    "Prepared",
    "Segment",
    "Shape",
    "fill",
    "forward",
    "new_own",
    "plan",
    "prepare",
    "run",
    "views",
]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's keys and values look like."""

    layers: int
    key_heads: int
    head_dim: int
    dtype: torch.dtype
    device: torch.device


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A prompt to go on reading: what is cached of it, and the tokens that are not.

    Args:
        new: token ids, at least one.
        head: keys and values of the shared head (layers, 2, C, KV, D), or None.
        rest: keys and values between head and `new` (layers, 2, R, KV, D), or None.
    """

    new: Sequence[int]
    head: Tensor | None = None
    rest: Tensor | None = None

    @property
    def cached(self) -> int:
        """How many of the prompt's own tokens, after the head, are cached."""
        return 0 if self.rest is None else self.rest.shape[2]

    @property
    def own(self) -> int:
        """How many tokens the prompt has after the head."""
        return self.cached + len(self.new)

    @property
    def start(self) -> int:
        """The position of the first new token in the prompt."""
        return self.cached + (0 if self.head is None else self.head.shape[2])


@dataclass(frozen=True, slots=True)
class Plan:
    """The layout of one packed forward, in plain numbers.

    Args:
        ids: packed token ids.
        positions: of each in its own prompt.
        slots: of each in the own buffer.
        spans: one per segment.
        groups: start, stop and head of neighbours with the same head.
    """

    ids: list[int]
    positions: list[int]
    slots: list[int]
    spans: list[Span]
    groups: list[Group]

    @property
    def last(self) -> list[int]:
        """Where in the packed sequence each segment's last token is."""
        return [span.stop - 1 for span in self.spans]

    @property
    def longest(self) -> tuple[int, int]:
        """The most queries and the most keys of any span."""
        return (
            max(span.stop - span.start for span in self.spans),
            max(span.key_stop - span.key_start for span in self.spans),
        )

    @property
    def ends(self) -> list[list[int]]:
        """Ends of the spans' queries and keys, each with a leading 0."""
        return [
            [0, *(span.stop for span in self.spans)],
            [0, *(span.key_stop for span in self.spans)],
        ]


def plan(segments: Sequence[Segment]) -> Plan:
    """Lay segments out in one packed sequence, in the order given."""
    stops = list(accumulate(len(segment.new) for segment in segments))
    key_stops = list(accumulate(segment.own for segment in segments))
    spans = [
        Span(stop - len(segment.new), stop, key_stop - segment.own, key_stop)
        for segment, stop, key_stop in zip(segments, stops, key_stops, strict=True)
    ]
    return Plan(
        ids=list(chain.from_iterable(segment.new for segment in segments)),
        positions=_counting_on((segment.start, len(segment.new)) for segment in segments),
        slots=_counting_on(
            (span.key_start + span.cached, span.stop - span.start) for span in spans
        ),
        spans=spans,
        groups=_groups(segments, spans),
    )


def _counting_on(runs: Any) -> list[int]:
    return [number for start, count in runs for number in range(start, start + count)]


def _groups(segments: Sequence[Segment], spans: Sequence[Span]) -> list[Group]:
    pairs = zip(segments, spans, strict=True)
    runs = (list(run) for _, run in groupby(pairs, key=lambda pair: id(pair[0].head)))
    return [Group(run[0][1].start, run[-1][1].stop, run[0][0].head) for run in runs]


@dataclass(frozen=True, slots=True, eq=False)
class Forwarded:
    """What one forward gives.

    Args:
        logits: of the token after each segment (segments, vocabulary).
        own: each segment's keys and values after the head (layers, 2, R + n, KV, D), as views of
            one buffer: copy what is to be kept.
    """

    logits: Tensor
    own: list[Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A model that is ready for packed forwards."""

    model: Any
    shape: Shape
    asked: Asked


def prepare(model: Any) -> Prepared:
    """Make a model ready for packed forwards, in place.

    From here on its own `generate` needs `set_attn_implementation("sdpa")` first.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation(NAME)
    model.eval()
    config, embedding = model.config, model.get_input_embeddings().weight
    heads = config.num_attention_heads
    shape = Shape(
        layers=config.num_hidden_layers,
        key_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        dtype=embedding.dtype,
        device=embedding.device,
    )
    if shape.device.type == "cpu" and shape.dtype == torch.float32:
        quicken(model)
    return Prepared(model, shape, narrow(model))


def new_own(shape: Shape, slots: int) -> Tensor:
    """Return room for the keys and values of so many tokens (layers, 2, S, KV, D)."""
    size = (shape.layers, 2, slots, shape.key_heads, shape.head_dim)
    return torch.empty(size, dtype=shape.dtype, device=shape.device)


def forward(prepared: Prepared, segments: Sequence[Segment], *, flash: bool = False) -> Forwarded:
    """Read the segments' new tokens in one go.

    Segments with the same head should be neighbours: each run of them reads it once.
    """
    layout, device = plan(segments), prepared.shape.device
    own = new_own(prepared.shape, layout.spans[-1].key_stop)
    fill(own, segments, layout.spans)
    as_tensor = partial(torch.tensor, device=device)
    packing = Packing(
        groups=layout.groups,
        spans=layout.spans,
        own=own,
        slots=as_tensor(layout.slots),
        ends=as_tensor(layout.ends).int() if flash else None,
        longest=layout.longest,
    )
    logits = run(
        prepared,
        ids=as_tensor(layout.ids),
        positions=as_tensor(layout.positions),
        last=as_tensor(layout.last),
        packing=packing,
    )
    return Forwarded(logits, views(own, layout.spans))


def fill(own: Tensor, segments: Sequence[Segment], spans: Sequence[Span]) -> None:
    """Copy what is cached of each segment to its place in the own buffer."""
    for segment, span in zip(segments, spans, strict=True):
        if segment.rest is not None:
            own[:, :, span.key_start : span.key_start + span.cached] = segment.rest


def views(own: Tensor, spans: Sequence[Span]) -> list[Tensor]:
    """Return each segment's part of the own buffer."""
    return [own[:, :, span.key_start : span.key_stop] for span in spans]


def run(
    prepared: Prepared, *, ids: Tensor, positions: Tensor, last: Tensor, packing: Packing
) -> Tensor:
    """Return the logits at `last` (M, vocabulary) of one forward over `ids` (N,)."""
    with prepared.asked.only(last):
        out = prepared.model(
            input_ids=ids[None],
            position_ids=positions[None],
            use_cache=False,
            logits_to_keep=last,
            packing=packing,
        )
    logits: Tensor = out.logits[0]
    return logits
