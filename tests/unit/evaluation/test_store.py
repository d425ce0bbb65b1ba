"""A killed run goes on where it stopped, without a row lost or repeated."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import Category, Verdict
from guardrail.errors import ClassifierError, ClassifierUnavailable, ConfigError
from guardrail.evaluation.judge import Question, answers, judge
from guardrail.evaluation.store import Answer, Verdicts
from guardrail.policy import CategoryPolicy, Policy
from guardrail.testing import StubClassifier
from guardrail.types import exchange
from tests.unit.evaluation.helpers import Reading

POLICY = Policy()


def about(texts: list[str], folder: Path, batch: int = 4) -> Question:
    return Question(lambda: (exchange("q", text) for text in texts), folder / "v.jsonl", batch)


def scores(question: Question) -> list[float | None]:
    return [one.verdict.score if one.verdict else None for one in answers(question)]


@given(cut=st.integers(0, 400), rows=st.integers(1, 12), batch=st.integers(1, 5))
def test_wherever_a_file_is_cut_the_run_goes_on(cut: int, rows: int, batch: int) -> None:
    """Whole lines stand, a torn one is judged again, and nothing is judged twice."""
    texts = [f"0.{number:02}" for number in range(rows)]
    with TemporaryDirectory() as folder:
        question = about(texts, Path(folder), batch)
        judge(question, Reading(), [POLICY], lambda _: None)
        whole = question.path.read_bytes()
        question.path.write_bytes(whole[:cut])
        again = Reading()
        judge(question, again, [POLICY], lambda _: None)

        assert question.path.read_bytes().count(b"\n") == rows
        assert scores(question) == [float(text) for text in texts]
        kept = whole[:cut].count(b"\n")
        assert again.seen[-(rows - kept) :] == texts[kept:] or kept == rows


def test_a_finished_run_asks_for_nothing_but_a_few_probes(tmp_path: Path) -> None:
    """They show that the classifier is still the same."""
    texts = [f"0.{number:03}" for number in range(100)]
    judge(about(texts, tmp_path), Reading(), [POLICY], lambda _: None)
    again = Reading()
    judge(about(texts, tmp_path), again, [POLICY], lambda _: None)

    assert again.seen == texts[:8]


def test_another_classifier_cannot_go_on(tmp_path: Path) -> None:
    """New weights under an old name are found out."""
    judge(about(["0.9", "0.1"], tmp_path), Reading(), [POLICY], lambda _: None)
    with pytest.raises(ConfigError, match=r"answers 0\.010 where the stored run has 0\.900"):
        judge(about(["0.9", "0.1"], tmp_path), StubClassifier(), [POLICY], lambda _: None)


def test_rows_that_stand_twice_are_told(tmp_path: Path) -> None:
    """As when two runs write at once."""
    store = Verdicts(tmp_path / "v.jsonl")
    store.add([Answer(Verdict(True, 0.9))])
    store.close()
    path = tmp_path / "v.jsonl"
    path.write_bytes(path.read_bytes() * 2)
    store = Verdicts(path)
    with pytest.raises(ConfigError, match="two runs"):
        list(store.answers())
    store.close()


def test_one_bad_row_spoils_no_batch(tmp_path: Path) -> None:
    """It alone has no verdict, and its reason is kept."""
    question = about(["0.1", "broken", "0.3", "0.4", "0.5"], tmp_path)
    judge(question, Reading(), [POLICY], lambda _: None)

    assert scores(question) == [0.1, None, 0.3, 0.4, 0.5]
    assert [one.error for one in answers(question)][1] == "ClassifierError: cannot read this"


@pytest.mark.parametrize("error", [ClassifierError("down"), ClassifierUnavailable("no weights")])
def test_a_classifier_that_never_answers_ends_the_run(tmp_path: Path, error: Exception) -> None:
    """Nothing is stored, so that a later run begins where this one did."""
    question = about(["0.1"] * 20, tmp_path)
    with pytest.raises(ClassifierError, match=str(error)):
        judge(question, StubClassifier(error=error), [POLICY], lambda _: None)

    assert question.path.read_bytes() == b""


def test_categories_are_found_only_where_a_policy_wants_them(tmp_path: Path) -> None:
    """And once, however often the run is repeated."""
    texts = ["0.2", "0.6", "0.9"]
    question = about(texts, tmp_path)
    reading = Reading({Category.O3: 0.8})
    for _ in range(2):
        judge(question, reading, [POLICY], lambda _: None)
    found = [one.verdict.top if one.verdict else None for one in answers(question)]

    assert found == [None, Category.O3, Category.O3]
    assert reading.asked == ["0.6", "0.9"]


def test_a_stricter_policy_has_the_missing_categories_found(tmp_path: Path) -> None:
    """Without judging a row again."""
    question = about(["0.2", "0.6"], tmp_path)
    reading = Reading({Category.O3: 0.8})
    judge(question, reading, [POLICY], lambda _: None)
    strict = Policy(categories={Category.O3: CategoryPolicy(threshold=0.1)})
    judge(question, reading, [strict], lambda _: None)

    assert reading.asked == ["0.6", "0.2"]


def test_progress_counts_what_was_there_before(tmp_path: Path) -> None:
    """So a bar that goes on starts where it stopped."""
    told: list[int] = []
    judge(about(["0.1"] * 6, tmp_path), Reading(), [POLICY], lambda _: None)
    judge(about(["0.1"] * 6, tmp_path), Reading(), [POLICY], told.append)

    assert sum(told) == 6


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    """Scores to the last digit."""
    verdicts = [Verdict(False, 0.1 + 0.2, {Category.O1: 1 / 3}), Verdict(True, 1.0)]
    store = Verdicts(tmp_path / "v.jsonl")
    store.add([Answer(verdict) for verdict in verdicts])
    back = [one.verdict for one in store.answers()]
    store.close()

    assert [(v.unsafe, v.score, v.categories) for v in back if v] == [
        (v.unsafe, v.score, v.categories) for v in verdicts
    ]


def test_lines_are_numbered_in_order(tmp_path: Path) -> None:
    """Over any number of openings."""
    for _ in range(3):
        store = Verdicts(tmp_path / "v.jsonl")
        store.add([Answer(Verdict(True, 0.5))] * 2)
        store.close()
    store = Verdicts(tmp_path / "v.jsonl")
    numbers = [line[0] for line in store.values()]
    store.close()

    assert all(after == before + 1 for before, after in pairwise(numbers))
