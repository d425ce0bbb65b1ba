"""`guardrail scan`; what it needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from guardrail.evaluation.options import (
    ClassifierOption,
    ColumnOption,
    ConfigOption,
    TextIsUserOption,
    choice,
)
from guardrail.scan.engines import SHARD_ROWS, Engine

if TYPE_CHECKING:
    from guardrail.config import ClassifierConfig
    from guardrail.policy import Policy

__all__ = ["scan"]

_STOPPED = 130


def scan(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="JSONL, CSV, TSV or Parquet file, or a folder of them.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="NAME.jsonl for one file; another name for a folder of Parquet files.",
            show_default=False,
        ),
    ],
    classifier: ClassifierOption = None,
    config: ConfigOption = None,
    column: ColumnOption = None,
    text_is_user: TextIsUserOption = False,
    text: Annotated[bool, typer.Option("--text", help="Results hold the texts.")] = False,
    engine: Annotated[
        Engine, choice(Engine, "This machine, or the Ray cluster at RAY_ADDRESS.")
    ] = Engine.LOCAL,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes, or actors, at most.", show_default="one per core"),
    ] = None,
    shard_rows: Annotated[
        int, typer.Option(min=1, help="Turns of a Parquet file, about.")
    ] = SHARD_ROWS,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where there are results already.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Judge logged turns by the million, and say what is among them.

    A command that was stopped or killed goes on where it was. Records that are no turns are set
    aside with the reason.
    """
    from guardrail.evaluation.columns import Columns
    from guardrail.scan.progress import shown
    from guardrail.scan.run import scan as run

    kind, policy = _chosen(config, classifier)
    try:
        with shown(Console(stderr=True)) as progress:
            summary = run(
                place,
                out,
                classifier=kind,
                policy=policy,
                columns=Columns.parse(column or (), text_is_user=text_is_user),
                keep_text=text,
                engine=engine,
                workers=workers,
                shard_rows=shard_rows,
                overwrite=overwrite,
                progress=progress,
            )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(_STOPPED) from None
    if as_json:
        typer.echo(summary.to_json(), nl=False)
    else:
        summary.show(Console())


def _chosen(config: Path | None, classifier: str | None) -> tuple[ClassifierConfig, Policy]:
    from guardrail.config import ClassifierConfig, Config
    from guardrail.evaluation.candidates import Candidate

    settings = Config.load(config)
    if classifier is None:
        return settings.classifier, settings.policy
    candidate = Candidate.parse(classifier, settings.policy)
    assert isinstance(candidate.classifier, ClassifierConfig)  # what `parse` gives
    return candidate.classifier, candidate.policy
