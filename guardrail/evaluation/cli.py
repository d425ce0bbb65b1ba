"""`guardrail eval` and `guardrail calibrate`; what they need is imported when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from guardrail.errors import ConfigError
from guardrail.evaluation.options import (
    BatchOption,
    ClassifierOption,
    ColumnOption,
    ConfigOption,
    DataArgument,
    FolderOption,
    FreshOption,
    SeedOption,
    Share,
    TextIsUserOption,
    UnsafeWhenOption,
)
from guardrail.evaluation.progress import shown

if TYPE_CHECKING:
    from guardrail.config import Config
    from guardrail.evaluation.calibration import Calibration
    from guardrail.evaluation.candidates import Candidate
    from guardrail.evaluation.columns import Columns
    from guardrail.evaluation.report import Report
    from guardrail.evaluation.targets import Target

__all__ = ["calibrate", "evaluate"]

_NOT_GOOD_ENOUGH = 1
_CARD_ROWS = 1000
_PIPED = 160  # columns of text that goes to a file


def evaluate(
    data: DataArgument = None,
    classifier: ClassifierOption = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(help="Another classifier, revision or policy on the same rows; repeatable."),
    ] = None,
    config: ConfigOption = None,
    column: ColumnOption = None,
    unsafe_when: UnsafeWhenOption = None,
    text_is_user: TextIsUserOption = False,
    by: Annotated[list[str] | None, typer.Option(help="Also report by this column.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Rows drawn of each set.")] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Rows from each set's start.")] = None,
    seed: SeedOption = 0,
    card: Annotated[
        bool,
        typer.Option(
            "--card", help="KoSafeGuard's card again: its two sets, 1,000 rows, KoSafeGuard."
        ),
    ] = False,
    perturb: Annotated[
        bool, typer.Option("--perturb", help="Also judge rows disguised and tricked with.")
    ] = False,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Also play replies as streams, by schedule.")
    ] = False,
    detail_rows: Annotated[
        int, typer.Option(min=1, help="Rows at most for --perturb and --streaming.")
    ] = 600,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="Also write .html, .json or .md; repeatable."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            help="Markdown file that takes the tables between its marks "
            "<!-- guardrail eval: begin --> and <!-- guardrail eval: end -->."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    no_text: Annotated[
        bool, typer.Option("--no-text", help="Keep the rows' text out of the report.")
    ] = False,
    folder: FolderOption = Path("guardrail-eval"),
    fresh: FreshOption = False,
    batch: BatchOption = 64,
    resamples: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 1000,
    min_recall: Share = None,
    min_precision: Share = None,
    min_f1: Share = None,
    min_accuracy: Share = None,
    min_auroc: Share = None,
    max_fpr: Share = None,
) -> None:
    """Judge labelled rows, and report how well that went.

    The exit code is 1 where a --min or --max does not hold, 2 where something could not be read or
    judged. Verdicts are kept, so a command that was stopped goes on where it was.
    """
    from guardrail.evaluation import html  # noqa: F401 - a missing library is told before judging
    from guardrail.evaluation.readers import PRESETS
    from guardrail.evaluation.report import require_form
    from guardrail.evaluation.run import evaluate as run

    for path in output or ():
        require_form(path)  # not when all is judged
    named = data or (list(PRESETS) if card else [])
    if not named:
        raise ConfigError("name the data to judge, or --card for those of KoSafeGuard's card")
    chosen = classifier or ("kosafeguard" if card else None)
    with shown() as progress:
        report = run(
            named,
            _candidates(config, chosen, compare or ()),
            columns=_columns(column, unsafe_when, text_is_user, by),
            sample=_CARD_ROWS if card and not (sample or first) else sample,
            first=first,
            seed=seed,
            perturb=perturb,
            streaming=streaming,
            detail_rows=detail_rows,
            folder=folder,
            fresh=fresh,
            batch=batch,
            resamples=resamples,
            mistakes=0 if no_text else 10,
            progress=progress,
        )
    _deliver(report, folder, output or [], into)
    _print(report, as_json=as_json)
    failures = report.failures(
        min_recall=min_recall,
        min_precision=min_precision,
        min_f1=min_f1,
        min_accuracy=min_accuracy,
        min_auroc=min_auroc,
        max_fpr=max_fpr,
    )
    for failure in failures:
        typer.echo(f"not good enough: {failure}", err=True)
    if failures:
        raise typer.Exit(_NOT_GOOD_ENOUGH)


def calibrate(
    data: DataArgument = None,
    target_fpr: Share = None,
    target_recall: Share = None,
    target_precision: Share = None,
    classifier: ClassifierOption = None,
    config: ConfigOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; otherwise --config, or guardrail.toml."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    per_category: Annotated[
        bool | None,
        typer.Option(
            "--per-category/--overall-only",
            help="Thresholds of single categories; otherwise where they do better.",
            show_default=False,
        ),
    ] = None,
    no_temperature: Annotated[
        bool, typer.Option("--no-temperature", help="Leave scores as they are.")
    ] = False,
    column: ColumnOption = None,
    unsafe_when: UnsafeWhenOption = None,
    text_is_user: TextIsUserOption = False,
    folder: FolderOption = Path("guardrail-eval"),
    fresh: FreshOption = False,
    batch: BatchOption = 64,
    seed: SeedOption = 0,
) -> None:
    """Choose thresholds on labelled rows, and write them into the policy file with the evidence.

    The target is at most 1 % false alarms unless another one is given. Rows too few to say lead to
    an error that tells how sure one could be, and nothing is written.
    """
    from guardrail.evaluation import policy_file  # noqa: F401 - see above
    from guardrail.evaluation.calibration import calibrate as run

    target = _target(target_fpr, target_recall, target_precision)
    if not data:
        raise ConfigError("name the data to calibrate on")
    (candidate,) = _candidates(config, classifier, ())
    with shown() as progress:
        calibration = run(
            data,
            target,
            candidate,
            columns=_columns(column, unsafe_when, text_is_user, None),
            per_category=per_category,
            temperature=not no_temperature,
            folder=folder,
            fresh=fresh,
            batch=batch,
            seed=seed,
            progress=progress,
        )
    path = None if dry_run else _policy_path(output, config)
    _tell(calibration, path, candidate)


def _target(fpr: float | None, recall: float | None, precision: float | None) -> Target:
    from guardrail.evaluation.targets import Goal, Target

    given = {Goal.FALSE_ALARMS: fpr, Goal.RECALL: recall, Goal.PRECISION: precision}
    targets = [Target(goal, value) for goal, value in given.items() if value is not None]
    if len(targets) > 1:
        raise ConfigError("one target at a time: --target-fpr, --target-recall, --target-precision")
    return targets[0] if targets else Target(Goal.FALSE_ALARMS, 0.01)


def _policy_path(output: Path | None, config: Path | None) -> Path:
    named = os.environ.get("GUARDRAIL_CONFIG")
    return output or config or Path(named or "guardrail.toml")


def _tell(calibration: Calibration, path: Path | None, candidate: Candidate) -> None:
    from guardrail.evaluation.policy_file import evidence_lines, write_policy

    for line in evidence_lines(calibration):
        typer.echo(line)
    own = ", ".join(f"{name} {value:.4f}" for name, value in calibration.rule.own.items())
    typer.echo(f"threshold {calibration.rule.threshold:.4f}{f'; {own}' if own else ''}")
    if path is not None:
        removed = write_policy(calibration, path, candidate)
        typer.echo(f"wrote {path}")
        for name, value in removed.items():
            typer.echo(f"took out {name}'s threshold {value}, which was not chosen with the others")


def _candidates(
    config: Path | None, classifier: str | None, others: Sequence[str]
) -> list[Candidate]:
    from guardrail.config import Config
    from guardrail.evaluation.candidates import Candidate

    settings = Config.load(config)
    first = (
        _configured(settings)
        if classifier is None
        else Candidate.parse(classifier, settings.policy)
    )
    return [first, *(Candidate.parse(other, settings.policy) for other in others)]


def _configured(settings: Config) -> Candidate:
    from guardrail.evaluation.candidates import Candidate

    return Candidate(settings.classifier.kind, settings.classifier, settings.policy)


def _columns(
    column: list[str] | None,
    unsafe_when: list[str] | None,
    text_is_user: bool,
    by: list[str] | None,
) -> Columns:
    from guardrail.evaluation.columns import Columns

    return Columns.parse(
        column or (),
        unsafe_when=tuple(unsafe_when or ()),
        text_is_user=text_is_user,
        by=tuple(by or ()),
    )


def _deliver(report: Report, folder: Path, asked: Sequence[Path], into: Path | None) -> None:
    page = folder / "report.html"
    for path in (page, folder / "report.json", *asked):
        report.save(path)
    if into is not None:
        from guardrail.evaluation.markdown import write_into

        write_into(into, report)
    typer.echo(f"report: {', '.join(map(str, asked or [page]))}", err=True)


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.to_json())
    else:
        report.show(Console(width=None if sys.stdout.isatty() else _PIPED))
