"""The command line."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import version
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from guardrail.audit import json_line
from guardrail.errors import GuardrailError, InvalidTurnError, MissingExtraError, needing
from guardrail.evaluation.cli import calibrate, evaluate
from guardrail.finetuning.cli import train
from guardrail.guard import Guard
from guardrail.scan.cli import scan
from guardrail.types import Action, Outcome

__all__ = ["app", "main"]

app = typer.Typer(
    name="guardrail",
    help="Guards the replies of chatbots.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
_policy_app = typer.Typer(help="Look at and check configuration files.", no_args_is_help=True)
app.add_typer(_policy_app, name="policy")

_ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file; otherwise GUARDRAIL_CONFIG, or the defaults."),
]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_UNSAFE, _BAD_INPUT = 1, 2
# Tables that what serves them reads and checks, and the settings that hold them.
_FULLER = {
    ("gateway", "records", "telemetry"): "guardrail.integrations.gateway.serving:ServingConfig",
    ("ray",): "guardrail.integrations.ray_serve.settings:ClusterConfig",
}
_BATCH, _READ = 64, 1 << 16


def _show_version(asked: bool) -> None:
    if asked:
        print(version("guardrail-ko"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an error of this package is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a lone surrogate is no reason to stop
    try:
        app()
    except GuardrailError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_BAD_INPUT)


@app.command()
def demo() -> None:
    """Play a scripted Korean conversation through the guard."""
    from guardrail.demo import show

    show(Console())


@app.command()
def check(
    user: Annotated[str | None, typer.Option(help="What the user said.")] = None,
    assistant: Annotated[str | None, typer.Option(help="The reply to judge.")] = None,
    config: _ConfigOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Judge one reply, or JSONL from stdin: rows with "user" and "assistant" in, outcomes out.

    The exit code is 1 where something was unsafe, 2 where something could not be judged.
    """
    guard = Guard.from_config(config)
    if assistant is None and user is None:
        stream = cast(BufferedIOBase, sys.stdin.buffer)  # whose read1 its declared type lacks
        raise typer.Exit(_check_rows(guard, stream))
    if assistant is None:
        raise InvalidTurnError("--assistant is missing: it is the reply that is judged")
    outcome = guard.check(user=user or "", assistant=assistant)
    if as_json:
        _print_json(_as_dict(outcome))
    else:
        print(_as_text(outcome))
    raise typer.Exit(_exit_code(outcome))


