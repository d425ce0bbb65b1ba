"""`guardrail train`, from the command line: what is wrong is told at once, in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from guardrail import cli
from guardrail.errors import ConfigError
from guardrail.finetuning import Settings, bench, fresh, train
from guardrail.finetuning.packing import Sample
from tests.unit.finetuning.helpers import rows, settings

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of rows."""
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    records = (
        {"user": row.asked, "assistant": row.text, "unsafe": row.unsafe} for row in rows(60, 0)
    )
    path.write_text("\n".join(json.dumps(one) for one in records))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Return the command's exit code and the last line of what it says on stderr."""
    before, sys.argv = sys.argv, ["guardrail", "train", *map(str, arguments)]
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    lines = capsys.readouterr().err.strip().splitlines()
    return code, lines[-1] if lines else ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--batch", "30"], "batch must be a multiple of micro-batch"),
        (["--micro-batch", "64"], "micro-batch must be from 1 to batch"),
        (["--every", "0"], "every must be more than 0"),
        (["--epochs", "-1"], "epochs must be"),
        (["--learning-rate", "0"], "learning-rate must be"),
        (["--choose", "f2"], "no figure 'f2'"),
        (["--method", "qlora", "--merge"], "merge must be False for qlora"),
        (["--prefixes", "2"], "name --turn-column or --teacher"),
        (["--turn-column", "turn"], "prefixes must be at least 1"),
        (["--prefixes", "1", "--turn-column", "turn"], "no column 'turn'; there are user,"),
        (["--prefixes", "1", "--teacher", "oracle"], "oracle"),
        (["--column", "assistant=answer"], "no column 'answer'"),
        (["--eval", "nowhere.jsonl"], "no file 'nowhere.jsonl'"),
        (["--max-tokens", "40"], "; raise --max-tokens"),
        (["--revision", "checkpoint-1"], "no revision 'checkpoint-1'; it has main"),
    ],
)
def test_what_is_wrong_is_one_line(
    capsys: pytest.CaptureFixture[str],
    base: Path,
    data: Path,
    tmp_path: Path,
    arguments: list[str],
    said: str,
) -> None:
    """Exit code 2, before the model is loaded, and nothing that keeps a second try from running."""
    out = tmp_path / "out"
    code, line = run(capsys, data, "--out", out, "--base", base, "--cpu", *arguments)

    assert code == 2
    assert line.startswith("error: ")
    assert said in line
    assert not list(out.glob("checkpoint-*"))


@pytest.mark.parametrize("arguments", [[], ["--out", "x"]])
def test_what_is_missing(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Without data or a folder it says that both are needed."""
    assert run(capsys, *arguments) == (
        2, "error: name the data to learn from, and the folder to write with --out",
    )  # fmt: skip


def test_a_base_that_is_none(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    """A folder without a model is told as such."""
    code, line = run(capsys, data, "--out", tmp_path / "out", "--base", data.parent)

    assert code == 2
    assert "cannot load" in line


def test_it_trains(
    capsys: pytest.CaptureFixture[str], base: Path, data: Path, tmp_path: Path
) -> None:
    """With nothing but data, a base and a folder it holds out rows and stores a model."""
    out = tmp_path / "out"
    code, _ = run(
        capsys, data, "-o", out, "--base", base, "--cpu", "--method", "full", "--every", "1",
    )  # fmt: skip

    assert code == 0
    assert (out / "model.safetensors").exists()
    assert "| held-out | 2 (main) |" in (out / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "wrong",
    [{"method": "half"}, {"balance": "even"}, {"hold_out": 1.0}, {"rank": 0}, {"prefixes": -1}],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    """They are refused when they are written down."""
    with pytest.raises(ConfigError):
        Settings(**wrong)


def test_a_fresh_base(data: Path, tmp_path: Path) -> None:
    """A small Llama with a tokenizer of the data's texts, which a run can start from."""
    fresh.make([str(data)], tmp_path / "base", hidden=64, layers=1, vocabulary=900, context=2048)
    trained = train([data], tmp_path / "out", settings=settings(tmp_path / "base", every=1.0))

    assert [line.data for line in trained.lines] == ["held-out"]
    with pytest.raises(ConfigError, match="not empty"):
        fresh.make([str(data)], tmp_path / "base")


def test_the_benchmark_compares_the_same_work(base: Path) -> None:
    """Packed steps read and keep less, by about the head that they do not repeat."""
    model = AutoModelForCausalLM.from_pretrained(base)
    samples = [
        Sample(tuple(range(200)), np.arange(size, dtype=np.int32), unsafe=size % 2 == 0, row=size)
        for size in (20, 21, 22, 23)
    ]
    plain, together = bench.measure(model, samples, rounds=1)

    assert (plain.tokens, together.tokens) == (4 * 223, 200 + 20 + 21 + 22 + 23)
    assert together.held_bytes < plain.held_bytes / 2


def test_the_whole_loop_runs(tmp_path: Path) -> None:
    """The example goes from reviews to a served guard, better than before."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "finetune_loop.py", tmp_path],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    before, after = (
        float(line.split("recall ")[1].split(",")[0])
        for line in done.stdout.splitlines()
        if ": recall" in line
    )

    assert before < 0.2
    assert after > 0.9
    assert "replace: 오늘은 무료 배송이에요. 제 개인 계좌로" in done.stdout
    assert "allow: 장바구니에서" in done.stdout
