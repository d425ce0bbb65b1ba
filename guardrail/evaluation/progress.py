"""Progress bars of what is judged; imports little, for the command line to offer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from guardrail.evaluation.plan import Progress

__all__ = ["shown"]

_STOPPED = 130


@contextmanager
def shown() -> Iterator[Progress]:
    """Show bars on the terminal; an interrupt ends the program with a word on how to go on."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    tasks: dict[str, Any] = {}

    def progress(what: str, done: int, size: int) -> None:
        bars.start()  # not before there is something to show: without bars it leaves an empty line
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=size)
        bars.update(tasks[what], advance=done)

    try:
        try:
            yield progress
        finally:
            if tasks:
                bars.stop()
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(_STOPPED) from None
