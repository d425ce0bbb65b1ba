"""How a scan goes, on a terminal as a bar, elsewhere as a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.progress import TimeRemainingColumn as RestColumn

from guardrail.scan.judging import Result
from guardrail.scan.output import State

__all__ = ["shown"]

_EVERY_S = 10.0  # between lines that are not on a terminal


class _Counts:
    """Counts turns, and how many there are a second."""

    def begin(self, size: int, state: State) -> None:
        self.size = max(1, size)
        self.turns, self.before = state.rows, state.rows
        self.unsafe = sum(
            count for key, count in state.tally.items() if key[:2] == ("turn", "unsafe")
        )
        self.bytes = 0
        self.since = time.monotonic()

    def add(self, result: Result) -> None:
        self.turns += result.rows
        self.unsafe += sum(n for key, n in result.tally.items() if key[:2] == ("turn", "unsafe"))
        self.bytes = result.end

    @property
    def line(self) -> str:
        seconds = max(1e-3, time.monotonic() - self.since)
        rate = (self.turns - self.before) / seconds
        return f"{self.turns:,} turns · {rate:,.0f}/s · {self.unsafe:,} unsafe"


class _Bar(_Counts):
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, size: int, state: State) -> None:
        super().begin(size, state)
        self._task = self._bars.add_task(self.line, total=self.size)

    def add(self, result: Result) -> None:
        super().add(result)
        if self._task is not None:
            self._bars.update(self._task, completed=self.bytes, description=self.line)


class _Lines(_Counts):
    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, size: int, state: State) -> None:
        super().begin(size, state)
        self._told = self.since

    def add(self, result: Result) -> None:
        super().add(result)
        if time.monotonic() - self._told >= _EVERY_S:
            self._told = time.monotonic()
            self._console.print(f"{self.bytes / self.size:.0%} · {self.line}", highlight=False)


@contextmanager
def shown(console: Console) -> Iterator[_Counts]:
    """Show how a scan goes, while it does."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    bars = Progress(
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False),
        RestColumn(),
        console=console,
    )
    with bars:
        yield _Bar(bars)
