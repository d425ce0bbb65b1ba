"""Records of CSV, of which a broken one costs no other."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from guardrail.evaluation.rows import BadRow

__all__ = ["records"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def records(lines: Iterator[str], separator: str) -> Iterator[list[str] | BadRow]:
    """Yield the records, and for each broken one a bad row; blank lines are none.

    A quote that is never closed, or closed by the next cell's, would make one cell of all that
    stands between. So when a record breaks the rules of CSV, only its first line is given up, and
    those after it are read as if it were not there. A stray quote inside of one line is no such
    break: the line is read as spreadsheets read it.

    Args:
        lines: as text files of `newline=""` have them.
        separator: what stands between cells.
    """
    taking = _Taking(lines)
    rows = csv.reader(taking, delimiter=separator, strict=True)
    while True:
        taking.begin()
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            yield _alone(taking.give_back(), separator)
        else:
            if row:
                yield row


class _Taking:
    """Hands out lines, and takes back those that a record should not have had."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._left = [lines]  # the last one first
        self._taken = io.StringIO()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while len(self._left) > 1:
            for line in self._left[-1]:
                return self._noted(line)
            self._left.pop()
        return self._noted(next(self._left[0]))

    def _noted(self, line: str) -> str:
        self._taken.write(line)
        return line

    def begin(self) -> None:
        """Begin a record."""
        self._taken = io.StringIO()  # one text, since a million lines would take much more

    def give_back(self) -> str:
        """Take back all lines of the record but the first; return that."""
        text = self._taken.getvalue()
        lines = (found[0] for found in _LINE.finditer(text))
        first = next(lines, "")
        self._left.append(lines)
        return first


def _alone(line: str, separator: str) -> list[str] | BadRow:
    """Return the cells of a line that is a record in itself, however loosely written."""
    rows = csv.reader([line, ""], delimiter=separator)
    try:
        row = next(rows)
    except csv.Error as error:
        return BadRow(f"not CSV: {error}")
    return row if rows.line_num == 1 else BadRow("not CSV: a quote is not closed")
