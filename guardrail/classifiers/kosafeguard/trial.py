"""A trial of a model at loading: it must answer in packed segments as it does by itself.

Which models packing changes cannot all be told from their configuration. So every model reads one
short text twice, as transformers runs it and as the engine will, with a cached head and two
segments that read it, and what it would answer next must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from guardrail.classifiers.kosafeguard.attention import NAME
from guardrail.classifiers.kosafeguard.cpu import release_helpers
from guardrail.classifiers.kosafeguard.encode import Encoder
from guardrail.classifiers.kosafeguard.failures import is_out_of_memory, while_reading
from guardrail.classifiers.kosafeguard.forward import Forwarded, Segment
from guardrail.errors import ClassifierUnavailable, first_line

__all__ = ["Trial"]

_TEXT = "Is this safe? 이 답변은 안전한가요? 0123"
_SHORTER = 3  # tokens by which one segment ends earlier
_CLOSE = 0.01  # share of the logits' spread by which they may differ, in float32
_CLOSE_ROUNDED = 0.3  # likewise with weights of fewer bits, which magnify how sums are grouped


class Trial:
    """What a model answers by itself; to be asked before a reader takes the model.

    Args:
        model: a causal language model of transformers.
        encoder: the model's.

    Raises:
        ClassifierUnavailable: it cannot be run, or its answers are no numbers.
    """

    def __init__(self, model: Any, encoder: Encoder) -> None:
        self._name = type(model).__name__
        self._ids = encoder.whole(_TEXT)
        self._close = _closeness(model)
        if model.config._attn_implementation == NAME:  # an engine had it before
            model.set_attn_implementation("sdpa")
        self._expected = self._tried(lambda: _plain(model, self._ids))
        if self._expected.isnan().any():
            raise ClassifierUnavailable(
                f"{self._name} answers no numbers; its weights are damaged, or overflow in this "
                "dtype: download it again, or pass another dtype"
            )

    def check(self, read: Callable[[list[Segment]], Forwarded]) -> None:
        """Raise unless the segments' reader gives the same.

        Raises:
            ClassifierUnavailable: it does not.
        """
        answered = self._tried(lambda: _packed(read, self._ids))
        release_helpers()  # of this thread
        spread = (self._expected - self._expected.mean(-1, keepdim=True)).norm(dim=-1)
        apart = ((answered - self._expected).norm(dim=-1) / spread).max().item()
        if not apart <= self._close:
            raise ClassifierUnavailable(
                f"{self._name} answers otherwise when prompts are packed (off by {apart:.0%}); "
                "use a model like Llama 3"
            )

    def _tried(self, work: Callable[[], Tensor]) -> Tensor:
        try:
            with torch.inference_mode():
                return work().float()
        except Exception as error:  # a model's own code may raise whatever it likes
            if is_out_of_memory(error):
                raise while_reading(error) from error
            raise ClassifierUnavailable(
                f"{self._name} cannot be run ({type(error).__name__}: {first_line(error)}); "
                "use a model like Llama 3"
            ) from error


def _closeness(model: Any) -> float:
    plain = model.get_input_embeddings().weight.dtype == torch.float32
    return _CLOSE if plain and not getattr(model, "is_quantized", False) else _CLOSE_ROUNDED


def _plain(model: Any, ids: tuple[int, ...]) -> Tensor:
    """Return the logits (2, vocabulary) after the shorter and after the whole text."""
    tokens = torch.tensor([ids], device=model.get_input_embeddings().weight.device)
    logits: Tensor = model.eval()(input_ids=tokens, use_cache=False).logits[0]
    return logits[[-1 - _SHORTER, -1]]


def _packed(read: Callable[[list[Segment]], Forwarded], ids: tuple[int, ...]) -> Tensor:
    """Return the same logits, of two segments behind one cached head."""
    middle = len(ids) // 2
    head = read([Segment(ids[:middle])]).own[0].clone()
    ends = (len(ids) - _SHORTER, len(ids))
    return read([Segment(ids[middle:end], head=head) for end in ends]).logits.clone()
