"""Where an unsafe reply turns unsafe: as the data says it, or as a teacher sees it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from guardrail.asking import ask
from guardrail.classifiers.base import Classifier
from guardrail.errors import ConfigError
from guardrail.evaluation.rows import Row
from guardrail.flow import Classify

__all__ = ["Turning", "seen_by", "told_by", "word_ends"]

_WORD_END = re.compile(r"(?<=\S)(?=\s)")
_SENTENCE_END = re.compile(r"[.!?…。]+(?=\s|$)|\n")
_CUTS = 12  # beginnings of a reply that a teacher reads at most


@dataclass(frozen=True, slots=True)
class Turning:
    """Where a reply turns unsafe, in characters from its start.

    Args:
        safe: beginnings up to here are safe.
        unsafe: beginnings from here on are unsafe. What lies between is neither for certain.
    """

    safe: int
    unsafe: int


def word_ends(text: str) -> list[int]:
    """Return where a text can be cut after a word, short of its end."""
    return [found.start() for found in _WORD_END.finditer(text)]


def told_by(rows: Sequence[Row], column: str) -> list[Turning | None]:
    """Return the turning points that a column holds: how many characters are still safe.

    The sentence that begins there counts as unsafe when it is complete.

    Raises:
        ConfigError: a value is no place in its reply.
    """
    return [_told(row, row.groups.get(column, ""), column) for row in rows]


def _told(row: Row, value: str, column: str) -> Turning | None:
    if not row.unsafe or value in ("", "None", "nan"):
        return None
    try:
        place = int(float(value))
    except ValueError:
        place = -1
    if not 0 <= place <= len(row.text):
        raise ConfigError(
            f"{row.place}: {column!r} is {value!r}; it should say how many of the reply's "
            f"{len(row.text)} characters are still safe"
        )
    end = _SENTENCE_END.search(row.text, place)
    return Turning(place, end.end() if end else len(row.text))


def seen_by(teacher: Classifier, rows: Sequence[Row]) -> list[Turning | None]:
    """Return the turning points that a classifier finds by reading beginnings of each reply.

    None for safe rows, and for replies that it does not find unsafe even when it reads them whole.

    Raises:
        ClassifierError: it does not work.
    """
    return [_seen(teacher, row) if row.unsafe else None for row in rows]


def _seen(teacher: Classifier, row: Row) -> Turning | None:
    cuts = [*_thinned(word_ends(row.text)), len(row.text)]
    beginnings = [row.with_text(row.text[:cut]).conversation for cut in cuts]
    unsafe = [verdict.unsafe for verdict in ask(Classify(beginnings, None), teacher)]
    if not unsafe[-1]:
        return None
    first = unsafe.index(True)
    stays = len(unsafe) - (unsafe[::-1].index(False) if False in unsafe else len(unsafe))
    return Turning(cuts[first - 1] if first else 0, cuts[stays])


def _thinned(cuts: Sequence[int]) -> list[int]:
    """Return as many of the places as a teacher reads, evenly spread."""
    stride = -(-len(cuts) // (_CUTS - 1)) or 1
    return list(islice(cuts, 0, None, stride))
