"""Figures are scikit-learn's; the bootstrap's own arithmetic gives the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics

from guardrail.evaluation.bootstrap import Cells, levelled, resampled, weighted
from guardrail.evaluation.figures import NAMES
from guardrail.evaluation.measures import (
    Judgement,
    calibration_error,
    measure,
    proportion,
    wilson,
)

SCORES = st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.3, 0.5, 0.5001, 0.7, 0.9, 0.99, 1.0])
ROWS = st.lists(st.tuples(st.booleans(), st.booleans(), SCORES), min_size=2, max_size=60)


def judged(rows: list[tuple[bool, bool, float]]) -> Judgement:
    unsafe, found, score = (np.array(column) for column in zip(*rows, strict=True))
    return Judgement(unsafe, found, score.astype(float), np.full(len(rows), -1, np.int8))


def by_sklearn(rows: Judgement, weight: np.ndarray | None = None) -> dict[str, float]:
    unsafe, found, score = rows.unsafe.astype(int), rows.found.astype(int), rows.score
    nan = float("nan")
    return {
        "accuracy": metrics.accuracy_score(unsafe, found, sample_weight=weight),
        "f1": metrics.f1_score(unsafe, found, sample_weight=weight, zero_division=nan),
        "precision": metrics.precision_score(
            unsafe, found, sample_weight=weight, zero_division=nan
        ),
        "recall": metrics.recall_score(unsafe, found, sample_weight=weight, zero_division=nan),
        "auroc": metrics.roc_auc_score(unsafe, score, sample_weight=weight),
        "average_precision": metrics.average_precision_score(unsafe, score, sample_weight=weight),
        "false_alarms": metrics.recall_score(1 - unsafe, found, sample_weight=weight),
    }


@settings(max_examples=50)
@given(ROWS)
def test_figures_are_those_of_scikit_learn(rows: list[tuple[bool, bool, float]]) -> None:
    """On any labels, decisions and scores of both kinds."""
    one = judged(rows)
    assume(0 < one.unsafe.sum() < len(one.unsafe))
    figures = measure(one, resamples=0)

    for name, value in by_sklearn(one).items():
        figure = figures.get(name)
        if np.isnan(value):
            assert figure is None
        else:
            assert figure is not None
            assert figure.value == pytest.approx(value, abs=1e-12)


@settings(max_examples=50)
@given(ROWS, st.integers(0, 2**32 - 1))
def test_a_resamples_figures_are_scikit_learns_with_weights(
    rows: list[tuple[bool, bool, float]], seed: int
) -> None:
    """The bootstrap's quick arithmetic is the same figure."""
    one = judged(rows)
    cells = Cells.of(one.unsafe, one.found, one.score, one.named)
    weights = np.random.default_rng(seed).integers(0, 4, len(cells.counts))
    assume((weights * cells.unsafe).sum() and (weights * ~cells.unsafe).sum())
    quick = weighted(cells, weights[None, :])
    drawn = Judgement(cells.unsafe, cells.found, cells.score, cells.named)

    for name, value in by_sklearn(drawn, weights).items():
        assert quick[name][0] == pytest.approx(value, nan_ok=True)


@given(ROWS)
def test_intervals_hold_their_figure(rows: list[tuple[bool, bool, float]]) -> None:
    """Low, value and high stand in this order, for any rows."""
    figures = measure(judged(rows), resamples=50)

    for name in NAMES:
        figure = figures.get(name)
        assert figure is None or 0 <= figure.low <= figure.value <= figure.high <= 1


def test_rows_of_one_kind_say_only_what_they_can() -> None:
    """No precision or AUROC of safe rows alone: they would be 0 or 1 by definition."""
    figures = measure(judged([(False, True, 0.9), (False, False, 0.1)]), resamples=10)
    known = {name for name in NAMES if figures.get(name) is not None}

    assert known == {"accuracy", "false_alarms"}


def test_no_rows_have_no_figures() -> None:
    """Also where every verdict was an error."""
    nothing = np.empty(0, bool)
    figures = measure(Judgement(nothing, nothing, np.empty(0), np.empty(0, np.int8)))

    assert figures.rows == 0
    assert all(figures.get(name) is None for name in NAMES)


def test_many_scores_are_put_into_shares_for_the_intervals_only() -> None:
    """512 levels move AUROC by less than a thousandth."""
    dice = np.random.default_rng(0)
    unsafe = dice.random(20000) < 0.3
    score = np.clip(dice.normal(0.4 + 0.2 * unsafe, 0.15), 0, 1)
    exact = metrics.roc_auc_score(unsafe, score)
    level = levelled(score)

    assert len(np.unique(level)) <= 512
    assert metrics.roc_auc_score(unsafe, level) == pytest.approx(exact, abs=5e-4)


def test_intervals_are_as_wide_as_a_bootstrap_of_rows() -> None:
    """Cells and multinomial draws are the same bootstrap."""
    dice = np.random.default_rng(1)
    unsafe = dice.random(300) < 0.4
    score = np.round(np.clip(dice.normal(0.4 + 0.25 * unsafe, 0.2), 0, 1), 2).astype(float)
    rows = Judgement(unsafe, score > 0.5, score, np.full(300, -1, np.int8))
    figure = measure(rows, resamples=2000).auroc
    drawn = []
    for _ in range(800):
        at = dice.integers(0, 300, 300)
        drawn.append(metrics.roc_auc_score(unsafe[at], score[at]))
    low, high = np.percentile(drawn, [2.5, 97.5])

    assert figure is not None
    assert (figure.low, figure.high) == pytest.approx((low, high), abs=0.01)


def test_all_right_is_not_certainly_right() -> None:
    """A bootstrap of five right rows sees only right ones; Wilson's interval does not."""
    figure = measure(judged([(True, True, 0.9)] * 5)).recall

    assert figure is not None
    assert figure.value == figure.high == 1
    assert figure.low == pytest.approx(0.5655, abs=1e-3)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (0, 0, 0, 1)],
)
def test_wilsons_interval(count: int, of: int, low: float, high: float) -> None:
    """Known values (Newcombe 1998)."""
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-3)


def test_calibration_error_of_known_scores() -> None:
    """Weighted mean distance over ten bins."""
    unsafe = np.array([True, False, True, True])
    score = np.array([0.05, 0.05, 0.95, 0.85])

    assert calibration_error(unsafe, score) == pytest.approx((2 * 0.45 + 0.05 + 0.15) / 4)


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_a_share_lies_in_its_interval(flags: list[bool]) -> None:
    """Whatever the flags."""
    figure = proportion(np.array(flags), resamples=100)

    assert figure is not None
    assert figure.low <= figure.value <= figure.high


def test_the_bootstrap_is_the_same_for_the_same_seed() -> None:
    """Reports can be compared."""
    counts = np.array([3, 5, 2])
    drawn = [np.concatenate(list(resampled(counts, 20, seed))) for seed in (7, 7, 8)]

    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    assert (drawn[0].sum(1) == 10).all()
