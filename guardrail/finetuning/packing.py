"""Several prompts behind one head in one training step, with the gradients of reading each alone.

    prompt i  = [ head (C) | rest_i ]                    the head is some 80 % of it
    packed    = [ head | rest_1 | rest_2 | ... ]         (1, N), N = C + the rests' tokens
    positions = [ 0 .. C-1 | C .. | C .. | ... ]         each rest counts on from the head
    attention = head: causal; rest_i: the whole head, then its own tokens, causal

The head stands in the sequence like any other tokens, so its gradient is the sum of what all its
readers send back: the gradient of full fine-tuning and of LoRA alike. It cannot be kept between
steps, for every step changes it: LoRA's frozen base is frozen, but the head's activations run
through the adapters. So it is read once per micro-batch, in place of once per row.

Only the rests' last tokens get logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from guardrail.classifiers.kosafeguard.encode import Encoded, Tokens

__all__ = ["NAME", "Sample", "Span", "packed", "padded", "prepare", "segmented_attention"]

NAME = "guardrail_training"
"""The attention's name in transformers' `AttentionInterface`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt and its answer.

    Args:
        head: the tokens it shares with others.
        rest: its own (R,).
        unsafe: the answer.
        row: number of the row it belongs to; a row in windows has several.
        weight: what its loss is multiplied by.
    """

    head: Tokens
    rest: npt.NDArray[np.int32]
    unsafe: bool
    row: int
    weight: float = 1.0

    @classmethod
    def of(cls, prompt: Encoded, *, unsafe: bool, row: int, weight: float = 1.0) -> Sample:
        """Return the sample of an encoded prompt."""
        return cls(prompt.head, np.array(prompt.rest, np.int32), unsafe, row, weight)

    def weighing(self, weight: float) -> Sample:
        """Return the same sample with another weight."""
        return replace(self, weight=weight)

    @property
    def ids(self) -> list[int]:
        """The whole prompt."""
        return [*self.head, *self.rest.tolist()]


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring tokens of one prompt, and the head they read before themselves.

    Args:
        start, stop: of the tokens.
        head_start, head_stop: of the head; both the same for one that reads none.
    """

    start: int
    stop: int
    head_start: int = 0
    head_stop: int = 0

    def mask(self) -> Tensor | None:
        """Return what each token reads of both (1, 1, n, C + n); None is plain causal."""
        head, size = self.head_stop - self.head_start, self.stop - self.start
        if not head:
            return None
        return torch.ones(size, head + size, dtype=torch.bool).tril(head)[None, None]


def packed(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return a batch in which samples with the same head stand behind one copy of it.

    Returns:
        labels: (B,) 1 for unsafe; rows: (B,); weights: (B,); and the model's inputs.
    """
    ordered = sorted(samples, key=attrgetter("head"))
    ids: list[int] = []
    positions: list[int] = []
    spans: list[Span] = []
    last: list[int] = []
    for head, group in groupby(ordered, key=attrgetter("head")):
        start = len(ids)
        ids += head
        positions += range(len(head))
        if head:
            spans.append(Span(start, len(ids)))
        for sample in group:
            size = len(sample.rest)
            spans.append(Span(len(ids), len(ids) + size, start, start + len(head)))
            ids += sample.rest.tolist()
            positions += range(len(head), len(head) + size)
            last.append(len(ids) - 1)
    return {
        **_answers(ordered),
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "logits_to_keep": torch.tensor(last),
        "spans": spans,
        "masks": [span.mask() for span in spans],  # tensors of a batch are moved to its device
    }


def padded(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the same batch in the plain way: every prompt whole, padded on the left."""
    prompts = [sample.ids for sample in samples]
    longest = max(map(len, prompts))
    ids, mask, positions = (torch.zeros(len(prompts), longest, dtype=torch.long) for _ in range(3))
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
        positions[row, longest - len(prompt) :] = torch.arange(len(prompt))
    return {
        **_answers(samples),
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": positions,
        "logits_to_keep": 1,
    }


def _answers(samples: Sequence[Sample]) -> dict[str, Tensor]:
    return {
        "labels": torch.tensor([int(sample.unsafe) for sample in samples]),
        "rows": torch.tensor([sample.row for sample in samples]),
        "weights": torch.tensor([sample.weight for sample in samples]),
    }


def prepare(model: Any) -> None:
    """Have a model attend as packed batches say; plain ones need `sdpa` again."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, segmented_attention)
    model.set_attn_implementation(NAME)


def segmented_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001  # None: `masks` take its place
    *,
    spans: Sequence[Span],
    masks: Sequence[Tensor | None],
    **settings: Any,
) -> tuple[Tensor, None]:
    """Attend span by span with torch's own kernels, which have their own backward passes.

    Args:
        module: the layer's attention.
        query: (1, H, N, D), with its rotary positions applied.
        key: (1, KV, N, D), likewise.
        value: (1, KV, N, D).
        attention_mask: None.
        spans: cover the sequence, in order.
        masks: of each, on the model's device.
        settings: scaling and dropout.

    Returns:
        (1, N, H, D), and no attention weights.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    outs = []
    for span, mask in zip(spans, masks, strict=True):
        read = partial(_readable, span=span)
        out, _ = sdpa_attention_forward(
            module,
            query[:, :, span.start : span.stop],
            read(key),
            read(value),
            mask,
            is_causal=mask is None,
            **_known(settings),
        )
        outs.append(out)
    return torch.cat(outs, dim=1), None


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what attention takes of the arguments that a model hands through."""
    return {name: settings[name] for name in ("scaling", "dropout") if name in settings}


def _readable(keys: Tensor, *, span: Span) -> Tensor:
    """Return the keys or values that a span reads (1, KV, C + n, D)."""
    own = keys[:, :, span.start : span.stop]
    if span.head_start == span.head_stop:
        return own
    return torch.cat([keys[:, :, span.head_start : span.head_stop], own], dim=2)
