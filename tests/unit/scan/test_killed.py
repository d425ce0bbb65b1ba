"""A scan that is killed at any moment goes on: every turn once, in its order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail import Policy
from guardrail.config import ClassifierConfig
from guardrail.errors import ClassifierUnavailable, ConfigError
from guardrail.evaluation.columns import Columns
from guardrail.scan.files import Growing

from .helpers import bad, found, judge, lines, turns, write

ROOT = Path(__file__).parents[3]
FALLING = ClassifierConfig(kind="tests.unit.scan.judges:Falling", lasts=2000)
COMMAND = """
import signal
from guardrail.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
main()
"""
SLOW = "guardrail.testing:StubClassifier,unsafe=BAD,delay=0.01"


def started(place: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    """Run the command in a process of its own."""
    command = ["-c", COMMAND, "scan", str(place), str(out)]
    return subprocess.Popen(
        [sys.executable, *command, *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def killed(process: subprocess.Popen[bytes], manifest: Path, seconds: float) -> None:
    """Kill it, so long after it has begun to judge."""
    while not manifest.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()
    process.communicate()


def finished(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ends well."""
    process.communicate()
    return process.returncode == 0


@pytest.mark.parametrize("suffix", [".jsonl", ""])
def test_no_moment_is_a_bad_one(tmp_path: Path, suffix: str) -> None:
    """Killed before each thing that it does to a file, and started again."""
    place = write(tmp_path / "in.jsonl", turns(700))
    place.write_bytes(place.read_bytes().replace(b"}\n", b"\n", 3))
    judge(place, tmp_path / f"whole{suffix}")
    (tmp_path / "outs").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.scan.dying", place, tmp_path / "outs", suffix],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    outs = sorted(
        path
        for path in (tmp_path / "outs").iterdir()
        if path.is_dir() or not path.name.endswith((".bad_rows.jsonl", ".json"))
    )

    assert done.returncode == 0, done.stderr
    assert len(outs) > 20  # so many moments were tried
    for out in outs:
        assert found(out) == found(tmp_path / f"whole{suffix}"), out
        assert bad(out) == bad(tmp_path / f"whole{suffix}"), out


RECORD = st.one_of(
    st.integers(0, 9).map(lambda n: {"user": f"질문 {n}", "assistant": f"대답 {n}"}),
    st.sampled_from([{"assistant": "BAD"}, {"assistant": None}, {"assistant": 7}, {}]),
)


