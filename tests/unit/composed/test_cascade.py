"""A cheap classifier decides what is clear, a strong one what is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from guardrail import Action, Category, Classifier, Guard, Verdict
from guardrail.classifiers import Cascade
from guardrail.errors import ClassifierUnavailable, ConfigError
from guardrail.testing import StubClassifier
from guardrail.types import Conversation
from tests.conftest import Answering, Mode


class Scoring(Classifier):
    """Scores a turn by the number it says."""

    def __init__(self, threshold: float = 0.5) -> None:
        self._threshold = threshold

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        scores = [float(conversation[-1].content) for conversation in conversations]
        return [Verdict(score >= self._threshold, score, classifier="cheap") for score in scores]


def strong(**settings: object) -> StubClassifier:
    """Return a strong classifier that finds 0.6 unsafe, whatever the cheap one scores."""
    return StubClassifier(lambda text: text == "0.6", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "action", "asked"),
    [
        ("0.01", Action.ALLOW, False),
        ("0.99", Action.REPLACE, False),
        ("0.6", Action.REPLACE, True),
        ("0.7", Action.ALLOW, True),
        ("0.05", Action.ALLOW, True),
        ("0.95", Action.ALLOW, True),
    ],
)
def test_the_strong_one_judges_what_is_unclear(
    text: str, action: Action, asked: bool, mode: Mode
) -> None:
    """Inside the band, its edges included, the strong classifier's verdict counts."""
    judge = strong()
    outcome = mode.check(Guard(Cascade(Scoring(), judge)), text)

    assert outcome.action is action
    assert judge.seen == [text] * asked


@pytest.mark.parametrize(("threshold", "text"), [(0.001, "0.01"), (0.999, "0.98")])
def test_a_verdict_against_its_score_is_unclear(threshold: float, text: str, mode: Mode) -> None:
    """A low score that is unsafe, or a high one that is safe, is for the strong one."""
    judge = strong()
    mode.check(Guard(Cascade(Scoring(threshold), judge)), text)

    assert judge.seen == [text]


def test_a_batch_is_divided(mode: Mode) -> None:
    """Of a batch the unclear turns alone go on, and each verdict finds its place."""
    judge = strong()
    cascade = Cascade(Scoring(), judge)
    texts = ["0.01", "0.6", "0.99", "0.5"]
    outcomes = mode.check_many(Guard(cascade), [("hi", text) for text in texts])

    assert [outcome.blocked for outcome in outcomes] == [False, True, True, False]
    assert judge.seen == ["0.6", "0.5"]
    assert (cascade.saving.judged, cascade.saving.strong, cascade.saving.share) == (4, 2, 0.5)


def test_an_unclear_verdict_never_counts(mode: Mode) -> None:
    """Where the strong one is down, what is unclear is blocked."""
    cascade = Cascade(Scoring(), strong(error=ClassifierUnavailable("down")))

    assert mode.check(Guard(cascade), "0.3").blocked
    assert not mode.check(Guard(cascade), "0.01").blocked


def test_without_the_cheap_one_the_strong_one_judges_all(mode: Mode) -> None:
    """A cheap classifier that fails costs money, not safety."""
    judge = strong()
    outcome = mode.check(Guard(Cascade(Answering(KeyError("x")), judge)), "0.6")

    assert outcome.blocked
    assert not outcome.degraded
    assert judge.seen == ["0.6"]


@pytest.mark.parametrize("answers", [[], ["safe"], None])
def test_no_nonsense_counts(answers: object, mode: Mode) -> None:
    """Answers that are no verdicts end in none, whoever gives them."""
    for cascade in (
        Cascade(Answering(answers), strong()),
        Cascade(Scoring(), Answering(answers)),
    ):
        assert mode.check(Guard(cascade), "0.6").blocked


def test_categories_are_the_strong_one_s(mode: Mode) -> None:
    """A turn found unsafe by either is named by the better one."""
    cascade = Cascade(Scoring(), strong(category=Category.O5))

    assert mode.check(Guard(cascade), "0.99").category is Category.O5


def test_nothing_judged_is_nothing_saved() -> None:
    """The share of nothing is nothing."""
    assert Cascade(Scoring(), strong()).saving.share == 0.0


@pytest.mark.parametrize("band", [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.1)])
def test_a_wrong_band_is_refused(band: tuple[float, float]) -> None:
    """Two scores in order."""
    with pytest.raises(ConfigError):
        Cascade(Scoring(), strong(), band=band)
