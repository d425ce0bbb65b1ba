"""What is broken is set aside with its reason, and costs nothing else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guardrail.errors import ConfigError

from .helpers import bad, found, judge, turns, write

GOOD = b'{"user": "q", "assistant": "a"}\n'


def rows_of(out: Path) -> list[int]:
    return [row["row"] for row in found(out)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"user": "q", "assis', "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"\xff\xfe\x00", "not JSON"),
        ('{"assistant": "답"}'.encode("cp949"), "not JSON"),
        (b'{"assistant": 7}', "'assistant' is int, not text"),
        (b'{"assistant": ["a"]}', "'assistant' is list, not text"),
        (b'{"assistant": null}', "no text"),
        (b"{}", "no text"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 10_000, "not JSON"),
    ],
)
def test_a_bad_line_is_set_aside(tmp_path: Path, line: bytes, reason: str) -> None:
    """With the file and the line; those around it are judged."""
    (tmp_path / "in.jsonl").write_bytes(GOOD + line + b"\n" + GOOD)
    summary = judge(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == [1, 3]
    assert bad(tmp_path / "out.jsonl") == [("in.jsonl", 2, reason)]
    assert summary.set_aside == {reason: 1}


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    """Blank ones count, as in an editor; the last needs no newline."""
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + GOOD + b"\n  \n" + GOOD + GOOD.strip())
    judge(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == [1, 4, 5]
    assert bad(tmp_path / "out.jsonl") == []


def test_a_line_without_an_end_is_no_danger(tmp_path: Path) -> None:
    """More than 16 MiB are never in memory at once."""
    (tmp_path / "in.jsonl").write_bytes(GOOD + b"x" * (40 << 20) + b"\n" + GOOD)
    judge(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == [1, 3]
    assert bad(tmp_path / "out.jsonl") == [("in.jsonl", 2, "a line of more than 16 MiB")]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_long_texts_are_judged(tmp_path: Path, kind: str) -> None:
    """A megabyte each, with commas, quotes and newlines."""
    text = '가나, "다"\n' * 110_000
    rows = [{"user": "q", "assistant": f"{text}BAD"}, *turns(3), {"user": text, "assistant": "a"}]
    judge(write(tmp_path / f"in.{kind}", rows), tmp_path / "out.jsonl", keep_text=True)
    judged = found(tmp_path / "out.jsonl")

    assert [row["row"] for row in judged] == [1, 2, 3, 4, 5]
    assert judged[0]["unsafe"]
    assert judged[0]["text"] == f"{text}BAD"
    assert judged[4]["user"] == text


@pytest.mark.parametrize(("cell", "judged"), [("", "user turn"), ("a", "reply")])
def test_an_empty_cell_is_no_reply(tmp_path: Path, cell: str, judged: str) -> None:
    """Then the user's turn is what there is to judge, and the result says so."""
    write(tmp_path / "in.csv", [{"user": "q", "assistant": cell}])
    summary = judge(tmp_path / "in.csv", tmp_path / "out.jsonl")

    assert summary.judged == {judged: 1}


def test_nulls_are_read_as_such(tmp_path: Path) -> None:
    """In Parquet too."""
    rows: list[dict[str, Any]] = [
        {"user": None, "assistant": "BAD"},
        {"user": "q", "assistant": None},
        {"user": None, "assistant": None},
    ]
    judge(write(tmp_path / "in.parquet", rows), tmp_path / "out.jsonl")

    assert [row["judged"] for row in found(tmp_path / "out.jsonl")] == ["reply", "user turn"]
    assert bad(tmp_path / "out.jsonl") == [("in.parquet", 3, "no text")]


