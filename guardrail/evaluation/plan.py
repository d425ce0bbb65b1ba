"""Which rows are judged, and where the verdicts are kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from shutil import rmtree
from typing import Self

from guardrail.classifiers.base import Classifier
from guardrail.errors import ConfigError
from guardrail.evaluation.columns import Columns
from guardrail.evaluation.data import Dataset, require_labels
from guardrail.evaluation.detail import question_of
from guardrail.evaluation.judge import Question, judge
from guardrail.evaluation.rows import Row
from guardrail.evaluation.table import Table, read_table
from guardrail.policy import Policy
from guardrail.types import Conversation

__all__ = ["Data", "Plan", "Progress", "refuse_equal_names"]

Data = Sequence[str | Path | Dataset]
Progress = Callable[[str, int, int], None]
"""Told what is being judged, how many rows are newly done, and how many there are."""


@dataclass(frozen=True)
class Plan:
    """What every candidate is judged on.

    Args:
        sets: the data.
        table: what their rows are.
        folder: keeps the verdicts, in a folder for each set.
        batch: rows that are asked about at once.
        progress: is told how far it has come.
    """

    sets: Sequence[Dataset]
    table: Table
    folder: Path
    batch: int
    progress: Progress

    @classmethod
    @contextmanager
    def made(
        cls,
        data: Data,
        columns: Columns | None,
        *,
        sample: int | None = None,
        first: int | None = None,
        seed: int = 0,
        folder: str | Path | None,
        fresh: bool,
        batch: int,
        progress: Progress | None,
    ) -> Iterator[Self]:
        """Make a plan; see `evaluate`. Without a folder, the verdicts are gone afterwards.

        Raises:
            ConfigError: the data cannot be read, and nothing is written; or the folder cannot be.
        """
        sets = [_opened(one, columns, sample, first, seed) for one in data]
        if not sets:
            raise ConfigError("there are no data to judge")
        refuse_equal_names("data", [one.name for one in sets])
        require_labels(sets)
        table = read_table([(one.name, one.rows()) for one in sets])
        with _place(folder) as place:
            _prepare(Path(place), sets, fresh=fresh)
            yield cls(sets, table, Path(place), batch, progress or _quiet)

    def questions(self, slug: str) -> list[Question]:
        """Return the question about each set's rows, in order."""
        return [
            Question(_conversations(one), _folder(self.folder, one) / f"{slug}.jsonl", self.batch)
            for one in self.sets
        ]

    def about(self, conversations: Callable[[], Iterator[Conversation]], slug: str) -> Question:
        """Return the question about conversations that are made from the rows."""
        return question_of(conversations, self.folder / "detail", slug, self.batch)

    def rows(self) -> Iterator[Row]:
        """Yield all rows, in order."""
        return chain.from_iterable(one.rows() for one in self.sets)

    def have_judged(
        self, question: Question, classifier: Classifier, policies: Collection[Policy], what: str
    ) -> None:
        """Have everything a question is about judged; see `judge`."""
        size = sum(1 for _ in question.conversations())
        self.progress(what, 0, size)
        judge(question, classifier, policies, lambda done: self.progress(what, done, size))


def refuse_equal_names(what: str, names: Sequence[str]) -> None:
    """Raise if two have the same name.

    Raises:
        ConfigError: says which.
    """
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two {what} are called {name!r}; write NAME={name} for one of them")


def _conversations(data: Dataset) -> Callable[[], Iterator[Conversation]]:
    return lambda: (row.conversation for row in data.rows())


def _opened(
    data: str | Path | Dataset,
    columns: Columns | None,
    sample: int | None,
    first: int | None,
    seed: int,
) -> Dataset:
    if isinstance(data, Dataset):
        return data
    return Dataset.open(data, columns, sample=sample, first=first, seed=seed)


def _place(folder: str | Path | None) -> AbstractContextManager[str | Path]:
    return tempfile.TemporaryDirectory() if folder is None else nullcontext(folder)


def _folder(folder: Path, data: Dataset) -> Path:
    return folder / data.digest[:16]


def _prepare(folder: Path, sets: Sequence[Dataset], *, fresh: bool) -> None:
    """Make the folder, kept out of version control; forget what is not wanted of it."""
    kept = [*(_folder(folder, one) for one in sets), folder / "detail"]  # reads the data
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        raise ConfigError(f"cannot write in {str(folder)!r}: {error.strerror}") from error
    if fresh:
        for one in kept:
            rmtree(one, ignore_errors=True)


def _quiet(what: str, done: int, size: int) -> None:
    """Tell nobody."""
