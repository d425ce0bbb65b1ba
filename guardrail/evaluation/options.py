"""The options that `guardrail eval` and `guardrail calibrate` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "BatchOption",
    "ClassifierOption",
    "ColumnOption",
    "ConfigOption",
    "DataArgument",
    "FolderOption",
    "FreshOption",
    "SeedOption",
    "Share",
    "TextIsUserOption",
    "UnsafeWhenOption",
    "choice",
]

DataArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="JSONL, CSV, TSV or Parquet files; owner/name@revision:split on the Hugging Face "
        "hub; kor-ethical-qa or pku-safe-rlhf. NAME=DATA gives it a name.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file; otherwise GUARDRAIL_CONFIG, or the defaults."),
]
ClassifierOption = Annotated[
    str | None,
    typer.Option(
        help="Instead of the configuration's: embedded, kosafeguard@REVISION, module:Class, each "
        "with ,name=value; or a TOML file.",
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column", help="ROLE=COLUMN where the usual names do not find it, as in assistant=answer."
    ),
]
UnsafeWhenOption = Annotated[
    list[str] | None,
    typer.Option(help="A value of the label that means unsafe; all others then mean safe."),
]
TextIsUserOption = Annotated[
    bool, typer.Option("--text-is-user", help="Texts without a role are users' turns, not replies.")
]
FolderOption = Annotated[
    Path,
    typer.Option(
        "--run", help="Folder that keeps verdicts: the same command goes on there after a kill."
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Judge all rows anew.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Rows that are judged at once.")]
SeedOption = Annotated[int, typer.Option(help="Of everything drawn at random.")]
Share = Annotated[float | None, typer.Option(min=0.0, max=1.0, show_default=False)]


def choice(kind: type[StrEnum], help: str) -> Any:  # noqa: A002 - typer's name
    """Return an option that takes one of a closed set, and says in plain words if it is none."""

    def parsed(text: str) -> StrEnum:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(kind)}") from None

    return typer.Option(parser=parsed, metavar=f"<{'|'.join(kind)}>", help=help)
