"""From rows and candidates to a report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guardrail import Category, Policy
from guardrail.config import ClassifierConfig
from guardrail.errors import ConfigError, GuardrailError
from guardrail.evaluation import Candidate, Columns, Dataset, Report, evaluate
from guardrail.policy import CategoryPolicy, OnUnsafe
from guardrail.window import Window
from tests.unit.evaluation.helpers import Reading, jsonl, labelled, row

ROWS = [
    row(0.9, unsafe=True, category="O1"),
    row(0.6, unsafe=True, category="O2"),
    row(0.2, unsafe=True, category="O2"),
    row(0.7, unsafe=False),
    row(0.1, unsafe=False),
    row(0.2, unsafe=False),
]


def reading(name: str = "reading", policy: Policy | None = None) -> Candidate:
    return Candidate(name, Reading({Category.O2: 0.9, Category.O1: 0.4}), policy or Policy())


def test_figures_are_those_of_the_rows() -> None:
    """Counted by hand."""
    figures = evaluate([Dataset.of(ROWS)], [reading()]).results[0].overall

    assert (figures.rows, figures.unsafe) == (6, 3)
    assert figures.recall is not None
    assert figures.false_alarms is not None
    assert figures.recall.value == pytest.approx(2 / 3)
    assert figures.false_alarms.value == pytest.approx(1 / 3)
    assert figures.named is not None
    assert figures.named.value == pytest.approx(1 / 2)  # O2 comes first for both that were asked


def test_the_policy_decides_what_counts_as_caught() -> None:
    """A category that is let through is not caught, whatever the classifier says."""
    lenient = Policy(categories={Category.O2: CategoryPolicy(action=OnUnsafe.ALLOW)})
    monitor = Policy(threshold=0.15)
    report = evaluate(
        [Dataset.of(ROWS)],
        [reading("default"), reading("lenient", lenient), reading("low", monitor)],
    )
    recalls = [one.overall.recall.value if one.overall.recall else None for one in report.results]

    assert recalls == [pytest.approx(2 / 3), 0.0, 1.0]


def test_policies_of_one_classifier_are_judged_once() -> None:
    """Only what is decided differs."""
    shared = Reading()
    policies = [Candidate("a", shared), Candidate("b", shared, Policy(threshold=0.15))]
    evaluate([Dataset.of(ROWS)], policies)

    assert len(shared.seen) == 2 * len(ROWS)  # once for the verdicts, once for the times


def test_groups_divide_the_rows(tmp_path: Path) -> None:
    """By what the data say and what the texts are, and by columns of the caller's."""
    data = jsonl(tmp_path / "set.jsonl", [{**one, "kind": "x"} for one in labelled(30)])
    report = evaluate([data], [reading()], columns=Columns(by=("kind",)), resamples=20)
    groups = report.results[0].groups

    assert set(groups) == {"data", "category", "source", "length", "language", "judged", "kind"}
    assert sum(part.rows for part in groups["source"].values()) == 30
    assert list(groups["length"]) == ["0-50"]
    assert list(groups["language"]) == ["ko"]


def test_sets_stand_apart_and_together(tmp_path: Path) -> None:
    """Each has its figures, and so do all."""
    one = jsonl(tmp_path / "one.jsonl", labelled(30))
    two = jsonl(tmp_path / "two.jsonl", labelled(20, step=2))
    result = evaluate([one, two], [reading()], resamples=20).results[0]

    assert (result.on("one").rows, result.on("two").rows, result.overall.rows) == (30, 20, 50)


def test_candidates_are_compared_on_the_same_rows() -> None:
    """The difference is the figures' own, and its interval is of the pairs."""
    rows = [row(0.4 + n % 7 / 10, unsafe=n % 2 == 0) for n in range(140)]
    report = evaluate([Dataset.of(rows)], [reading("a"), reading("b", Policy(threshold=0.85))])
    (difference,) = report.differences
    recalls = [one.overall.recall for one in report.results]
    recall = difference.figures["recall"]

    assert recalls[0] is not None
    assert recalls[1] is not None
    assert recall.value == pytest.approx(recalls[1].value - recalls[0].value)
    assert recall.low < recall.value < recall.high < 0
    assert difference.figures["auroc"].low == difference.figures["auroc"].high == 0


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    """They could not be told apart."""
    data = jsonl(tmp_path / "set.jsonl", labelled(3))
    with pytest.raises(ConfigError, match="two candidates are called 'reading'"):
        evaluate([data], [reading(), reading()])
    with pytest.raises(ConfigError, match="two data are called 'set'"):
        evaluate([data, data], [reading()])


def test_errors_are_counted_apart() -> None:
    """A row without a verdict is neither caught nor passed, and fails a test of the figures."""
    rows = [*ROWS, row(0.1, unsafe=False).with_text("broken")]
    report = evaluate([Dataset.of(rows)], [reading()])
    result = report.results[0]

    assert result.overall.rows == 6
    assert result.errors == {"ClassifierError: cannot read this": 1}
    assert report.failures(min_recall=0.1) == (
        "1 rows have no verdict: ClassifierError: cannot read this",
    )


def test_a_report_fails_with_the_reason() -> None:
    """For the tests of users' own projects."""
    report = evaluate([Dataset.of(ROWS)], [reading()])

    assert report.failures(min_recall=0.6, max_fpr=0.4) == ()
    low, high = report.failures(min_recall=0.9, max_fpr=0.02)
    assert low.startswith("recall is 66.7 (")
    assert high.startswith("false alarms are 33.3 (")
    assert high.endswith("more than 2 %")


