"""A base to start from where there is none: a small random Llama with a tokenizer of your texts.

    python -m guardrail.finetuning.fresh train.jsonl --out base --hidden 256 --layers 4

What a model of a few million weights learns from labelled turns alone is no KoSafeGuard: it is
small and quick, and knows no more than the rows. Trained with `guardrail train --method full`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardrail.errors import ConfigError
from guardrail.evaluation.data import Dataset
from guardrail.evaluation.options import DataArgument, SeedOption
from guardrail.finetuning.cli import run_alone

__all__ = ["make"]

_HEAD = 64  # numbers of an attention head, as in Llama 3.2 1B


def make(
    data: DataArgument = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write.")] = None,
    hidden: Annotated[int, typer.Option(min=_HEAD, help="Width; a multiple of 64.")] = 256,
    layers: Annotated[int, typer.Option(min=1)] = 4,
    vocabulary: Annotated[int, typer.Option(min=300, help="Tokens of the tokenizer.")] = 8000,
    context: Annotated[int, typer.Option(min=1024, help="Tokens that it reads.")] = 4096,
    seed: SeedOption = 0,
) -> None:
    """Write a small random Llama, with a tokenizer that is trained on the data's texts."""
    if not data or out is None:
        raise ConfigError("name the data, and the folder to write with --out")
    if hidden % _HEAD:
        raise ConfigError(f"hidden must be a multiple of {_HEAD}")
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{str(out)!r} is not empty; choose another --out")
    from guardrail.bench.models import Size, random_llama, trained_tokenizer

    rows = [row for one in data for row in Dataset.open(one).rows()]
    tokenizer = trained_tokenizer([f"{row.asked}\n{row.text}" for row in rows], vocabulary)
    heads = hidden // _HEAD
    size = Size(hidden, layers, heads, heads, 4 * hidden, len(tokenizer))
    model = random_llama(size, context=context, seed=seed)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    typer.echo(f"{model.num_parameters() / 1e6:.1f}M weights in {out}")


if __name__ == "__main__":
    run_alone(make)