@app.command()
def doctor(
    model: Annotated[str | None, typer.Option(help="Hub name or folder; KoSafeGuard-8B.")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision on the hub.")] = None,
    quantization: Annotated[str, typer.Option(help="4bit, 8bit or none.")] = "4bit",
    device: Annotated[str | None, typer.Option(help="Such as cuda or cpu.")] = None,
    examples: Annotated[bool, typer.Option(help="Load the model; judge its examples.")] = True,
) -> None:
    """Look at all that KoSafeGuard needs on this machine; exit code 1 where something is wrong."""
    from guardrail.doctor import report

    found = report(
        model,
        revision=revision,
        quantization=None if quantization == "none" else quantization,
        device=device,
        examples=examples,
    )
    print(found)
    raise typer.Exit(0 if found.ok else 1)


_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(add_help_option=False, context_settings=_FORWARDED)
def bench(context: typer.Context) -> None:
    """Measure KoSafeGuard's engine against its card's recipe; `bench gateway`: the gateway."""
    if context.args[:1] == ["gateway"]:
        _forward("guardrail.integrations.gateway.bench", "server", context.args[1:])
    else:
        _forward("guardrail.bench", "kosafeguard", context.args)


@app.command(add_help_option=False, context_settings=_FORWARDED)
def serve(context: typer.Context) -> None:
    """Run the gateway between any OpenAI-compatible app and any OpenAI-compatible model."""
    _forward("guardrail.integrations.gateway.cli", "server", context.args)


app.command("eval")(evaluate)
app.command()(calibrate)
app.command()(scan)
app.command()(train)


def _forward(module: str, extra: str, arguments: list[str]) -> None:
    """Run the command of a module whose libraries come with an extra."""
    with needing(extra):
        command = import_module(module).main
    raise typer.Exit(command(arguments) or 0)


@_policy_app.command("show")
def policy_show(config: _ConfigOption = None, as_json: _JsonOption = False) -> None:
    """Print all settings in force, defaults and environment included."""
    from guardrail.config import Config

    settings = Config.load(config)
    text = settings.spelled_out().model_dump_json(indent=2) if as_json else settings.to_toml()
    print(text.rstrip())


@_policy_app.command("validate")
def policy_validate(path: Annotated[Path, typer.Argument(help="TOML file.")]) -> None:
    """Check a configuration file: every table, and that there is such a classifier."""
    from guardrail.config import Config

    config = Config.load(path)
    unchecked = [*_unchecked(config.check, ["classifier"])]
    for tables, settings in _FULLER.items():
        named = [table for table in tables if getattr(config, table) is not None]
        if named:
            unchecked += _unchecked(partial(_load_fully, path, settings), named)
    print(f"{path}: ok", *unchecked, sep="\n")


def _unchecked(check: Callable[[], object], tables: Sequence[str]) -> Iterator[str]:
    """Check some tables; where that takes an extra that is missing, say so."""
    try:
        check()
    except MissingExtraError as error:
        yield f"not checked: {', '.join(f'[{table}]' for table in tables)}: {error}"


def _load_fully(path: Path, settings: str) -> None:
    module, _, name = settings.partition(":")
    getattr(import_module(module), name).load(path)


@_policy_app.command("init")
def policy_init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("guardrail.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a configuration file with every default spelled out, to edit."""
    from guardrail.config import Config
    from guardrail.errors import ConfigError

    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(Config.model_construct().to_toml())
    except FileExistsError:
        raise ConfigError(f"{path} exists; --force replaces it") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    print(f"wrote {path}")


def _check_rows(guard: Guard, stream: BufferedIOBase) -> int:
    """Judge JSONL rows batch by batch, print one line for each, and return the exit code."""
    code = 0
    for batch in _batches(stream):
        for answer, row_code in _check_batch(guard, batch):
            _print_json(answer)
            code = max(code, row_code)
    return code


def _check_batch(
    guard: Guard, batch: list[tuple[int, bytes]]
) -> Iterator[tuple[dict[str, Any], int]]:
    rows = [(number, _parsed(line)) for number, line in batch if line.strip()]
    outcomes = iter(guard.check_many(row for _, row in rows if isinstance(row, tuple)))
    for number, row in rows:
        if isinstance(row, str):
            yield {"row": number, "error": row}, _BAD_INPUT
        else:
            outcome = next(outcomes)
            yield {"row": number, **_as_dict(outcome)}, _exit_code(outcome)


def _parsed(line: bytes) -> tuple[str, str] | str:
    """Return a row's user and assistant, or what is wrong with it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    if not isinstance(row, dict) or not isinstance(row.get("assistant"), str):
        return 'a row is an object with "user" and "assistant", both strings'
    user = "" if row.get("user") is None else row["user"]
    return (user, row["assistant"]) if isinstance(user, str) else '"user" must be a string'


def _print_json(value: dict[str, Any]) -> None:
    """Print one line of JSON: in UTF-8, whatever the terminal's encoding."""
    sys.stdout.buffer.write(f"{json_line(value)}\n".encode())
    sys.stdout.flush()


def _batches(stream: BufferedIOBase) -> Iterator[list[tuple[int, bytes]]]:
    """Yield numbered lines; whatever has come is the next batch, for a program may wait for it."""
    number, rest = 1, b""
    while chunk := stream.read1(_READ):
        *lines, rest = (rest + chunk).split(b"\n")
        numbered = list(enumerate(lines, number))
        number += len(lines)
        yield from (numbered[start : start + _BATCH] for start in range(0, len(lines), _BATCH))
    yield [(number, rest)]


def _exit_code(outcome: Outcome) -> int:
    if outcome.error is not None:
        return _BAD_INPUT
    return 0 if outcome.action is Action.ALLOW else _UNSAFE


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    verdict = outcome.verdict
    return {
        "action": outcome.action,
        "text": outcome.text,
        "unsafe": verdict.unsafe if verdict else None,
        "score": verdict.score if verdict else None,
        "category": outcome.category,
        "categories": dict(verdict.categories) if verdict else {},
        "classifier": verdict.classifier if verdict else None,
        "error": str(outcome.error) if outcome.error else None,
    }


def _as_text(outcome: Outcome) -> str:
    score = "-" if outcome.verdict is None else f"{outcome.verdict.score:.3f}"
    first = f"{outcome.action}\tscore {score}\t{outcome.category or '-'}"
    failed = [f"no verdict: {outcome.error}"] if outcome.error else []
    return "\n".join([first, *failed, outcome.text])
