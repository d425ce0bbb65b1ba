"""Packed training steps against plain ones, on the same rows and weights, in one run.

    python -m guardrail.finetuning.bench --size 100m --rows 16 --tokens 100

A plain step reads every prompt whole, padded to the longest. Speed does not depend on what the
weights say, so a random Llama stands in for the model.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import typer
from torch.nn.functional import cross_entropy

from guardrail.bench.models import SIZES, random_llama, tokenizer_like_llama3
from guardrail.bench.texts import turn
from guardrail.classifiers.kosafeguard.encode import Encoder
from guardrail.classifiers.kosafeguard.load import best_device
from guardrail.classifiers.kosafeguard.prompts import Prompts
from guardrail.errors import ConfigError
from guardrail.finetuning.cli import run_alone
from guardrail.finetuning.packing import Sample, packed, padded, prepare
from guardrail.prompt import render
from guardrail.taxonomy import KOSAFEGUARD

__all__ = ["Step", "measure", "run"]

_CONTEXT = 8192


@dataclass(frozen=True, slots=True)
class Step:
    """How one way of training did.

    Args:
        seconds: of each step, forward and backward.
        tokens: that a step computes, padding included.
        held_bytes: of activations that the forward pass keeps for the backward pass.
        peak_bytes: the most GPU memory held, weights and gradients included; 0 on a CPU.
    """

    seconds: Sequence[float]
    tokens: int
    held_bytes: int
    peak_bytes: int

    @property
    def median(self) -> float:
        """The median step, in seconds."""
        return statistics.median(self.seconds)


def run(
    size: Annotated[str, typer.Option(help=f"Of the random Llama: {', '.join(SIZES)}.")] = "tiny",
    rows: Annotated[int, typer.Option(min=1, help="Per step.")] = 16,
    tokens: Annotated[int, typer.Option(min=10, help="Of each row's two texts.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Steps of each way.")] = 5,
    device: Annotated[str, typer.Option()] = "",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    checkpointing: Annotated[bool, typer.Option("--checkpointing")] = False,
) -> None:
    """Measure steps in turns, one way after the other, and print what each took."""
    if size not in SIZES:
        raise ConfigError(f"size must be one of {', '.join(SIZES)}")
    device = device or best_device()
    model = random_llama(SIZES[size], device=device, dtype=getattr(torch, dtype), context=_CONTEXT)
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    plain, together = measure(model, _samples(rows, tokens), rounds)
    name = torch.cuda.get_device_name(device) if device != "cpu" else platform.machine()
    typer.echo(
        f"random Llama {size}, {dtype}, {rows} rows of {tokens} tokens, {name}, "
        f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}"
    )
    for label, step in (("plain", plain), ("packed", together)):
        peak = f", {step.peak_bytes / 2**30:.2f} GiB at most" if step.peak_bytes else ""
        typer.echo(
            f"{label:8}{step.median:9.3f} s a step, {step.tokens} tokens, "
            f"{step.held_bytes / 2**20:.0f} MiB of activations{peak}"
        )
    typer.echo(
        f"plain / packed: {plain.median / together.median:.2f} in time, "
        f"{plain.tokens / together.tokens:.2f} in tokens, "
        f"{plain.held_bytes / together.held_bytes:.2f} in activations"
    )


def measure(model: Any, samples: Sequence[Sample], rounds: int) -> tuple[Step, Step]:
    """Return how plain and packed steps over the same samples did, after one of each to warm up.

    Args:
        model: a Llama; its attention is changed.
        samples: of one step.
        rounds: steps of each way, taken in turns.
    """
    model.train()

    def plain() -> None:
        model.set_attn_implementation("sdpa")
        _step(model, padded(samples))

    def together() -> None:
        prepare(model)
        _step(model, packed(samples))

    held = _held(plain, model), _held(together, model)
    times = [(_timed(plain, model), _timed(together, model)) for _ in range(rounds)]
    return (
        _summed([one for one, _ in times], padded(samples), held[0]),
        _summed([other for _, other in times], packed(samples), held[1]),
    )


def _summed(times: Sequence[tuple[float, int]], batch: dict[str, Any], held: int) -> Step:
    seconds, peaks = zip(*times, strict=True)
    return Step(seconds, int(batch["input_ids"].numel()), held, max(peaks))


def _held(step: Callable[[], None], model: Any) -> int:
    """Return the bytes that a step saves for its backward pass, the weights aside."""
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    return sum(kept.values())


def _samples(rows: int, tokens: int) -> list[Sample]:
    tokenizer = tokenizer_like_llama3()
    prompts = Prompts(Encoder(tokenizer), render, limit=_CONTEXT)
    made = (prompts(turn(tokenizer, tokens, seed), KOSAFEGUARD)[0] for seed in range(rows))
    return [Sample.of(one, unsafe=row % 2 == 0, row=row) for row, one in enumerate(made)]


def _step(model: Any, batch: dict[str, Any]) -> None:
    """Read a batch and compute all gradients."""
    device = model.device
    moved = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name not in ("labels", "weights", "rows", "masks")
    }
    if "masks" in batch:
        moved["masks"] = [None if mask is None else mask.to(device) for mask in batch["masks"]]
    logits = model(**moved, use_cache=False).logits.flatten(0, 1).float()
    torch.autograd.backward(cross_entropy(logits, batch["labels"].to(device)))
    model.zero_grad(set_to_none=True)


def _timed(step: Callable[[], None], model: Any) -> tuple[float, int]:
    """Return the seconds and, on a GPU, the most memory that a step takes."""
    gpu = model.device.type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats(model.device)
        torch.cuda.synchronize(model.device)
    start = time.perf_counter()
    step()
    if gpu:
        torch.cuda.synchronize(model.device)
    seconds = time.perf_counter() - start
    return seconds, torch.cuda.max_memory_allocated(model.device) if gpu else 0


if __name__ == "__main__":
    run_alone(run)
