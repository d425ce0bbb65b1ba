"""What the tests of scans share: files of turns, and what was written about them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from guardrail.config import ClassifierConfig
from guardrail.scan import scan
from guardrail.scan.summary import Summary

Row = Mapping[str, Any]

STUB = ClassifierConfig(kind="guardrail.testing:StubClassifier", unsafe="BAD")

QUICK = ClassifierConfig(kind="tests.unit.scan.judges:Quick", unsafe="BAD")


def turns(size: int, *, start: int = 0) -> list[dict[str, Any]]:
    """Return turns of which every fifth is unsafe."""
    return [
        {"user": f"질문 {n}", "assistant": f"{'BAD ' if n % 5 == 0 else ''}대답 {n}"}
        for n in range(start, start + size)
    ]


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows in the form that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _WRITERS[path.suffix](path, rows)
    return path


def _jsonl(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "utf-8")


def _gz(path: Path, rows: Sequence[Row]) -> None:
    plain = path.with_suffix("")
    write(plain, rows)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()


def _csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(
            file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ","
        )
        table.writeheader()
        table.writerows(rows)


def _parquet(path: Path, rows: Sequence[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=700)


_WRITERS = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".gz": _gz,
}


def judge(place: Path, out: Path, **options: Any) -> Summary:
    """Scan with the stub."""
    return scan(place, out, **{"classifier": STUB, **options})


def found(out: Path) -> list[dict[str, Any]]:
    """Return what was written about turns, in its order."""
    if out.is_dir():
        parts = sorted(out.glob("*.parquet"))
        return [row for part in parts for row in pq.read_table(part).to_pylist()]
    return lines(out)


def bad(out: Path) -> list[tuple[str, int, str]]:
    """Return which records were set aside, and why."""
    path = out / "_bad_rows.jsonl" if out.is_dir() else out.with_name(f"{out.stem}.bad_rows.jsonl")
    return [(row["file"], row["row"], row["reason"]) for row in lines(path)]


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
