"""What the device could do at best: the yardstick beside the recipe.

A forward must read every weight once and multiply each with every new token. Neither the memory's
bandwidth nor the arithmetic's speed is taken from a data sheet: both are measured here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Limits", "limits_of"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The least time of forwards on a device.

    Args:
        weight_bytes: of all weights that a forward reads, as stored.
        flops_per_token: of the weights' multiplications.
        bytes_per_s: read from memory, measured.
        flops_per_s: of a large matrix product in the model's dtype, measured.
    """

    weight_bytes: float
    flops_per_token: float
    bytes_per_s: float
    flops_per_s: float

    def seconds(self, tokens: float, forwards: int = 1) -> float:
        """Return the least time in which so many new tokens can be read."""
        reading = forwards * self.weight_bytes / self.bytes_per_s
        return max(reading, tokens * self.flops_per_token / self.flops_per_s)

    def __str__(self) -> str:
        return (
            f"measured limits: {self.bytes_per_s / 1e9:.0f} GB/s, "
            f"{self.flops_per_s / 1e12:.2f} TFLOP/s; weights {self.weight_bytes / 1e9:.2f} GB, "
            f"{self.flops_per_token / 1e9:.2f} GFLOP per token"
        )


def limits_of(model: Any) -> Limits:
    """Measure the device that a model is on."""
    body = [module for name, module in model.named_modules() if _is_linear(module, name)]
    dtype = model.get_input_embeddings().weight.dtype
    return Limits(
        weight_bytes=sum(each.weight.numel() * each.weight.element_size() for each in body),
        flops_per_token=sum(2 * each.in_features * each.out_features for each in body),
        bytes_per_s=_bandwidth(model.device),
        flops_per_s=_arithmetic(model.device, dtype),
    )


def _is_linear(module: Any, name: str) -> bool:
    """Whether a forward multiplies this with every token; the output layer sees the last alone."""
    return isinstance(module, torch.nn.Linear) and not name.endswith("lm_head")


def _bandwidth(device: torch.device) -> float:
    data = torch.ones(2**28 if device.type == "cuda" else 2**26, device=device)
    return data.numel() * data.element_size() / _fastest(data.sum, device)


def _arithmetic(device: torch.device, dtype: torch.dtype) -> float:
    size = 8192 if device.type == "cuda" else 1536
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    return 2 * size**3 / _fastest(lambda: matrix @ matrix, device)


def _fastest(work: Callable[[], object], device: torch.device, times: int = 8) -> float:
    seconds = []
    for _ in range(times):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
