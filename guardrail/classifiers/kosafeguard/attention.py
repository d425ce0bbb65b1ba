"""Attention over a shared head and a segment's own tokens, each in one go, then merged.

A packed sequence holds the new tokens of several prompts. All of them read the same long head
(the policy), and each reads its own prompt and nothing of its neighbours. So attention is two
parts that meet in their log-sum-exps [1]:

    head part   every query of a group against the head's keys, no mask
    own part    every segment's queries against its own keys, causal

    out = w * out_head + (1 - w) * out_own        w = sigmoid(lse_head - lse_own)

No head is copied per segment, nothing is padded, and no (N, N) mask exists.

[1] The merge of split softmaxes: FlashAttention's, and "cascade inference" in serving engines.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from guardrail.classifiers.kosafeguard.packing import Group, Packing, Span

__all__ = ["NAME", "has_flash", "packed_attention"]

NAME = "guardrail_packed"
"""The attention's name in transformers' `AttentionInterface`."""


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001  # None: `packing` takes its place
    *,
    scaling: float,
    packing: Packing,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend as `packing` says: transformers' attention function of a packed forward.

    Args:
        module: the layer's attention.
        query: (1, H, N, D), with its rotary positions applied.
        key: (1, KV, N, D), likewise.
        value: (1, KV, N, D).
        attention_mask: None.
        scaling: of the scores.
        packing: who reads what.

    Returns:
        (1, N, H, D), and no attention weights.
    """
    keys, values = packing.own[module.layer_idx]  # (S, KV, D) each
    keys.index_copy_(0, packing.slots, key[0].transpose(0, 1))
    values.index_copy_(0, packing.slots, value[0].transpose(0, 1))
    attend = _attend_each if packing.ends is None else _attend_flash
    return attend(query[0], module.layer_idx, scaling, packing)[None], None


def has_flash(device: torch.device, dtype: torch.dtype, heads: tuple[int, int, int]) -> bool:
    """Whether FlashAttention's kernels run here and agree with plain attention.

    Args:
        device: of the model.
        dtype: of its keys.
        heads: query heads, key heads, and their size.
    """
    if device.type != "cuda":
        return False
    query_heads, key_heads, size = heads
    draw = torch.Generator(device).manual_seed(0)
    query, keys, values = (
        torch.randn(tokens, count, size, device=device, generator=draw).to(dtype)
        for tokens, count in ((5, query_heads), (9, key_heads), (9, key_heads))
    )
    scale = size**-0.5
    ends = torch.tensor([[0, 5], [0, 9]], dtype=torch.int32, device=device)
    packing = Packing(
        groups=[Group(0, 5, torch.stack([keys, values])[None])],
        spans=[Span(0, 5, 0, 9)],
        own=torch.stack([keys, values])[None],
        slots=torch.arange(4, 9, device=device),
        ends=ends,
        longest=(5, 9),
    )
    try:
        fast = _attend_flash(query.transpose(0, 1), 0, scale, packing)
    except (RuntimeError, TypeError):  # not built, not for this card or dtype, another signature
        return False
    plain = _attend_grouped(query.transpose(0, 1), 0, scale, packing)
    return torch.allclose(fast.float(), plain.float(), atol=0.03, rtol=0.03)


def _attend_flash(query: Tensor, layer: int, scale: float, packing: Packing) -> Tensor:
    """Return (N, H, D) by FlashAttention's CUDA kernels, from `query` (H, N, D)."""
    query = query.transpose(0, 1)
    own, own_lse = _flash_own(query, layer, scale, packing)
    parts = []
    for group in packing.groups:
        mine = slice(group.start, group.stop)
        part = own[mine]
        if group.head is not None:
            head, head_lse = _flash_head(query[mine], group.head[layer], scale)
            weight = torch.sigmoid(head_lse - own_lse[mine]).unsqueeze(-1)
            part = torch.lerp(part.float(), head.float(), weight).to(part.dtype)
        parts.append(part)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _flash_own(query: Tensor, layer: int, scale: float, packing: Packing) -> tuple[Tensor, Tensor]:
    """Return every span's outputs (N, H, D) and log-sum-exps (N, H) in one call."""
    assert packing.ends is not None  # or `_attend_grouped` would do this
    out, lse, *_ = torch.ops.aten._flash_attention_forward(
        query, *packing.own[layer], *packing.ends, *packing.longest, 0.0, True, False, scale=scale
    )  # causal counts from the end of a span's keys
    return out, lse.transpose(0, 1)


