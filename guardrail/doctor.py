"""What stands between this machine and KoSafeGuard, found out one by one.

Nothing is downloaded. Each finding is fine, wrong (with what to do), or only worth knowing.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from guardrail.errors import GuardrailError

__all__ = ["Finding", "Report", "report"]

_LIBRARIES = ("torch", "transformers", "accelerate", "bitsandbytes")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_WORKING_BYTES = 1.5 * 2**30  # of a batch's activations, and of what the libraries take
_STORED_BYTES = {"4bit": 0.5 + 4 / 64, "8bit": 1.0}  # per weight; fp4 has a float32 per 64 weights


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        subject: what.
        text: what was found, and what to do if it is wrong.
        fine: False when KoSafeGuard will not run because of it; None when it is only to be known.
    """

    subject: str
    text: str
    fine: bool | None = True

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "FAIL", None: "    "}[self.fine]
        return f"{mark}  {self.subject:14} {self.text}"


@dataclass(frozen=True, slots=True)
class Report:
    """All findings."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.fine is not False for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


@dataclass(frozen=True, slots=True)
class _Asked:
    model: str
    revision: str | None
    quantization: str | None
    device: str
    cache_tokens: int
    examples: bool


def report(
    model: str | None = None,
    *,
    revision: str | None = None,
    quantization: str | None = "4bit",
    device: str | None = None,
    cache_tokens: int = 16384,
    examples: bool = True,
) -> Report:
    """Look at all that KoSafeGuard needs, and let it judge its card's examples if it can.

    Args:
        model: hub name or folder; KoSafeGuard-8B.
        revision: on the hub.
        quantization: "4bit", "8bit" or None.
        device: such as "cuda" or "cpu"; the first GPU if there is one.
        cache_tokens: as for the classifier.
        examples: whether to load the model, which takes its memory and time, and run it.
    """
    findings = [Finding("Python", platform.python_version(), None)]
    findings += [_library(name) for name in _LIBRARIES]
    if not Report(tuple(findings)).ok:
        return Report(tuple(findings))
    from guardrail.classifiers.kosafeguard.load import MODEL, best_device

    asked = _Asked(
        model or MODEL, revision, quantization, device or best_device(), cache_tokens, examples
    )
    findings += [_guarded("device", _device, asked), *_of_the_model(asked)]
    return Report(tuple(findings))


def _library(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "missing: pip install 'guardrail-ko[kosafeguard]'", fine=False)


def _of_the_model(asked: _Asked) -> Iterator[Finding]:
    weights = _guarded("weights", _weights, asked)
    yield weights
    if not weights.fine:
        return
    memory = _guarded("memory", _memory, asked)
    yield memory
    if memory.fine and asked.examples:
        yield _guarded("card examples", _examples, asked)


def _guarded(subject: str, look: Callable[[_Asked], Finding], asked: _Asked) -> Finding:
    """Return what was found, or the error that kept it from being found."""
    try:
        return look(asked)
    except GuardrailError as error:
        return Finding(subject, str(error), fine=False)
    except Exception as error:  # a doctor that fails tells nothing
        return Finding(subject, f"{type(error).__name__}: {error}", fine=False)


def _device(asked: _Asked) -> Finding:
    import torch

    device = torch.device(asked.device)
    if device.type == "cpu":
        return Finding(
            "device", f"CPU, {torch.get_num_threads()} threads; a GPU is far faster", None
        )
    if device.type == "cuda" and not torch.cuda.is_available():
        return Finding(
            "device", "torch sees no GPU; check its driver and torch's CUDA build", False
        )
    torch.zeros(1, device=device).add_(1)  # it answers
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Finding("device", name)


def _weights(asked: _Asked) -> Finding:
    missing = _missing_files(asked)
    if not missing:
        return Finding("weights", f"{asked.model} is on this machine")
    return Finding(
        "weights",
        f"{asked.model} is not on this machine ({missing[0]} is missing); it is downloaded when "
        "first used, or get it with: hf download "
        + asked.model
        + (f" --revision {asked.revision}" if asked.revision else ""),
        fine=False,
    )


def _missing_files(asked: _Asked) -> list[str]:
    """Return the names of needed files that are neither in the folder nor in the hub's cache."""
    needed = ["config.json", "tokenizer.json"]
    for weights in _WEIGHTS:
        index = _local(asked, f"{weights}.index.json")
        if index is not None:
            needed += sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
            break
        if _local(asked, weights) is not None:
            break
    else:
        needed.append(_WEIGHTS[0])
    return [name for name in needed if _local(asked, name) is None]


def _local(asked: _Asked, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    if Path(asked.model).is_dir():
        found: Any = Path(asked.model) / name
    else:
        found = try_to_load_from_cache(asked.model, name, revision=asked.revision)
    return Path(found) if isinstance(found, str | Path) and Path(found).exists() else None


def _memory(asked: _Asked) -> Finding:
    needed, free = _needed_bytes(asked), _free_bytes(asked.device)
    text = f"{needed / 2**30:.1f} GiB needed, {free / 2**30:.1f} GiB free on {asked.device}"
    if needed <= free:
        return Finding("memory", text)
    advice = "free some, lower cache_tokens" + (
        "" if asked.quantization == "4bit" else ", or use quantization='4bit'"
    )
    return Finding("memory", f"{text}: {advice}", fine=False)


def _needed_bytes(asked: _Asked) -> float:
    """Return an estimate of what weights, cache and one batch take."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(asked.model, revision=asked.revision, local_files_only=True)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    dtype = (config.dtype or torch.float32).itemsize
    body = sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not name.endswith("lm_head")
    )
    rest = sum(weight.numel() for weight in model.parameters()) - body
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * heads * size * dtype * asked.cache_tokens
    stored = _STORED_BYTES.get(asked.quantization or "", dtype)
    return float(body * stored + rest * dtype + cache + _WORKING_BYTES)


def _free_bytes(device: str) -> int:
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil  # type: ignore[import-untyped]  # it has no types; it comes with accelerate

    return int(psutil.virtual_memory().available)


def _examples(asked: _Asked) -> Finding:
    from guardrail.classifiers.kosafeguard import KoSafeGuard, card_examples

    started = time.perf_counter()
    guard = KoSafeGuard(
        asked.model,
        revision=asked.revision,
        quantization=asked.quantization,  # type: ignore[arg-type]  # a wrong one is told by it
        device=asked.device,
        cache_tokens=asked.cache_tokens,
    )
    loaded = time.perf_counter()
    examples = card_examples()
    try:
        verdicts = guard.classify_many([conversation for conversation, _ in examples])
    finally:
        guard.close()
    judged = time.perf_counter()
    right = sum(
        verdict.unsafe is unsafe for verdict, (_, unsafe) in zip(verdicts, examples, strict=True)
    )
    return Finding(
        "card examples",
        f"{right} of {len(examples)} as on the model's card; loaded in {loaded - started:.1f} s, "
        f"judged in {judged - loaded:.1f} s ({guard.how})",
        fine=right == len(examples),
    )
