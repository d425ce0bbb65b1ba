"""The commands: what they print, write, and exit with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.evaluation.cli import calibrate, evaluate
from tests.unit.evaluation.helpers import jsonl, labelled

READING = "r=tests.unit.evaluation.helpers:Reading"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return jsonl(tmp_path / "set.jsonl", labelled(400))


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command("eval")(evaluate)
    app.command()(calibrate)
    return CliRunner().invoke(app, list(arguments))


def test_eval_writes_a_report_and_prints_tables(data: Path) -> None:
    """The page, the JSON, and what was asked for besides."""
    done = run("eval", str(data), "--classifier", READING, "-o", "more.md", "--resamples", "50")

    assert done.exit_code == 0, done.output
    assert "False alarms" in done.stdout
    assert {path.name for path in Path("guardrail-eval").glob("report.*")} == {
        "report.html",
        "report.json",
    }
    assert Path("more.md").read_text().startswith("400 rows")
    assert done.stderr.splitlines()[-1] == "report: more.md"


def test_eval_names_the_page_that_it_always_writes(data: Path) -> None:
    """Where no other was asked for."""
    done = run("eval", str(data), "--classifier", READING, "--resamples", "0")

    assert done.stderr.splitlines()[-1] == f"report: {Path('guardrail-eval/report.html')}"


def test_piped_tables_show_the_intervals_they_promise(data: Path) -> None:
    """Of every figure; without a bootstrap none is promised."""
    shown = run("eval", str(data), "--classifier", READING, "--resamples", "50").stdout
    without = run("eval", str(data), "--classifier", READING, "--resamples", "0").stdout
    figures = shown[: shown.index("unsafe is positive")]

    assert figures.count(" to ") == 8  # all but "category right", which this classifier cannot say
    assert "with 95 % intervals" in figures
    assert " to " not in without[: without.index("unsafe is positive")]
    assert "intervals" not in without


def test_eval_prints_json_alone(data: Path) -> None:
    """For programs."""
    done = run("eval", str(data), "--classifier", READING, "--json", "--resamples", "0")

    assert json.loads(done.stdout)["data"][0]["rows"] == 400


def test_eval_fails_with_the_reason(data: Path) -> None:
    """Exit code 1, for continuous integration."""
    done = run(
        *("eval", str(data), "--classifier", READING, "--resamples", "50"),
        *("--min-recall", "0.99", "--max-fpr", "0.5"),
    )

    assert done.exit_code == 1
    assert "not good enough: recall is" in done.stderr
    assert "false alarms" not in done.stderr


def test_eval_fails_where_records_cannot_be_read(data: Path) -> None:
    """A gate that passes over them is none; those without a label yet are no matter."""
    good = data.read_text()
    demands = ("--classifier", READING, "--resamples", "0", "--max-fpr", "1")
    data.write_text(f'{good}{{"user": "a", "assistant": "b", "unsafe": null}}\n')
    unlabelled = run("eval", str(data), *demands)
    data.write_text(f'{good}{{"user": "a", "assistant": "b", "unsafe": "hm"}}\n')
    unreadable = run("eval", str(data), *demands)

    assert (unlabelled.exit_code, unreadable.exit_code) == (0, 1)
    assert "1 records of set are no rows, the first at line 401: the label" in unreadable.stderr


def test_eval_compares(data: Path) -> None:
    """Other classifiers and policies, with differences."""
    Path("strict.toml").write_text(
        "[policy]\nthreshold = 0.2\n[classifier]\nkind = 'tests.unit.evaluation.helpers:Reading'\n"
    )
    done = run(
        *("eval", str(data), "--classifier", READING, "--compare", "strict.toml"),
        *("--resamples", "50", "--perturb", "--streaming", "--detail-rows", "12", "--no-text"),
    )

    assert done.exit_code == 0, done.output
    assert "Against r" in done.stdout
    assert "Disguises and tricks: strict" in done.stdout
    assert (
        json.loads(Path("guardrail-eval/report.json").read_text())["results"][0]["mistakes"] == []
    )


def test_calibrate_writes_a_policy_that_eval_reads(data: Path) -> None:
    """From labelled rows to a configuration."""
    done = run("calibrate", str(data), "--target-fpr", "0.02", "--classifier", READING)
    assert done.exit_code == 0, done.output
    config = Config.load("guardrail.toml")
    again = run("eval", str(data), "--config", "guardrail.toml", "--max-fpr", "0.02")

    assert "wrote guardrail.toml" in done.stdout
    assert config.policy.threshold is not None
    assert again.exit_code == 0, again.output


def test_calibrate_can_write_nothing(data: Path) -> None:
    """`--dry-run` only tells."""
    done = run(
        "calibrate", str(data), "--target-recall", "0.9", "--classifier", READING, "--dry-run"
    )

    assert "threshold" in done.stdout
    assert not Path("guardrail.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eval",), "name the data to judge"),
        (("calibrate",), "name the data to calibrate on"),
        (("eval", "nowhere.jsonl"), "there is no file 'nowhere.jsonl'"),
        (
            ("calibrate", "x", "--target-fpr", "0.1", "--target-recall", "0.9"),
            "one target at a time",
        ),
        (
            ("eval", "x.jsonl", "--classifier", "kosafegard"),
            "classifier 'kosafegard': should be one of",
        ),
        (("eval", "empty.csv", "-o", "x.pdf"), "a report is .html, .json, .md, not 'x.pdf'"),
        (("eval", "."), "'.' is a folder and not a data set"),
        (("eval", "empty.csv", "--classifier", READING), "no row can be judged"),
        (("calibrate", "empty.csv", "--classifier", READING), "no row can be judged"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an error that the command line prints."""
    monkeypatch.chdir(tmp_path)
    empty = tmp_path / "empty.csv"
    empty.write_text("text,label\n")
    done = run(*arguments)

    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == [empty]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("low=embedded,thresold=0.2", "argument 'thresold'; it takes threshold"),
        ("own=tests.unit.evaluation.helpers:Nobody", "cannot be loaded"),
    ],
)
def test_all_candidates_are_looked_at_before_any_judges(data: Path, other: str, said: str) -> None:
    """A slip in the second is told before hours of the first."""
    done = run("eval", str(data), "--classifier", READING, "--compare", other)

    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(other.partition("=")[0] + ": ")
    assert said in str(done.exception)
    assert list(data.parent.iterdir()) == [data]


def test_the_commands_cost_nothing_until_they_run() -> None:
    """The command line offers them, so they are imported with it."""
    heavy = ("numpy", "sklearn", "matplotlib", "pyarrow", "datasets", "jinja2", "tomlkit", "scipy")
    code = f"import sys, guardrail.evaluation.cli; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
