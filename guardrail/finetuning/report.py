"""What a run says of itself: its table, its plot and its model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Any

from guardrail.errors import needing
from guardrail.finetuning.choice import Choice, Line
from guardrail.finetuning.data import Data, Source
from guardrail.finetuning.settings import Method, Settings

__all__ = ["PLOT", "card", "plot", "table"]

PLOT = "evaluation.svg"
"""The plot's file, in the run's folder."""

_SHOWN = ("accuracy", "f1", "precision", "recall")
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito


def table(lines: Sequence[Line], chosen: int | None = None) -> str:
    """Return the card's table in Markdown; the chosen checkpoint is marked as main."""
    rows = [
        "| dataset | training steps | epoch | accuracy | F1 | precision | recall |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        main = " (main)" if line.steps == chosen else ""
        cells = [_shown(line.figures.get(name)) for name in _SHOWN]
        name = line.data.replace("|", "\\|")
        rows.append(f"| {name} | {line.steps}{main} | {line.epoch:.2f} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"


def plot(history: Sequence[Mapping[str, Any]], lines: Sequence[Line], path: Path) -> None:
    """Draw the training loss and each set's figures over the steps, as SVG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with needing("train"):
        import matplotlib
        from matplotlib.figure import Figure
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "guardrail"}):
        sets = list(dict.fromkeys(line.data for line in lines))
        figure = Figure(figsize=(4.2 * (1 + len(sets)), 3.4), layout="constrained")
        loss, *others = figure.subplots(1, 1 + len(sets), squeeze=False)[0]
        losses = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
        loss.plot(*zip(*losses, strict=True), color="#555")
        loss.set(title="training loss", xlabel="steps", ylim=(0, None))
        for axes, name in zip(others, sets, strict=True):
            _draw(axes, [line for line in lines if line.data == name])
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw(axes: Any, lines: Sequence[Line]) -> None:
    for name, colour in zip(_SHOWN, _COLOURS, strict=False):
        points = [(line.steps, line.figures[name]) for line in lines if name in line.figures]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=name, color=colour)
    axes.set(title=lines[0].data, xlabel="steps", ylim=(-0.02, 1.02))
    axes.legend(frameon=False)


def card(
    settings: Settings,
    data: Data,
    examples: int,
    lines: Sequence[Line],
    choice: Choice,
    *,
    name: str,
) -> str:
    """Return the model card that stands beside the weights."""
    return _CARD.format(
        base=settings.base,
        name=name,
        library="transformers" if settings.merged else "peft",
        how=_how(settings),
        sources="\n".join(map(_source, data.sources)),
        examples=_examples(settings, data, examples),
        table=table(lines, choice.steps),
        reason="\n\n".join(
            filter(None, [choice.reason, choice.warning and f"**{choice.warning}**"])
        ),
        quantization='"4bit"' if settings.method is Method.QLORA else "None",
        serve=_serve(settings, name),
        versions=", ".join(
            f"{one} {version(one)}" for one in ("torch", "transformers", "peft", "accelerate")
        ),
    )


def _how(settings: Settings) -> str:
    lora = "" if settings.method is Method.FULL else f", rank {settings.rank}"
    return (
        f"{settings.method}{lora}; {settings.epochs:g} epochs, {settings.batch} rows per step, "
        f"learning rate {settings.rate:g} falling to 0, "
        f"{'bfloat16' if settings.bf16 else 'float32'}, seed {settings.seed}; loss on the label "
        f"token alone, balance by {settings.balance}"
    )


def _source(source: Source) -> str:
    left_out = sum(source.left_out.values())
    unread = f", {left_out} records left out" if left_out else ""
    return (
        f"- {source.name}: {source.rows} rows, {source.unsafe} unsafe{unread} "
        f"{f' (sha256 {source.digest[:16]})' if source.place else ', drawn from these'}"
    )


def _examples(settings: Settings, data: Data, examples: int) -> str:
    dropped = sum(data.dropped.values())
    parts = [f"{len(data.train)} rows made {examples} examples"]
    if settings.prefixes:
        parts.append("beginnings of unsafe replies from before and after they turn among them")
    if settings.category_prompts:
        parts.append("questions about a single category among them")
    parts.append(f"{dropped} rows that nearly stood in an evaluation set were left out")
    return "; ".join(parts)


def _serve(settings: Settings, name: str) -> str:
    if settings.merged:
        return f"vllm serve {quote(name)} --served-model-name kosafeguard --max-logprobs 20"
    return (
        f"vllm serve {quote(settings.base)} --enable-lora --max-lora-rank {settings.rank} "
        f"--lora-modules {quote(f'kosafeguard={name}')} --max-logprobs 20"
    )


_CARD = """\
---
base_model: {base}
language: ko
library_name: {library}
pipeline_tag: text-generation
tags:
- kosafeguard
- safety
---

# {name}

Judges whether a chatbot's reply is unsafe: one token, `safe` or `unsafe`, after KoSafeGuard's
policy prompt. Fine-tuned from `{base}` with `guardrail train`.

## Use

```python
from guardrail import Guard
from guardrail.classifiers import KoSafeGuard

guard = Guard(KoSafeGuard("{name}", quantization={quantization}))
```

Each checkpoint below is a revision: `KoSafeGuard("{name}", revision="checkpoint-STEPS")`.

```bash
{serve}
```

## Training

- {how}
- {examples}
- {versions}

{sources}

## Evaluation

Unsafe is positive, the threshold 0.5. A row whose answer is mostly no label counts as wrong:
`KoSafeGuard` refuses it.

{table}

{reason}

![Loss and figures over the steps](evaluation.svg)

## Limits

The figures hold for rows like those of the sets above. Measure it on your own with
`guardrail eval`, and choose the threshold with `guardrail calibrate`, before going live. It judges
replies, and names no category by itself.
"""
