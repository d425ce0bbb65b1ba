"""A model's modules in the form that a CPU is fastest at: the same numbers in less time.

    Linear     oneDNN's kernels in place of MKL's, on a weight in their own layout. It is rearranged
               once, and the plain weight is let go, so memory stays what it was. For the few dozen
               tokens of a streamed check that takes some half of the time.
    RMSNorm    fewer passes over the hidden states
    gated MLP  activation and product in place, with no intermediate results to find room for

A module is replaced only where the new one does on a probe what the old one does.
"""

from __future__ import annotations

import ctypes
import math
import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

__all__ = ["LeanGate", "LeanNorm", "PackedLinear", "quicken", "release_helpers"]

_SOFT = 1  # `omp_pause_soft`: OpenMP's settings stay
_PROBES = 9  # rows that old and new modules are compared on


@torch.no_grad()
def quicken(model: Any) -> None:
    """Replace modules of a float32 model on a CPU by faster ones, in place."""
    for parent in reversed(list(model.get_decoder().modules())):  # the innermost first
        if not type(parent).__module__.startswith("transformers"):
            continue  # an adapter's or a quantiser's: it may look at its own weights
        for name, module in parent.named_children():
            faster = _faster(module)
            if faster is not None and _agree(module, faster):
                setattr(parent, name, faster)


def release_helpers() -> None:
    """Let the threads go that OpenMP keeps for the calling thread; when needed, it gets new ones.

    GNU's OpenMP lets helpers wait awake for what comes next as long as all of them together are no
    more than the processors. With those of the thread that loaded the model beside those of the
    thread that runs it, all sleep between any two operations of a forward; there are hundreds, and
    waking takes longer than most of them.
    """
    if os.name == "posix":
        pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)  # since OpenMP 5.0
        if pause is not None:
            pause(_SOFT)


class PackedLinear(nn.Module):
    """A linear layer in float32 whose weight is arranged for oneDNN.

    Raises:
        AttributeError: this torch is built without oneDNN.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = None if linear.bias is None else linear.bias.detach()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())

    @property
    def weight(self) -> Tensor:
        """The weight's shape and dtype; its numbers are in oneDNN's layout alone."""
        return torch.empty(self._packed.shape, dtype=self._packed.dtype, device="meta")

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        mapped: Tensor = torch.ops.mkldnn._linear_pointwise(
            hidden, self._packed, self.bias, "none", [], ""
        )
        return mapped


class LeanNorm(nn.Module):
    """A root mean square norm in float32."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight = norm.weight
        self.in_features = len(norm.weight)
        self.variance_epsilon: float = norm.variance_epsilon

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., hidden) to the same shape."""
        length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        variance = length.square_().div_(hidden.shape[-1])
        scale = variance.add_(self.variance_epsilon).rsqrt_()
        return torch.mul(hidden, scale).mul_(self.weight)


class LeanGate(nn.Module):
    """A gated MLP, with SiLU, that computes in place."""

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.in_features = mlp.gate_proj.in_features
        self.gate_proj, self.up_proj, self.down_proj = mlp.gate_proj, mlp.up_proj, mlp.down_proj

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (..., hidden) to the same shape."""
        gate = silu(self.gate_proj(hidden), inplace=True)
        mapped: Tensor = self.down_proj(gate.mul_(self.up_proj(hidden)))
        return mapped


def _faster(module: Any) -> PackedLinear | LeanNorm | LeanGate | None:
    """Return what should do the same as a module in less time, if there is such."""
    if type(module) is nn.Linear and _is_float32(module):
        return _packed(module)
    if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
        return LeanNorm(module) if _is_float32(module) else None
    if all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
        return LeanGate(module) if _is_float32(module.gate_proj) else None
    return None


def _packed(linear: nn.Linear) -> PackedLinear | None:
    try:
        return PackedLinear(linear)
    except (AttributeError, RuntimeError):  # a torch without oneDNN
        return None


def _is_float32(module: Any) -> bool:
    return bool(module.weight.dtype == torch.float32)


def _agree(module: Any, faster: PackedLinear | LeanNorm | LeanGate) -> bool:
    """Whether both give the same for a few rows of numbers."""
    size = _PROBES * faster.in_features
    probe = torch.arange(1.0, size + 1).sin().view(1, _PROBES, -1)  # as mixed as random ones
    expected = module(probe)
    close = 1e-4 * float(expected.abs().max())
    if not math.isfinite(close):
        return False  # nothing can be said of weights that are no numbers
    return torch.allclose(faster(probe), expected, rtol=1e-4, atol=close)
