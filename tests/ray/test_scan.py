"""A scan on a real Ray writes what a scan on one machine writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from guardrail.config import ClassifierConfig
from guardrail.errors import ClassifierUnavailable
from guardrail.scan import scan

from ..unit.scan.helpers import QUICK, bad, found, judge, turns, write

FALLING = ClassifierConfig(kind="tests.unit.scan.judges:Falling", lasts=1500)
# Ray sets options of its own that it calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:.use_:DeprecationWarning:ray")
NAMES = ("out.jsonl", "out.bad_rows.jsonl", "out.summary.json")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A Ray of two cores, unless one runs."""
    started = not ray.is_initialized()
    if started:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    if started:
        ray.shutdown()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Files of every kind, one of them broken, with bad rows between the good ones."""
    folder = tmp_path / "in"
    write(folder / "a.jsonl", turns(3000))
    path = folder / "a.jsonl"
    path.write_bytes(path.read_bytes().replace(b"}\n", b"\n", 5))
    write(folder / "b.csv", turns(1500))
    write(folder / "c.parquet", turns(1500))
    cut = write(folder / "d.parquet", turns(10))
    cut.write_bytes(cut.read_bytes()[:-20])
    write(folder / "e.csv.gz", turns(700))
    return folder


def test_both_engines_write_the_same(place: Path, tmp_path: Path) -> None:
    """To the byte: what is known about turns, what was set aside, and the summary."""
    judge(place, tmp_path / "ray" / "out.jsonl", classifier=QUICK, engine="ray")
    judge(place, tmp_path / "local" / "out.jsonl", classifier=QUICK)

    for name in NAMES:
        one, other = ((tmp_path / where / name).read_bytes() for where in ("ray", "local"))
        assert one == other, name
    assert len(bad(tmp_path / "ray" / "out.jsonl")) == 6


def test_the_embedded_classifier_says_the_same_on_a_cluster(place: Path, tmp_path: Path) -> None:
    """Its scores too."""
    scan(place / "b.csv", tmp_path / "ray", engine="ray")
    scan(place / "b.csv", tmp_path / "local")

    assert found(tmp_path / "ray") == found(tmp_path / "local")


def test_what_one_engine_began_the_other_ends(place: Path, tmp_path: Path) -> None:
    """The manifest knows no engine."""
    out = tmp_path / "out.jsonl"
    with pytest.raises(ClassifierUnavailable):
        judge(place, out, classifier=FALLING, shard_rows=512)
    falling = FALLING  # each actor is a new one, which lasts for as long again
    with pytest.raises(ClassifierUnavailable, match="gone"):
        judge(place, out, classifier=falling, engine="ray", workers=1, shard_rows=512)
    while True:
        try:
            judge(place, out, classifier=falling)
        except ClassifierUnavailable:
            continue
        break
    rows = [(row["file"], row["row"]) for row in found(out)]

    assert len(rows) == len(set(rows)) == 6695
    assert rows == sorted(rows)