@settings(max_examples=3, deadline=None)
@given(
    st.lists(st.lists(RECORD, min_size=1, max_size=40), min_size=2, max_size=3),
    st.lists(st.floats(0.0, 0.5), min_size=1, max_size=2),
    st.sampled_from(["out.jsonl", "out"]),
)
def test_random_kills_change_nothing(
    files: Sequence[Sequence[dict[str, Any]]], moments: Sequence[float], out: str
) -> None:
    """Whatever the files hold, and however often it is killed."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number, records in enumerate(files):
            write(folder / "in" / f"{number}.jsonl", [*records] * 60)
        manifest = folder / ("out/_manifest.json" if out == "out" else "out.manifest.json")
        options = ("--classifier", SLOW, "--shard-rows", "400")
        for moment in moments:
            killed(started(folder / "in", folder / out, *options), manifest, moment)
        assert finished(started(folder / "in", folder / out, *options))
        judge(folder / "in", folder / f"whole-{out}")

        assert found(folder / out) == found(folder / f"whole-{out}")
        assert bad(folder / out) == bad(folder / f"whole-{out}")


def test_what_is_sure_is_there(tmp_path: Path) -> None:
    """A file that was cut back is as long as it says, also when nothing is added to it."""
    path = tmp_path / "out.jsonl.part"
    path.write_bytes(b"x" * 1000)
    with closing(Growing(path, 600)) as growing:
        sure = growing.commit()

    assert (sure, path.stat().st_size) == (600, 600)


def test_what_was_judged_is_not_judged_again(tmp_path: Path) -> None:
    """A second run begins where the first was sure."""
    place = write(tmp_path / "in.jsonl", turns(6000))
    killed(
        started(place, tmp_path / "out.jsonl", "--classifier", SLOW, "--shard-rows", "500"),
        tmp_path / "out.manifest.json",
        0.5,
    )
    sure = json.loads((tmp_path / "out.manifest.json").read_bytes())["done"]
    first = (tmp_path / "out.jsonl.part").read_bytes()[: sure["mark"]]
    assert finished(started(place, tmp_path / "out.jsonl", "--classifier", SLOW))

    assert 0 < sure["rows"] < 6000
    assert (tmp_path / "out.jsonl").read_bytes().startswith(first)
    assert [row["row"] for row in lines(tmp_path / "out.jsonl")] == list(range(1, 6001))


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    """When the scan itself is killed, those that judge for it end too."""
    place = write(tmp_path / "in.jsonl", turns(40_000))
    quick = "tests.unit.scan.judges:Quick,unsafe=BAD,delay=0.5"
    process = started(place, tmp_path / "out.jsonl", "--classifier", quick, "--workers", "2")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while len(pids := children.read_text().split()) < 3:  # two, and multiprocessing's own
        time.sleep(0.02)
    killed(process, tmp_path / "out.manifest.json", 0.5)
    until = time.monotonic() + 20
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < until:
        time.sleep(0.05)

    assert left == []


def _runs(pid: str) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_an_interrupt_keeps_what_was_judged(tmp_path: Path) -> None:
    """Ctrl-C says how to go on."""
    place = write(tmp_path / "in.jsonl", turns(20_000))
    process = started(place, tmp_path / "out.jsonl", "--classifier", SLOW)
    while not (tmp_path / "out.jsonl.part").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    sure = json.loads((tmp_path / "out.manifest.json").read_bytes())["done"]["rows"]

    assert process.returncode == 130
    assert said.decode().splitlines()[-1] == "stopped; the same command goes on from here"
    assert sure > 0


def test_two_scans_do_not_write_in_one_place(tmp_path: Path) -> None:
    """The second is refused, and harms nothing; --overwrite neither."""
    place = write(tmp_path / "in.jsonl", turns(20_000))
    process = started(place, tmp_path / "out.jsonl", "--classifier", SLOW)
    try:
        while not (tmp_path / "out.manifest.json").exists():
            time.sleep(0.01)
        with pytest.raises(ConfigError, match="another scan writes here"):
            judge(place, tmp_path / "out.jsonl", overwrite=True)
    finally:
        process.terminate()
        process.communicate()
    assert (tmp_path / "out.jsonl.part").exists()


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """The folder of a scan that was stopped half-way."""
    write(tmp_path / "in.jsonl", turns(3000))
    with pytest.raises(ClassifierUnavailable):
        judge(tmp_path / "in.jsonl", tmp_path / "out.jsonl", classifier=FALLING)
    return tmp_path


def test_another_classifier_is_refused(half: Path) -> None:
    """Half of one and half of another would be no result."""
    with pytest.raises(ConfigError, match=r"the classifier is another one; .*--overwrite"):
        judge(half / "in.jsonl", half / "out.jsonl")


def test_files_that_changed_are_refused(tmp_path: Path) -> None:
    """By their sizes and times."""
    place = write(tmp_path / "in.jsonl", turns(10))
    judge(place, tmp_path / "out.jsonl")
    os.utime(place, (1, 1))
    with pytest.raises(ConfigError, match="the files that are scanned have changed"):
        judge(place, tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": {"threshold": 0.1}}, "the policy is another one"),
        ({"keep_text": True}, "texts are kept in one of them only"),
        ({"columns": {"text_is_user": True}}, "other columns are read"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """And --overwrite begins anew."""
    made = {"policy": Policy, "columns": Columns}
    options = {name: made[name](**one) if name in made else one for name, one in options.items()}
    place = write(tmp_path / "in.jsonl", turns(10))
    judge(place, tmp_path / "out.jsonl")
    with pytest.raises(ConfigError, match=message):
        judge(place, tmp_path / "out.jsonl", **options)

    assert judge(place, tmp_path / "out.jsonl", overwrite=True, **options).turns == 10


def test_a_classifier_that_answers_otherwise_is_refused(half: Path) -> None:
    """Also under the same name: its scores on a few turns are kept."""
    manifest = half / "out.manifest.json"
    said = json.loads(manifest.read_bytes())
    said["identity"]["scores"][0] += 0.5
    manifest.write_text(json.dumps(said))
    with pytest.raises(ConfigError, match="answers otherwise than it did"):
        judge(half / "in.jsonl", half / "out.jsonl", classifier=FALLING)


def test_a_scan_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    """The same call gives the same summary, and touches nothing."""
    place = write(tmp_path / "in.jsonl", turns(10))
    first = judge(place, tmp_path / "out.jsonl")
    before = (tmp_path / "out.jsonl").stat().st_mtime_ns
    again = judge(place, tmp_path / "out.jsonl")

    assert again == first
    assert (tmp_path / "out.jsonl").stat().st_mtime_ns == before


def test_results_that_were_changed_are_refused(half: Path) -> None:
    """What the manifest is sure of must be there."""
    (half / "out.jsonl.part").write_bytes(b"")
    with pytest.raises(ConfigError, match="was changed since"):
        judge(half / "in.jsonl", half / "out.jsonl", classifier=FALLING)


def test_secrets_are_not_written(tmp_path: Path) -> None:
    """The manifest tells settings apart without holding them."""
    stub = ClassifierConfig(kind="guardrail.testing:StubClassifier", unsafe="sk-secret")
    judge(write(tmp_path / "in.jsonl", turns(3)), tmp_path / "out.jsonl", classifier=stub)

    assert not any(b"sk-secret" in path.read_bytes() for path in tmp_path.iterdir())