def test_cells_that_are_too_many_are_no_row(tmp_path: Path) -> None:
    """A comma without quotes shifted them; too few are empty ones."""
    (tmp_path / "in.csv").write_text("user,assistant\nq,a\nq,a,b\n\nq\n")
    judge(tmp_path / "in.csv", tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == [1, 3]
    assert bad(tmp_path / "out.jsonl") == [("in.csv", 2, "more cells than the header has")]


def test_one_broken_character_does_not_change_the_encoding(tmp_path: Path) -> None:
    """The file stays UTF-8, and only that row is set aside."""
    rows = [f"질문 {n},대답 {n}".encode() for n in range(50)]
    rows[20] = rows[20][:-4] + b"\xff"
    (tmp_path / "in.csv").write_bytes(b"user,assistant\n" + b"\n".join(rows))
    judge(tmp_path / "in.csv", tmp_path / "out.jsonl", keep_text=True)

    assert bad(tmp_path / "out.jsonl")[0][1:] == (21, "not in the file's encoding")
    assert found(tmp_path / "out.jsonl")[0]["text"] == "대답 0"
    assert len(found(tmp_path / "out.jsonl")) == 49


@pytest.mark.parametrize(
    "rest",
    [b"q,a\nq,a\n", b'q,a\n"q","a"\n', b'q,a\nq,"a\nb"\n', b'q,a\n"q" ,"b "c" d"\n'],
    ids=["none", "a good one", "a good one over lines", "a loose one"],
)
def test_a_quote_that_is_never_closed_costs_its_line(tmp_path: Path, rest: bytes) -> None:
    """Whatever quotes come after it."""
    (tmp_path / "in.csv").write_bytes(b'user,assistant\nq,a\nq,"a\n' + rest)
    judge(tmp_path / "in.csv", tmp_path / "out.jsonl")

    assert bad(tmp_path / "out.jsonl") == [("in.csv", 2, "not CSV: a quote is not closed")]
    assert rows_of(tmp_path / "out.jsonl") == [1, 3, 4]


def test_a_quote_that_is_never_closed_is_no_danger(tmp_path: Path) -> None:
    """No more than 16 MiB are taken for one cell, and all of them are read again."""
    rows = b"q,%s\n" % (b"a" * 2000) * (9 << 10)
    (tmp_path / "in.csv").write_bytes(b'user,assistant\nq,a\nq,"a\n' + rows)
    summary = judge(tmp_path / "in.csv", tmp_path / "out.jsonl")

    assert summary.set_aside == {"not CSV: a quote is not closed": 1}
    assert summary.turns == 1 + (9 << 10)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_whatever_excel_saves_is_read(tmp_path: Path, encoding: str, separator: str) -> None:
    """It separates cells as the country does, and encodes as the menu says."""
    rows = f"질문{separator}답변\n안녕{separator}BAD 반가워요\n"
    (tmp_path / "in.csv").write_bytes(rows.encode(encoding))
    judge(tmp_path / "in.csv", tmp_path / "out.jsonl", keep_text=True)

    (row,) = found(tmp_path / "out.jsonl")
    assert (row["user"], row["text"]) == ("안녕", "BAD 반가워요")


def test_rows_before_a_break_are_judged(tmp_path: Path) -> None:
    """However few: those that can be unpacked."""
    whole = gzip.compress(GOOD * 100, mtime=0)
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(whole[:-8])  # all of the rows, and no checksum
    judge(path, tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == list(range(1, 101))
    assert [row for _, row, _ in bad(tmp_path / "out.jsonl")] == [101]


@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz"])
def test_a_file_that_was_cut_off_is_told(tmp_path: Path, kind: str) -> None:
    """Alone it is an error; among others it is set aside, as far as it cannot be read."""
    path = write(tmp_path / "in" / f"b.{kind}", turns(3000))
    path.write_bytes(path.read_bytes()[:-30])
    write(tmp_path / "in" / "a.jsonl", turns(2))
    write(tmp_path / "in" / "c.jsonl", turns(2))
    summary = judge(tmp_path / "in", tmp_path / "out.jsonl")
    judged = [row["file"] for row in found(tmp_path / "out.jsonl")]
    ((reason, count),) = summary.set_aside.items()

    assert judged[:2] == ["a.jsonl"] * 2
    assert judged[-2:] == ["c.jsonl"] * 2
    assert (reason.startswith("the file is broken from here on: "), count) == (True, 1)
    if kind == "parquet":
        with pytest.raises(ConfigError, match="cannot read"):
            judge(path, tmp_path / "alone.jsonl")


def test_a_page_that_is_damaged_ends_its_file_only(tmp_path: Path) -> None:
    """What comes before it is judged."""
    path = tmp_path / "in" / "a.parquet"
    path.parent.mkdir()
    table = pa.Table.from_pylist(turns(4000))
    pq.write_table(table, path, row_group_size=1000, use_dictionary=False, compression="zstd")
    content = bytearray(path.read_bytes())
    middle = len(content) * 6 // 10
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    write(tmp_path / "in" / "b.jsonl", turns(2))
    judge(tmp_path / "in", tmp_path / "out.jsonl")
    judged = found(tmp_path / "out.jsonl")
    (broken,) = bad(tmp_path / "out.jsonl")

    assert 1000 <= len(judged) - 2 < 4000
    assert broken[:2] == ("a.parquet", len(judged) - 1)
    assert [row["file"] for row in judged[-2:]] == ["b.jsonl"] * 2


@pytest.mark.parametrize("kind", ["jsonl", "csv", "jsonl.gz", "parquet"])
def test_an_empty_file_holds_no_turns(tmp_path: Path, kind: str) -> None:
    """And that is no error; nor is a header without rows."""
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"assistant": pa.array([], pa.string())}), path)
    else:
        path.write_bytes(gzip.compress(b"") if kind.endswith("gz") else b"")
    summary = judge(path, tmp_path / "out")

    assert (summary.turns, summary.set_aside) == (0, {})
    assert found(tmp_path / "out") == []
    assert json.loads((tmp_path / "out" / "_summary.json").read_bytes())["turns"] == 0


def test_rows_of_another_shape_are_set_aside(tmp_path: Path) -> None:
    """Columns are found in a file's first rows."""
    rows = [*turns(200), {"message": "BAD"}]
    judge(write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")

    assert bad(tmp_path / "out.jsonl") == [("in.jsonl", 201, "no text")]


def test_columns_are_found_behind_broken_rows(tmp_path: Path) -> None:
    """However many there are."""
    (tmp_path / "in.jsonl").write_bytes(b"oh no\n" * 300 + GOOD)
    judge(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    assert rows_of(tmp_path / "out.jsonl") == [301]
