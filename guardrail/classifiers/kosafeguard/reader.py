"""A model made ready to read segments, by the fastest way that its device knows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from guardrail.classifiers.kosafeguard.attention import has_flash
from guardrail.classifiers.kosafeguard.cpu import release_helpers
from guardrail.classifiers.kosafeguard.failures import is_device_lost, is_out_of_memory
from guardrail.classifiers.kosafeguard.forward import Forwarded, Segment, forward, prepare
from guardrail.classifiers.kosafeguard.graphs import Graphs, can_be_captured

__all__ = ["Reader"]

_log = logging.getLogger(__name__)


class Reader:
    """Reads segments with one model.

    Args:
        model: a causal language model of transformers, from now on the reader's.
        graphs: whether to replay small batches as CUDA graphs where that is possible.
    """

    def __init__(self, model: Any, *, graphs: bool = True) -> None:
        self._prepared = prepare(model)
        release_helpers()  # of loading and preparing: from here on another thread computes
        shape = self._prepared.shape
        heads = (model.config.num_attention_heads, shape.key_heads, shape.head_dim)
        self._flash = has_flash(shape.device, shape.dtype, heads)
        wanted = graphs and self._flash and can_be_captured(model)
        self._graphs = Graphs(self._prepared) if wanted else None

    @property
    def how(self) -> str:
        """In words, which fast ways are taken."""
        attention = (
            "FlashAttention" if self._flash else f"{self._prepared.shape.device.type} attention"
        )
        return f"{attention}, CUDA graphs" if self._graphs else attention

    def __call__(self, segments: Sequence[Segment]) -> Forwarded:
        """Read the segments' new tokens in one go; use the result before the next call."""
        if self._graphs is not None and self._graphs.takes(segments):
            try:
                return self._graphs(segments)
            except RuntimeError as error:
                if is_out_of_memory(error) or is_device_lost(error):
                    raise
                _log.warning("CUDA graphs are off: this model cannot be captured (%s)", error)
                self._graphs = None
        return forward(self._prepared, segments, flash=self._flash)
