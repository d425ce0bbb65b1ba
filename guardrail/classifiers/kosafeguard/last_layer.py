"""The last layer, computed for the tokens that are asked about and no others.

Every token needs its keys and values in every layer. But what the last layer makes of a token
beyond those is read for a segment's last token alone: its query, the output projection and the MLP
of all others would be thrown away. In a model of L layers this saves nearly 1/L of the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

__all__ = ["Asked", "narrow"]


class Asked:
    """Which tokens of the forward in progress are asked about; all of them between forwards."""

    def __init__(self) -> None:
        self.tokens: Tensor | None = None

    @contextmanager
    def only(self, tokens: Tensor) -> Iterator[None]:
        """Ask about these (M,) within the context."""
        self.tokens = tokens
        try:
            yield
        finally:
            self.tokens = None


class _Narrowed(nn.Module):
    """A module that maps each token by itself, run for the asked tokens; others become zero."""

    def __init__(self, inner: nn.Module, asked: Asked) -> None:
        super().__init__()
        self.inner = inner
        self._asked = asked

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (1, N, in) to (1, N, out)."""
        tokens = self._asked.tokens
        if tokens is None:
            whole: Tensor = self.inner(hidden)
            return whole
        few = self.inner(hidden[:, tokens])
        mapped: Tensor = few.new_zeros(1, hidden.shape[1], few.shape[-1])
        return mapped.index_copy_(1, tokens, few)


def narrow(model: Any) -> Asked:
    """Narrow a model's last layer in place, and return what tells it the tokens.

    A layer built otherwise than Llama's is left as it is: it gives the same answers, a bit later.
    """
    asked = Asked()
    layers = getattr(model.get_decoder(), "layers", [None])
    attention = getattr(layers[-1], "self_attn", None)
    places = [(layers[-1], "mlp"), (attention, "q_proj"), (attention, "o_proj")]
    if all(hasattr(parent, name) for parent, name in places):
        for parent, name in places:
            inner = getattr(parent, name)
            inner = inner.inner if isinstance(inner, _Narrowed) else inner  # narrowed before
            setattr(parent, name, _Narrowed(inner, asked))
    return asked
