"""From data sets and candidates to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path

from guardrail.classifiers.base import Classifier
from guardrail.config import ClassifierConfig
from guardrail.errors import ConfigError
from guardrail.evaluation.assemble import Asked, Measured, assemble
from guardrail.evaluation.candidates import Candidate
from guardrail.evaluation.columns import Columns
from guardrail.evaluation.detail import choose, chosen_rows
from guardrail.evaluation.judge import answers
from guardrail.evaluation.perturb import PERTURBATIONS, Perturbation
from guardrail.evaluation.plan import Data, Plan, Progress, refuse_equal_names
from guardrail.evaluation.report import Report
from guardrail.evaluation.robustness import Rewritten
from guardrail.evaluation.rows import Row
from guardrail.evaluation.speed import speed
from guardrail.evaluation.streaming import SCHEDULES, Prefixes
from guardrail.evaluation.table import decide
from guardrail.window import Window

__all__ = ["evaluate"]

_Detail = Sequence[tuple[int, Row]]


def evaluate(
    data: Data,
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
    named = list(candidates) or [Candidate("embedded", ClassifierConfig())]
    refuse_equal_names("candidates", [one.name for one in named])
    for one in named:
        one.check()  # not when its turn comes, hours later
    ways, windows = _ways(perturb), _windows(streaming)
    with Plan.made(
        data,
        columns,
        sample=sample,
        first=first,
        seed=seed,
        folder=folder,
        fresh=fresh,
        batch=batch,
        progress=progress,
    ) as plan:
        wanted = detail_rows if ways or windows is not None else 0
        detail = chosen_rows(plan.rows(), choose(plan.table.unsafe, wanted, seed)) if wanted else []
        measured: dict[str, Measured] = {}
        for group in _by_classifier(named):
            measured |= _judged(plan, group, detail, ways, windows)
        return assemble(
            plan.sets,
            plan.table,
            [(one, measured[one.name]) for one in named],
            Asked(
                sample,
                first,
                seed,
                resamples,
                len(detail),
                mistakes,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                version=_version(),
            ),
        )


def _judged(
    plan: Plan,
    group: Sequence[Candidate],
    detail: _Detail,
    ways: Mapping[str, Perturbation],
    windows: Mapping[str, Window | None] | None,
) -> dict[str, Measured]:
    """Have one classifier judge everything; return what came out for each of its candidates."""
    name, slug = group[0].name, group[0].slug
    policies = [one.policy for one in group]
    questions = plan.questions(slug)
    rewritten = Rewritten(detail, ways)
    again = plan.about(rewritten.conversations, slug) if ways else None
    played = {
        one.name: Prefixes(detail, _with_own(one.policy.window, windows))
        for one in group
        if windows is not None
    }
    begun = {one: plan.about(prefixes.conversations, slug) for one, prefixes in played.items()}
    with group[0].opened() as classifier:
        for one, question in zip(plan.sets, questions, strict=True):
            plan.have_judged(question, classifier, policies, f"{name}: {one.name}")
        if again is not None:
            plan.have_judged(again, classifier, policies, f"{name}: rewritten")
        for question in begun.values():
            plan.have_judged(question, classifier, policies, f"{name}: beginnings")
        fast = speed(questions, classifier)
        threshold = getattr(classifier, "threshold", None)  # the interface asks for none
    return {
        one.name: Measured(
            decide(chain.from_iterable(map(answers, questions)), one.policy),
            fast,
            (rewritten, decide(answers(again), one.policy)) if again else None,
            (played[one.name], decide(answers(begun[one.name]), one.policy)) if begun else None,
            threshold,
        )
        for one in group
    }


def _with_own(
    window: Window | None, windows: Mapping[str, Window | None]
) -> dict[str, Window | None]:
    """Return the policy's own schedule, and all others."""
    return {"policy": window} | {name: one for name, one in windows.items() if one != window}


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


def _version() -> str:
    try:
        return version("guardrail-ko")
    except PackageNotFoundError:
        return "unknown"
