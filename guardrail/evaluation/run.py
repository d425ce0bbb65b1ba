"""From data sets and candidates to a report."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, islice
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from guardrail.asking import ask
from guardrail.classifiers.base import Classifier
from guardrail.config import ClassifierConfig
from guardrail.errors import ClassifierError, ConfigError
from guardrail.evaluation.assemble import Measured, assemble
from guardrail.evaluation.candidates import Candidate
from guardrail.evaluation.columns import Columns
from guardrail.evaluation.data import Dataset
from guardrail.evaluation.detail import choose, chosen_rows, question_of
from guardrail.evaluation.judge import Question, answers, judge
from guardrail.evaluation.perturb import PERTURBATIONS, Perturbation
from guardrail.evaluation.report import Report, Speed
from guardrail.evaluation.robustness import Rewritten
from guardrail.evaluation.rows import Row
from guardrail.evaluation.streaming import SCHEDULES, Prefixes
from guardrail.evaluation.table import Decided, Table, decide, read_table
from guardrail.flow import Classify
from guardrail.policy import Policy
from guardrail.types import Conversation
from guardrail.window import Window

__all__ = ["Progress", "evaluate", "judged_rows"]

Progress = Callable[[str, int, int], None]
"""Told what is being judged, how many rows are newly done, and how many there are."""

_TIMED_ROWS = 200
_TIMED_SECONDS = 10.0


def evaluate(
    data: Sequence[str | Path | Dataset],
    candidates: Sequence[Candidate] = (),
    *,
    columns: Columns | None = None,
    sample: int | None = None,
    first: int | None = None,
    seed: int = 0,
    perturb: bool | Sequence[str] = False,
    streaming: bool | Mapping[str, Window | None] = False,
    detail_rows: int = 600,
    folder: str | Path | None = None,
    fresh: bool = False,
    batch: int = 64,
    resamples: int = 1000,
    mistakes: int = 10,
    progress: Progress | None = None,
) -> Report:
    """Judge labelled rows and return how well that went.

    Args:
        data: files, hub ids or `Dataset`s; see `Dataset.open`.
        candidates: what judges; the embedded classifier with the default policy unless given. The
            others are compared with the first.
        columns: which column of the data is what.
        sample: judge so many rows of each set, drawn at random.
        first: judge so many rows of each set from the start.
        seed: of everything drawn at random.
        perturb: also judge rows rewritten: in all ways, or in those named in `PERTURBATIONS`.
        streaming: also judge the beginnings of replies, as the schedules do: the policy's own and
            `SCHEDULES`, or those given.
        detail_rows: at most so many rows are rewritten or cut short.
        folder: keeps the verdicts; the same call goes on there after a kill. None keeps nothing.
        fresh: forget what the folder holds of these data.
        batch: rows that are asked about at once.
        resamples: of the bootstrap.
        mistakes: rows judged most wrongly that the report shows, of each kind; 0 keeps all text
            out of it.
        progress: is told how far it has come.

    Raises:
        ConfigError: the data cannot be read, or the folder holds another classifier's verdicts.
        ClassifierError: a classifier does not work.
        MissingExtraError: a library is not installed.
    """
    sets = [_opened(one, columns, sample, first, seed) for one in data]
    if not sets:
        raise ConfigError("there are no data to judge")
    named = list(candidates) or [Candidate("embedded", ClassifierConfig())]
    _refuse_equal_names("data", [one.name for one in sets])
    _refuse_equal_names("candidates", [one.name for one in named])
    kept = None if folder is None else Path(folder)
    if kept is not None:
        _prepare(kept, sets, fresh=fresh)
    with _place(kept) as place:
        table = read_table([(one.name, one.rows()) for one in sets])
        plan = _Plan(sets, table, Path(place), seed, batch, detail_rows, progress or _quiet)
        ways = _ways(perturb)
        windows = _windows(streaming)
        measured: dict[str, Measured] = {}
        for group in _by_classifier(named):
            measured |= _judged(plan, group, ways, windows)
        return assemble(
            plan.sets,
            table,
            [(one, measured[one.name]) for one in named],
            settings=_settings(sets, plan, ways, windows, resamples),
            resamples=resamples,
            seed=seed,
            show_mistakes=mistakes,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=_version(),
        )


def judged_rows(
    data: Sequence[str | Path | Dataset],
    candidate: Candidate,
    *,
    columns: Columns | None = None,
    all_categories: bool = False,
    folder: str | Path | None = None,
    fresh: bool = False,
    batch: int = 64,
    progress: Progress | None = None,
) -> tuple[Sequence[str], Table, Decided]:
    """Judge labelled rows and return the sets' names, what the rows are, and what was decided.

    Args:
        data, columns, folder, fresh, batch, progress: as in `evaluate`.
        candidate: what judges.
        all_categories: find the categories of every row, not only of those the policy asks for.
    """
    sets = [_opened(each, columns, None, None, 0) for each in data]
    kept = None if folder is None else Path(folder)
    if kept is not None:
        _prepare(kept, sets, fresh=fresh)
    with _place(kept) as place:
        table = read_table([(each.name, each.rows()) for each in sets])
        plan = _Plan(sets, table, Path(place), 0, batch, 0, progress or _quiet)
        asking = candidate.policy if not all_categories else _ALL_CATEGORIES
        with candidate.opened() as classifier:
            for each, question in zip(sets, plan.questions(candidate.slug), strict=True):
                tick = _tick(plan.progress, f"{candidate.name}: {each.name}", len(each))
                judge(question, classifier, [asking], tick)
        found = chain.from_iterable(map(answers, plan.questions(candidate.slug)))
        return [each.name for each in sets], table, decide(found, candidate.policy)


_ALL_CATEGORIES = Policy(threshold=0.0)  # finds everything unsafe, so it wants all categories


@dataclass(frozen=True)
class _Plan:
    """What every candidate is judged on."""

    sets: Sequence[Dataset]
    table: Table
    folder: Path
    seed: int
    batch: int
    detail_rows: int
    progress: Progress
    _cache: dict[str, Any] = field(default_factory=dict)

    def questions(self, slug: str) -> list[Question]:
        """Return the question about each set's rows, in order."""
        return [
            Question(
                lambda one=one: (row.conversation for row in one.rows()),  # type: ignore[misc]
                _folder(self.folder, one) / f"{slug}.jsonl",
                self.batch,
            )
            for one in self.sets
        ]

    def rows(self) -> Iterator[Row]:
        """Yield all rows, in order."""
        return chain.from_iterable(one.rows() for one in self.sets)

    @property
    def detail(self) -> list[tuple[int, Row]]:
        """The rows that are rewritten and cut short, with their places."""
        if "detail" not in self._cache:
            places = choose(self.table.unsafe, self.detail_rows, self.seed)
            self._cache["detail"] = chosen_rows(self.rows(), places)
        rows: list[tuple[int, Row]] = self._cache["detail"]
        return rows


