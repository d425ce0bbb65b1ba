"""The command: measures side by side, says what was to be reached, and whether it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from guardrail.integrations.gateway.bench.measure import cpu_per_call, load, memory_of
from guardrail.integrations.gateway.bench.servers import CLASSIFIER_S, Process, started

__all__ = ["main"]

_FIRST_TEXT_MS = 40.0
_CPU_MS = 3.0
_GROWTH = 1.05  # from the third tenth of the streams to the last


@dataclass(frozen=True, slots=True)
class _Row:
    """One figure, and what it should be at most; None if it is only to be known."""

    name: str
    value: float
    most: float | None = None

    @property
    def fine(self) -> bool:
        return self.most is None or self.value <= self.most

    def __str__(self) -> str:
        goal = "" if self.most is None else f"at most {self.most:g}"
        return f"{'' if self.fine else 'MISSED':7}{self.name:58}{self.value:>10.2f}  {goal}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with the arguments that follow its name."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(_gateway)
    name = "guardrail bench gateway"
    typer.main.get_command(app).main(None if arguments is None else list(arguments), name)


def _gateway(
    clients: Annotated[int, typer.Option(help="Streams at once.")] = 200,
    rounds: Annotated[int, typer.Option(help="Streams of each; the first is not timed.")] = 2,
    pause: Annotated[float, typer.Option(help="Seconds between chunks of 6 characters.")] = 0.2,
    calls: Annotated[int, typer.Option(help="Calls to measure CPU with.")] = 1000,
    streams: Annotated[int, typer.Option(help="Streams to watch memory over.")] = 10_000,
    file: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Measure the gateway beside a plain proxy and the bare upstream."""
    rows = []
    with (
        started("upstream") as upstream,
        started("gateway", upstream.url) as gateway,
        started("proxy", upstream.url) as proxy,
    ):
        for measured in (
            _under_load(upstream, gateway, clients, rounds, pause),
            _cpu(gateway, proxy, calls),
            _memory(gateway, streams),
        ):
            for row in asyncio.run(measured):
                rows.append(row)
                print(row, flush=True)
    if file is not None:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    raise typer.Exit(0 if all(row.fine for row in rows) else 1)


async def _under_load(
    upstream: Process, gateway: Process, clients: int, rounds: int, pause: float
) -> list[_Row]:
    bare = await load(upstream, clients, rounds, pause=pause)
    used = gateway.cpu()
    found = await load(gateway, clients, rounds, pause=pause)
    cpu = (gateway.cpu() - used) / (clients * rounds) * 1e3
    for error in sorted(set(found.errors)):
        print(f"       {error}")
    least = bare.median("window") + CLASSIFIER_S * 1e3
    return [
        _Row(f"{clients} streams at once: errors", len(found.errors), 0),
        _Row("  characters leaked", found.leaks, 0),
        _Row("  first text, bare upstream, median ms", bare.median("first")),
        _Row("  first window of text, bare upstream, median ms", bare.median("window")),
        _Row("  first text, gateway, median ms", found.median("first")),
        _Row(
            "  added over first window and classifier, median ms",
            found.median("first") - least,
            _FIRST_TEXT_MS,
        ),
        _Row("  end of the stream, bare upstream, median ms", bare.median("total")),
        _Row("  end of the stream, gateway, median ms", found.median("total")),
        _Row("  CPU of a stream, gateway, ms", cpu),
    ]


async def _cpu(gateway: Process, proxy: Process, calls: int) -> list[_Row]:
    plain = await cpu_per_call(proxy, calls)
    guarded = await cpu_per_call(gateway, calls)
    return [
        _Row("CPU of a call that is not streamed, plain proxy, ms", plain),
        _Row("CPU of a call that is not streamed, gateway, ms", guarded),
        _Row("  added, ms", guarded - plain, _CPU_MS),
    ]


async def _memory(gateway: Process, streams: int) -> list[_Row]:
    sizes = await memory_of(gateway, streams, at_once=50)
    return [
        *(
            _Row(f"memory after {streams * (at + 1) // 10} streams, MiB", sizes[at] / 2**20)
            for at in (0, 2, 9)
        ),
        _Row("  growth from the third tenth to the last, times", sizes[9] / sizes[2], _GROWTH),
    ]