def test_what_cannot_be_told_fails_too() -> None:
    """No unsafe rows is no recall of 90 %."""
    report = evaluate([Dataset.of(ROWS[3:])], [reading()])

    assert "cannot be told" in report.failures(min_recall=0.9)[0]


def test_everything_at_once(tmp_path: Path) -> None:
    """Disguises and streams for two candidates, kept and gone on with."""
    data = jsonl(tmp_path / "set.jsonl", labelled(40))
    candidates = [reading("a"), reading("b", Policy(window=Window(first=8)))]
    for _ in range(2):
        report = evaluate(
            [data],
            candidates,
            perturb=["spread", "refusal first"],
            streaming={"whole": None},
            detail_rows=20,
            folder=tmp_path / "run",
            resamples=20,
        )

    assert [one.name for one in report.results[0].robustness] == ["spread", "refusal first"]
    assert [one.name for one in report.results[1].streaming] == ["policy", "whole"]
    assert (tmp_path / "run" / ".gitignore").read_text() == "*\n"
    json.loads(report.to_json())


def test_a_folder_can_be_forgotten(tmp_path: Path) -> None:
    """`fresh` judges anew what would be refused."""
    data = jsonl(tmp_path / "set.jsonl", labelled(9))
    spec = "tests.unit.evaluation.helpers:Reading"
    candidate = Candidate("x", ClassifierConfig(kind=spec))
    evaluate([data], [candidate], folder=tmp_path / "run", resamples=0)
    (stored,) = (tmp_path / "run").glob("*/*[0-9a-f].jsonl")
    lines = stored.read_text().replace("0.35", "0.99")
    stored.write_text(lines)
    with pytest.raises(ConfigError, match="--fresh"):
        evaluate([data], [candidate], folder=tmp_path / "run", resamples=0)

    assert evaluate([data], [candidate], folder=tmp_path / "run", fresh=True, resamples=0).rows == 9


def test_unknown_perturbations_are_told() -> None:
    """With those that there are."""
    with pytest.raises(ConfigError, match="no perturbation 'rot13'; known are jamo"):
        evaluate([Dataset.of(ROWS)], [reading()], perturb=["rot13"])


@pytest.mark.parametrize(
    ("spec", "described"),
    [
        ("embedded", "embedded"),
        ("embedded,threshold=0.25", "embedded, threshold=0.25"),
        ("kosafeguard@step-5,quantization=8bit", "kosafeguard, quantization=8bit, revision=step-5"),
        ("mine=own.module:Class,names=['a','b']", "own.module:Class, names=['a', 'b']"),
    ],
)
def test_a_candidate_is_named_in_a_word(spec: str, described: str) -> None:
    """Classifier, revision and arguments."""
    candidate = Candidate.parse(spec)

    assert candidate.described == described
    assert candidate.name == ("mine" if spec.startswith("mine=") else spec)


def test_a_candidate_can_be_a_file(tmp_path: Path) -> None:
    """With its policy."""
    (tmp_path / "strict.toml").write_text("[policy]\nthreshold = 0.2\n")
    candidate = Candidate.parse(str(tmp_path / "strict.toml"))

    assert (candidate.name, candidate.policy.threshold) == ("strict", 0.2)


@pytest.mark.parametrize("spec", ["embeded", "embedded,threshold", "missing.toml"])
def test_a_candidate_that_is_none_is_told(spec: str) -> None:
    """In one line."""
    with pytest.raises(GuardrailError):
        Candidate.parse(spec)


KILLED = """
import sys, time
from guardrail.evaluation.judge import Question, judge
from guardrail.evaluation.plan import Plan
from guardrail.policy import Policy
from tests.unit.evaluation.helpers import Reading

class Slow(Reading):
    def classify_many(self, conversations):
        time.sleep(0.01)
        return super().classify_many(conversations)

with Plan.made([sys.argv[1]], None, folder=sys.argv[2], fresh=False, batch=4, progress=None) as plan:
    for question in plan.questions(sys.argv[3]):
        plan.have_judged(question, Slow(), [Policy()], "killed")
"""


def test_a_run_that_is_killed_goes_on(tmp_path: Path) -> None:
    """SIGKILL at any moment; the report is the one of an undisturbed run."""
    data = jsonl(tmp_path / "set.jsonl", labelled(400))
    candidate = Candidate("slow", Reading())
    command = [sys.executable, "-c", KILLED, str(data), str(tmp_path / "run"), candidate.slug]
    started = subprocess.Popen(command)
    deadline = time.monotonic() + 30
    while not size_of(tmp_path / "run") and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(started.pid, signal.SIGKILL)
    code = started.wait()
    after = Reading()
    settled = {"folder": tmp_path / "run", "resamples": 20, "mistakes": 0}
    resumed = evaluate([data], [Candidate("slow", after)], **settled)  # type: ignore[arg-type]
    undisturbed = evaluate([data], [candidate], resamples=20, mistakes=0)

    assert code == -signal.SIGKILL
    assert 0 < len(after.seen) - 200 < 400  # 200 for the times; the rest was there already
    assert timeless(json.loads(resumed.to_json())) == timeless(json.loads(undisturbed.to_json()))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*.jsonl"))


def timeless(report: dict[str, object]) -> dict[str, object]:
    for result in report["results"]:  # type: ignore[attr-defined]
        result.pop("speed")
    report.pop("created")
    report["settings"].pop("created")  # type: ignore[attr-defined]
    return report


def test_reports_of_the_same_rows_are_equal() -> None:
    """All chance is seeded."""
    reports: list[Report] = [
        evaluate([Dataset.of(ROWS)], [reading("a"), reading("b", Policy(threshold=0.3))])
        for _ in range(2)
    ]
    one, two = (timeless(json.loads(report.to_json())) for report in reports)

    assert one == two