def _judged(
    plan: _Plan,
    group: Sequence[Candidate],
    ways: Mapping[str, Perturbation],
    windows: Mapping[str, Window | None] | None,
) -> dict[str, Measured]:
    """Have one classifier judge everything; return what came out for each of its candidates."""
    slug = group[0].slug
    policies = [one.policy for one in group]
    rewritten = Rewritten(plan.detail, ways) if ways else None
    played = {
        one.name: Prefixes(plan.detail, _with_own(one.policy.window, windows))
        for one in group
        if windows is not None
    }
    with group[0].opened() as classifier:

        def have_judged(what: str, question: Question, size: int) -> None:
            tick = _tick(plan.progress, f"{group[0].name}: {what}", size)
            judge(question, classifier, policies, tick)

        questions = plan.questions(slug)
        for one, question in zip(plan.sets, questions, strict=True):
            have_judged(one.name, question, len(one))
        again = rewritten and _asked(plan, rewritten.conversations, slug)
        if again:
            have_judged("rewritten", again, _count(again))
        prefixes = {name: _asked(plan, one.conversations, slug) for name, one in played.items()}
        for question in prefixes.values():
            have_judged("beginnings", question, _count(question))
        speed = _speed(plan, classifier, slug, questions)
    return {
        one.name: Measured(
            decide(chain.from_iterable(map(answers, questions)), one.policy),
            speed,
            rewritten,
            decide(answers(again), one.policy) if again else None,
            played.get(one.name),
            decide(answers(prefixes[one.name]), one.policy) if prefixes else None,
        )
        for one in group
    }


