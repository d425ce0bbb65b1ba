"""What is said where a library of `[eval]` is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.evaluation.helpers import jsonl, labelled

EXTRA = "it comes with: pip install 'guardrail-ko[eval]'"
LIBRARIES = ("jinja2", "markupsafe", "matplotlib", "pyarrow", "scipy", "sklearn", "tomlkit")

# A library that is hidden is found nowhere, as if it had not been installed.
HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""
COMMAND = "from guardrail.cli import main; sys.argv[1:] = {arguments}; main()"


def python(code: str, hidden: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a program without some libraries."""
    program = HIDING.format(hidden=set(hidden)) + code
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Where a command does run, it writes here.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    return jsonl(tmp_path / "set.jsonl", labelled(40))


NEEDED = {
    "eval": (*[(name,) for name in ("jinja2", "markupsafe", "matplotlib", "sklearn")], LIBRARIES),
    "calibrate": (*[(name,) for name in ("scipy", "sklearn", "tomlkit")], LIBRARIES),
}


@pytest.mark.parametrize(
    ("command", "hidden"),
    [(command, hidden) for command, each in NEEDED.items() for hidden in each],
    ids=lambda value: value if isinstance(value, str) else value[0] if len(value) == 1 else "all",
)
def test_a_command_says_in_one_line_what_to_install(
    command: str, hidden: tuple[str, ...], data: Path
) -> None:
    """Whichever of the extra's libraries it misses first, and before anything is judged."""
    done = python(COMMAND.format(arguments=[command, str(data)]), hidden)

    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert EXTRA in done.stderr
    assert list(data.parent.iterdir()) == [data]


@pytest.mark.parametrize("name", ["calibrate", "evaluate"])
def test_a_program_gets_the_error_that_says_what_to_install(name: str) -> None:
    """An import of what needs the extra raises the package's own error."""
    code = (
        "from guardrail.errors import MissingExtraError\n"
        f"try:\n    from guardrail.evaluation import {name}\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )

    assert EXTRA in python(code, LIBRARIES).stdout


def test_parquet_needs_a_library_of_its_own(data: Path) -> None:
    """The other kinds of files are read without it."""
    file = data.with_suffix(".parquet")
    file.write_bytes(b"PAR1")
    done = python(COMMAND.format(arguments=["eval", str(file)]), ("pyarrow",))

    assert "'pyarrow' is not installed" in done.stderr
    assert EXTRA in done.stderr