def _flash_head(query: Tensor, head: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return the outputs (n, H, D) and log-sum-exps (n, H) over all of a head (2, C, KV, D)."""
    keys, values = head
    out, lse, *_ = torch.ops.aten._flash_attention_forward(
        query[None], keys[None], values[None], None, None, len(query), len(keys),
        0.0, False, False, scale=scale,
    )  # fmt: skip
    return out[0], lse[0].transpose(0, 1)


def _attend_each(query: Tensor, layer: int, scale: float, packing: Packing) -> Tensor:
    """Return (N, H, D) by one kernel call per group and per span, from `query` (H, N, D).

    In the last layer nobody reads but the last query of each span: the others become zero.
    """
    if layer < len(packing.own) - 1:
        return _attend_grouped(query, layer, scale, packing)
    last = torch.tensor([span.stop - 1 for span in packing.spans], device=query.device)
    few = _attend_grouped(query[:, last], layer, scale, packing.last)
    return few.new_zeros(query.shape[1], *few.shape[1:]).index_copy_(0, last, few)


def _attend_grouped(query: Tensor, layer: int, scale: float, packing: Packing) -> Tensor:
    """Return (N, H, D) for all queries."""
    heads, tokens, size = query.shape
    key_heads = packing.own.shape[3]
    # The query heads that share a key head become the batch, and no key is copied.
    query = query.reshape(key_heads, -1, tokens, size).transpose(0, 1)  # (G, KV, N, D)
    own, own_lse = _own_part(query, layer, scale, packing)
    parts = []
    for group in packing.groups:
        mine = slice(group.start, group.stop)
        part = own[:, :, mine]
        if group.head is not None:
            head, head_lse = _head_part(query[:, :, mine], group.head[layer], scale)
            weight = torch.sigmoid(head_lse - own_lse[:, :, mine]).unsqueeze(-1)
            part = torch.lerp(part, head, weight.to(part.dtype))
        parts.append(part)
    return _joined(parts).permute(2, 1, 0, 3).reshape(tokens, heads, size)


def _own_part(query: Tensor, layer: int, scale: float, packing: Packing) -> tuple[Tensor, Tensor]:
    """Return outputs (G, KV, N, D) and log-sum-exps (G, KV, N), each span's over its own keys."""
    keys, values = packing.own[layer]
    parts = [
        _partial(
            query[:, :, span.start : span.stop],
            keys[span.key_start : span.key_stop],
            values[span.key_start : span.key_stop],
            scale,
            causal=span.queries > 1,
            mask=mask,
        )
        for span, mask in zip(packing.spans, packing.masks, strict=True)
    ]
    return _joined([out for out, _ in parts]), _joined([lse for _, lse in parts])


def _head_part(query: Tensor, head: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Return outputs and log-sum-exps of `query` (G, KV, n, D) over a head (2, C, KV, D).

    All queries of a key head read the same, so the kernel gets them as one long run, which it
    takes in larger blocks than several short ones.
    """
    groups, key_heads, count, size = query.shape
    run = query.transpose(0, 1).reshape(1, key_heads, groups * count, size)
    keys, values = head
    out, lse = _partial(run, keys, values, scale)
    out, lse = out.view(key_heads, groups, count, size), lse.view(key_heads, groups, count)
    return out.transpose(0, 1), lse.transpose(0, 1)


def _joined(parts: list[Tensor]) -> Tensor:
    """Return (G, KV, N, ...) of its parts, in order."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _partial(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float,
    *,
    causal: bool = False,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the outputs (G, KV, n, D) and their log-sum-exps (G, KV, n).

    Args:
        query: (G, KV, n, D).
        keys: (m, KV, D).
        values: (m, KV, D).
        scale: of the scores.
        causal: whether query i reads keys up to i only, unless a mask says what it reads.
        mask: (1, 1, n, m), added to the scores.
    """
    keys, values = (
        each.transpose(0, 1).unsqueeze(0).expand(len(query), -1, -1, -1) for each in (keys, values)
    )
    if query.device.type == "cpu":
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, keys, values, is_causal=causal and mask is None, attn_mask=mask, scale=scale
        )
        return out, lse
    return _partial_plain(query, keys, values, scale, causal=causal, mask=mask)


def _partial_plain(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float,
    *,
    causal: bool,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return what `_partial` does, on any device, with the scores (G, KV, n, m) in memory."""
    scores = (query @ keys.transpose(-1, -2)).float() * scale
    if mask is not None:
        scores = scores + mask
    elif causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    lse = scores.logsumexp(-1)
    return (scores - lse.unsqueeze(-1)).exp().to(values.dtype) @ values, lse
