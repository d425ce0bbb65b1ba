"""`guardrail scan`: what it prints, and with which exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from guardrail.errors import ConfigError
from guardrail.scan.cli import scan

from .helpers import found, turns, write

STUB = "guardrail.testing:StubClassifier,unsafe=BAD"


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(scan)
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = write(tmp_path / "in.jsonl", turns(1000))
    path.write_bytes(path.read_bytes() + b"oh no\n")
    return path


def test_the_summary_is_printed(place: Path, tmp_path: Path) -> None:
    """With what was set aside, and why."""
    done = run(place, tmp_path / "out.jsonl", "--classifier", STUB)

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == (
        "1,000 turns judged · 200 unsafe (20.00%) · 1 records set aside"
    )
    assert "no category known" in done.stdout
    assert done.stdout.splitlines()[-1] == "set aside: 1 × not JSON"


def test_the_summary_is_json_for_programs(place: Path, tmp_path: Path) -> None:
    """And nothing else is printed."""
    done = run(place, tmp_path / "out", "--classifier", STUB, "--json")

    assert json.loads(done.stdout) == {
        "turns": 1000,
        "unsafe": 200,
        "unknown": 0,
        "degraded": 0,
        "judged": {"reply": 1000},
        "actions": {"allow": 800, "replace": 200},
        "categories": {"none": {"replace": 200}},
        "errors": {},
        "set_aside": {"not JSON": 1},
    }


def test_a_configuration_gives_classifier_and_policy(place: Path, tmp_path: Path) -> None:
    """As for the other commands."""
    config = tmp_path / "guardrail.toml"
    config.write_text(
        '[classifier]\nkind = "guardrail.testing:StubClassifier"\nunsafe = "BAD"\n'
        '[policy]\nmode = "monitor"\n'
    )
    run(place, tmp_path / "out.jsonl", "--config", config)

    assert {row["action"] for row in found(tmp_path / "out.jsonl")} == {"allow", "flag"}


def test_columns_are_named_on_the_command_line(tmp_path: Path) -> None:
    """Where their names are unusual, and whose turn a text is."""
    place = write(tmp_path / "in.csv", [{"words": "BAD"}])
    options = ("--column", "text=words", "--text-is-user", "--text", "--classifier", STUB)
    done = run(place, tmp_path / "out.jsonl", *options)
    (row,) = found(tmp_path / "out.jsonl")

    assert done.exit_code == 0, done.output
    assert (row["judged"], row["text"], row["unsafe"]) == ("text alone", "BAD", True)


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    """Through the error that the command line prints."""
    done = run(tmp_path / "nowhere", tmp_path / "out")

    assert isinstance(done.exception, ConfigError)
    assert "there is no file or folder" in str(done.exception)


def test_a_terminal_shows_a_bar(place: Path, tmp_path: Path) -> None:
    """With the turns done, their rate, and what is left."""
    ours, theirs = pty.openpty()
    command = "from guardrail.cli import main; main()"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            command,
            "scan",
            place,
            tmp_path / "out.jsonl",
            "--classifier",
            STUB,
        ],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    process.wait()
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)

    assert "100%" in shown
    assert "1,000 turns · " in shown
    assert "200 unsafe" in shown


def test_the_command_costs_nothing_until_it_runs() -> None:
    """The command line offers it, so it is imported with it."""
    heavy = ("numpy", "pyarrow", "ray", "multiprocessing.context")
    code = f"import sys, guardrail.scan.cli; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
