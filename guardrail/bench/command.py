"""The command: which model, which scenarios; a table for people and JSON for machines."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from guardrail.bench.limits import Limits, limits_of
from guardrail.bench.measure import Bench, Row
from guardrail.bench.models import SIZES, quantised, random_llama, tokenizer_like_llama3
from guardrail.bench.profile import profile
from guardrail.classifiers.kosafeguard import Loaded
from guardrail.classifiers.kosafeguard.load import best_device, load

__all__ = ["main"]

_DTYPES = ("float32", "bfloat16", "float16")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the arguments say, print the table, and return 0.

    Args:
        arguments: of the command line; the process's own when None.
    """
    asked = _asked(arguments)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    loaded = _load(asked)
    limits, numbers = limits_of(loaded.model), _stored_numbers(loaded.model)
    bench = Bench(loaded, rounds=asked.rounds, cuda_graphs=not asked.no_graphs)
    setting = _setting(asked, numbers, bench)
    print(setting, limits, sep="\n", end="\n\n", flush=True)
    print(_HEADER, flush=True)
    rows = []
    for row in _rows(bench, asked.batches):
        rows.append(row)
        print(_line(row, limits), flush=True)
    if asked.profile:
        print(profile(bench))
    if asked.json:
        report = {
            "setting": setting,
            "limits": asdict(limits),
            "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
        }
        Path(asked.json).write_text(json.dumps(report, indent=1), encoding="utf-8")
    bench.guard.close()
    return 0


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    asked = parser.parse_args(arguments)
    if not asked.model and (asked.revision or asked.quantization == "8bit"):
        parser.error("--revision and --quantization 8bit are of real weights; pass --model")
    return asked


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="guardrail bench",
        description="Measure KoSafeGuard's engine against its card's recipe on the same weights.",
    )
    parser.add_argument("--model", help="hub name or folder of real weights; else they are random")
    parser.add_argument("--revision", help="of --model")
    parser.add_argument("--size", choices=list(SIZES), default="100m", help="of a random Llama")
    parser.add_argument("--quantization", choices=["none", "4bit", "8bit"], default="none")
    parser.add_argument("--device", default=best_device())
    parser.add_argument("--dtype", choices=_DTYPES, default="float32")
    parser.add_argument("--rounds", type=_positive, default=5, help="of each scenario")
    parser.add_argument("--batches", type=_numbers, default=[1, 4, 16], help="such as 1,4,16")
    parser.add_argument("--threads", type=_positive, help="of torch on the CPU")
    parser.add_argument("--no-graphs", action="store_true", help="without CUDA graphs")
    parser.add_argument("--profile", action="store_true", help="show where a GPU's time goes")
    parser.add_argument("--json", help="file to write the figures to")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def _numbers(text: str) -> list[int]:
    return [_positive(number) for number in text.split(",")]


def _load(asked: argparse.Namespace) -> Loaded:
    quantization = None if asked.quantization == "none" else asked.quantization
    dtype = getattr(torch, asked.dtype)
    if asked.model:
        return load(
            asked.model,
            revision=asked.revision,
            quantization=quantization,
            device=asked.device,
            dtype=dtype,
        )
    model = random_llama(SIZES[asked.size], device=asked.device, dtype=dtype)
    if quantization:
        quantised(model)
    return Loaded(model, tokenizer_like_llama3())


def _rows(bench: Bench, batches: Iterable[int]) -> Iterable[Row]:
    yield bench.turn()
    yield bench.stream()
    for turns in batches:
        if turns > 1:
            yield bench.batch(turns)


def _stored_numbers(model: Any) -> int:
    """Count a model's weights; an engine on a CPU keeps them elsewhere than in its parameters."""
    return sum(each.numel() for each in model.parameters())


def _setting(asked: argparse.Namespace, numbers: int, bench: Bench) -> str:
    device = torch.device(asked.device)
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    )
    what = asked.model or f"random Llama, {asked.size}"
    return (
        f"{what}: {numbers / 1e6:.0f}M stored numbers, {asked.dtype}, quantization "
        f"{asked.quantization}; {name}; torch {torch.__version__}, transformers "
        f"{transformers.__version__}; {bench.guard.how}; head of {bench.head_tokens} tokens"
    )


_HEADER = (
    f"{'per round, p50/p95 in ms':34}{'engine':>16}{'recipe':>16}{'padded':>10}{'bare':>9}"
    f"{'ratio':>8}{'/bare':>7}{'/limit':>8}{'checks/s':>10}{'seen':>8}{'read':>7}"
    f"{'off by':>9}{'GiB':>6}"
)


def _line(row: Row, limits: Limits) -> str:
    def both(times: Any) -> str:
        return f"{times.p50 * 1e3:.1f}/{times.p95 * 1e3:.1f}"

    padded = f"{row.padded.p50 * 1e3:.1f}" if row.padded else ""
    bare = f"{row.bare.p50 * 1e3:.1f}" if row.bare else ""
    over_bare = f"{row.over_bare:.2f}" if row.over_bare else ""
    limit = limits.seconds(row.forwarded, row.checks if row.padded is None else 1)
    return (
        f"{row.name:34}{both(row.engine):>16}{both(row.recipe):>16}{padded:>10}{bare:>9}"
        f"{row.ratio:>7.2f}x{over_bare:>7}{row.engine.p50 / limit:>8.2f}{row.per_second:>10.1f}"
        f"{row.seen:>8.0f}{row.forwarded:>7.0f}{row.difference:>9.1e}{row.peak_bytes / 2**30:>6.1f}"
    )
