"""`guardrail train`; what it needs is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from guardrail.errors import ConfigError, GuardrailError
from guardrail.evaluation.options import (
    ColumnOption,
    DataArgument,
    SeedOption,
    TextIsUserOption,
    UnsafeWhenOption,
    choice,
)
from guardrail.finetuning.settings import Balance, Duplicates, Method, Settings

__all__ = ["run_alone", "train"]

_DEFAULT = Settings()
_BAD_INPUT, _STOPPED = 2, 130


def train(
    data: DataArgument = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--eval", help="Rows to be measured on; repeatable. Else some are held out."),
    ] = None,
    base: Annotated[str, typer.Option(help="Hub name or folder to start from.")] = _DEFAULT.base,
    revision: Annotated[str | None, typer.Option(help="Of the base.")] = None,
    method: Annotated[Method, choice(Method, "Which weights learn.")] = _DEFAULT.method,
    epochs: Annotated[float, typer.Option(help="Passes over the rows.")] = _DEFAULT.epochs,
    every: Annotated[
        float, typer.Option(help="Epochs between checkpoints, each saved and evaluated.")
    ] = _DEFAULT.every,
    learning_rate: Annotated[
        float | None, typer.Option(help="2e-4 with an adapter, 1e-5 in full.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Rows per step, over all devices.")] = _DEFAULT.batch,
    micro_batch: Annotated[
        int, typer.Option(help="Rows that a device reads at a time, behind one head.")
    ] = _DEFAULT.micro_batch,
    max_tokens: Annotated[
        int | None, typer.Option(help="Of a prompt; longer rows are left out.")
    ] = None,
    rank: Annotated[int, typer.Option(help="Of the adapter.")] = _DEFAULT.rank,
    choose: Annotated[
        str,
        typer.Option(help="What the best checkpoint is best in: f1, or f1=2,false_alarms=-1."),
    ] = _DEFAULT.choose,
    balance: Annotated[
        Balance, choice(Balance, "How the rarer of safe and unsafe is made up for.")
    ] = _DEFAULT.balance,
    duplicates: Annotated[
        Duplicates, choice(Duplicates, "Training rows that nearly stand in an evaluation set.")
    ] = _DEFAULT.duplicates,
    hold_out: Annotated[
        float, typer.Option(help="Share of the rows to be measured on, without --eval.")
    ] = _DEFAULT.hold_out,
    prefixes: Annotated[
        int,
        typer.Option(help="Beginnings of each unsafe reply from before and after it turns."),
    ] = _DEFAULT.prefixes,
    turn_column: Annotated[
        str | None,
        typer.Option(help="Column with how many characters of the reply are still safe."),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="Classifier that finds where replies turn: embedded, kosafeguard@…"),
    ] = None,
    category_prompts: Annotated[
        bool, typer.Option("--category-prompts", help="Also train the category question.")
    ] = False,
    bf16: Annotated[
        bool | None,
        typer.Option("--bf16/--no-bf16", help="Compute in bfloat16.", show_default="on GPUs"),
    ] = None,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Recompute activations: less memory.")
    ] = False,
    merge: Annotated[
        bool | None,
        typer.Option(
            "--merge/--no-merge", help="Store the adapter merged.", show_default="but for qlora"
        ),
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Use no GPU.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder.")
    ] = False,
    column: ColumnOption = None,
    unsafe_when: UnsafeWhenOption = None,
    text_is_user: TextIsUserOption = False,
    seed: SeedOption = _DEFAULT.seed,
) -> None:
    """Fine-tune a KoSafeGuard on labelled turns, and choose the best checkpoint.

    On several GPUs: accelerate launch -m guardrail.finetuning, with the same arguments.
    """
    settings = Settings(
        base=base,
        revision=revision,
        method=method,
        epochs=epochs,
        every=every,
        learning_rate=learning_rate,
        batch=batch,
        micro_batch=micro_batch,
        max_tokens=max_tokens,
        hold_out=hold_out,
        balance=balance,
        duplicates=duplicates,
        prefixes=prefixes,
        turn_column=turn_column,
        category_prompts=category_prompts,
        choose=choose,
        rank=rank,
        bf16=bf16,
        checkpointing=checkpointing,
        merge=merge,
        cpu=cpu,
        seed=seed,
    )
    if not data or out is None:
        raise ConfigError("name the data to learn from, and the folder to write with --out")
    from guardrail.evaluation.candidates import Candidate
    from guardrail.evaluation.columns import Columns
    from guardrail.finetuning import train as run

    columns = Columns.parse(
        column or (), unsafe_when=tuple(unsafe_when or ()), text_is_user=text_is_user
    )
    try:
        run(
            data,
            out,
            sets=sets or (),
            settings=settings,
            columns=columns,
            teacher=Candidate.parse(teacher) if teacher else None,
            resume=resume,
            tell=_tell,
        )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command with --resume goes on from here", err=True)
        raise typer.Exit(_STOPPED) from None


def run_alone(command: Callable[..., None]) -> None:
    """Run a command as a program; an error of this package is one line and exit code 2."""
    try:
        typer.run(command)
    except GuardrailError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_BAD_INPUT)


def _tell(text: str) -> None:
    """Print, above the progress bars."""
    from tqdm import tqdm

    tqdm.write(text)
