"""However large the files, only a few pieces of them are in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .helpers import write

ROOT = Path(__file__).parents[3]
MEASURE = """
import resource, sys
from pathlib import Path
from tests.unit.scan.helpers import judge

judge(Path(sys.argv[1]), Path(sys.argv[2]), keep_text=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak(place: Path, out: Path) -> int:
    """Return the megabytes that a scan takes at most, in a process of its own."""
    command = [sys.executable, "-c", MEASURE, place, out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_large_file_takes_no_more_than_a_small_one(tmp_path: Path, kind: str) -> None:
    """60 MB of turns of 4 kB; in Parquet all are one row group."""
    dice = Random(0)
    rows = [{"user": "q", "assistant": dice.randbytes(2000).hex()} for _ in range(15_000)]
    small = write(tmp_path / f"small.{kind}", rows[:300])
    large = tmp_path / f"large.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), large, row_group_size=len(rows))
    else:
        write(large, rows)
    del rows
    grown = peak(large, tmp_path / "out-large.jsonl") - peak(small, tmp_path / "out-small.jsonl")

    assert grown < 40