def _with_own(
    window: Window | None, windows: Mapping[str, Window | None]
) -> dict[str, Window | None]:
    """Return the policy's own schedule, and all others."""
    return {"policy": window} | {name: one for name, one in windows.items() if one != window}


def _asked(plan: _Plan, conversations: Callable[[], Iterator[Conversation]], slug: str) -> Question:
    return question_of(conversations, plan.folder / "detail", slug, plan.batch)


def _count(question: Question) -> int:
    return sum(1 for _ in question.conversations())


def _tick(progress: Progress, what: str, size: int) -> Callable[[int], None]:
    progress(what, 0, size)
    return lambda done: progress(what, done, size)


def _quiet(what: str, done: int, size: int) -> None:
    """Tell nobody."""


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


def _refuse_equal_names(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two {what} are called {name!r}; write NAME={name} for one of them")


def _prepare(folder: Path, sets: Sequence[Dataset], *, fresh: bool) -> None:
    """Make the folder, kept out of version control; forget what is not wanted of it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        raise ConfigError(f"cannot write in {str(folder)!r}: {error.strerror}") from error
    if fresh:
        for one in (*(_folder(folder, one) for one in sets), folder / "detail"):
            rmtree(one, ignore_errors=True)


def _folder(folder: Path, data: Dataset) -> Path:
    return folder / data.digest[:16]


def _place(folder: Path | None) -> AbstractContextManager[str | Path]:
    return tempfile.TemporaryDirectory() if folder is None else nullcontext(folder)


def _by_classifier(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Return the candidates, those together that have the same classifier."""
    groups: dict[object, list[Candidate]] = {}
    for one in candidates:
        is_built = isinstance(one.classifier, Classifier)
        groups.setdefault(id(one.classifier) if is_built else one.identity, []).append(one)
    return list(groups.values())


def _ways(perturb: bool | Sequence[str]) -> Mapping[str, Perturbation]:
    if isinstance(perturb, bool):
        return PERTURBATIONS if perturb else {}
    unknown = [name for name in perturb if name not in PERTURBATIONS]
    if unknown:
        raise ConfigError(f"no perturbation {unknown[0]!r}; known are {', '.join(PERTURBATIONS)}")
    return {name: PERTURBATIONS[name] for name in perturb}


def _windows(streaming: bool | Mapping[str, Window | None]) -> Mapping[str, Window | None] | None:
    if isinstance(streaming, bool):
        return SCHEDULES if streaming else None
    return streaming


def _speed(
    plan: _Plan, classifier: Classifier, slug: str, questions: Sequence[Question]
) -> Speed | None:
    """Return how fast the classifier is, as measured when it judged these rows."""
    kept = _folder(plan.folder, plan.sets[0]) / f"{slug}.speed.json"
    if kept.exists():
        times: list[float] = json.loads(kept.read_text())
    else:
        times = _timed(plan, classifier)
        kept.write_text(json.dumps(times))
    each = [one.seconds for question in questions for one in answers(question) if one.verdict]
    if not times or not each:
        return None
    p50, p95 = np.percentile(times, [50, 95]) * 1000
    rate = len(each) / max(sum(each), 1e-9)
    return Speed(rate, plan.batch, float(p50), float(p95), len(times))


def _timed(plan: _Plan, classifier: Classifier) -> list[float]:
    """Return the seconds that single turns take."""
    times: list[float] = []
    for row in islice(plan.rows(), _TIMED_ROWS):
        started = time.perf_counter()
        try:
            ask(Classify([row.conversation], None), classifier)
        except ClassifierError:
            continue
        times.append(time.perf_counter() - started)
        if sum(times) > _TIMED_SECONDS:
            break
    return [round(seconds, 7) for seconds in times]


def _settings(
    sets: Sequence[Dataset],
    plan: _Plan,
    ways: Mapping[str, Perturbation],
    windows: Mapping[str, Window | None] | None,
    resamples: int,
) -> dict[str, Any]:
    return {
        "sample": sets[0].sample,
        "first": sets[0].first,
        "seed": plan.seed,
        "resamples": resamples,
        "detail_rows": len(plan.detail) if ways or windows is not None else 0,
        "perturbations": list(ways),
        "schedules": list(windows or ()),
    }


def _version() -> str:
    try:
        return version("guardrail-ko")
    except PackageNotFoundError:
        return "unknown"
