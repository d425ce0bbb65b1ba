"""Verdicts on disk, one line each, so that a killed run goes on where it stopped.

A line is written whole or, where the process was killed in the middle of it, cut away when the
file is opened next. Lines stand in the order of the rows, so their number says what is left to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError
from guardrail.types import Category, Verdict

__all__ = ["Answer", "Categories", "Store", "Verdicts"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a classifier said about one row.

    Args:
        verdict: None where there was none.
        error: why there was none.
        seconds: the row's share of its batch's time.
    """

    verdict: Verdict | None
    error: str | None = None
    seconds: float = 0.0


class Store:
    """A file of JSON lines that only grows.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
        except OSError as error:
            raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error
        self.lines = self._trimmed()

    def append(self, values: Sequence[Any]) -> None:
        """Add lines, at once and for good."""
        text = "".join(json.dumps(value, separators=(",", ":")) + "\n" for value in values)
        self._file.write(text.encode())
        self._file.flush()
        self.lines += len(values)

    def values(self) -> Iterator[Any]:
        """Yield what the lines hold, in order."""
        with self.path.open("rb") as file:
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _trimmed(self) -> int:
        """Cut away a line that was not written to its end; return how many there are."""
        lines = size = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                lines += 1
                size += len(line)
        self._file.truncate(size)
        return lines


class Verdicts(Store):
    """The answers to rows 0, 1, 2, ..., in order."""

    def add(self, answers: Sequence[Answer]) -> None:
        """Add the next rows' answers."""
        first = self.lines
        self.append([_packed(first + place, answer) for place, answer in enumerate(answers)])

    def answers(self) -> Iterator[Answer]:
        """Yield every row's answer.

        Raises:
            ConfigError: the file is not what was written.
        """
        for row, line in enumerate(self.values()):
            if line[0] != row:
                raise ConfigError(
                    f"{self.path}: row {line[0]} stands where row {row} belongs; did two runs "
                    "write here at once? --fresh begins anew"
                )
            yield _unpacked(line)


class Categories(Store):
    """Categories that were found in a second step, for some of the rows.

    A row whose categories could not be found has the error instead.
    """

    def add(self, found: Sequence[tuple[int, dict[Category, float] | str]]) -> None:
        """Add some rows' categories."""
        self.append(found)

    def found(self) -> dict[int, dict[str, float] | str]:
        """Return categories, or the error, by row."""
        return dict(self.values())


def _packed(row: int, answer: Answer) -> list[Any]:
    verdict = answer.verdict
    if verdict is None:
        return [row, None, None, None, round(answer.seconds, 7), answer.error]
    categories = dict(verdict.categories) or None
    return [row, verdict.score, int(verdict.unsafe), categories, round(answer.seconds, 7)]


def _unpacked(line: list[Any]) -> Answer:
    _, score, unsafe, categories, seconds, *error = line
    if score is None:
        return Answer(None, error[0], seconds)
    return Answer(Verdict(bool(unsafe), score, categories or {}), None, seconds)
