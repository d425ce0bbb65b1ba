"""The measurements: engine against recipe, in alternating rounds of one run."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch

from guardrail.bench.recipe import BareForward, Recipe, plain_attention, untouched
from guardrail.bench.texts import growing, turn
from guardrail.classifiers.kosafeguard import KoSafeGuard, Loaded
from guardrail.types import Conversation

__all__ = ["Bench", "Row", "Times"]

_Batch = Sequence[Conversation]
_Scores = Callable[[_Batch], list[float]]


@dataclass(frozen=True, slots=True)
class Times:
    """How long one thing took, in seconds, round by round."""

    seconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """The time that 95 of 100 rounds stay below; of few rounds, the longest."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario's figures, per round.

    Args:
        name: of the scenario.
        checks: how many verdicts.
        engine: its times.
        recipe: the recipe's, one prompt after the other.
        padded: likewise, as one padded batch; None where prompts come one by one.
        bare: of a bare forward over the same new tokens; None where it has no meaning.
        seen: tokens of the prompts.
        forwarded: tokens that the engine computed.
        difference: the largest between the engine's and the recipe's scores.
        peak_bytes: the most GPU memory held while the engine ran. Without a GPU the most that the
            process ever held, with the recipe's copy of the weights; 0 where nothing tells.
    """

    name: str
    checks: int
    engine: Times
    recipe: Times
    padded: Times | None
    bare: Times | None
    seen: float
    forwarded: float
    difference: float
    peak_bytes: int

    @property
    def ratio(self) -> float:
        """How many times longer the faster form of the recipe takes."""
        return min(each.p50 for each in (self.recipe, self.padded) if each) / self.engine.p50

    @property
    def over_bare(self) -> float | None:
        """How many times longer the engine takes than the bare forward."""
        return self.engine.p50 / self.bare.p50 if self.bare else None

    @property
    def per_second(self) -> float:
        """Verdicts per second."""
        return self.checks / self.engine.p50


@dataclass(frozen=True, slots=True)
class _Scenario:
    """What is checked in each round, the first of which warms up, and who is asked."""

    name: str
    rounds: Sequence[_Batch]
    engine: _Scores
    recipe: _Scores
    padded: _Scores | None = None
    bare: Callable[[_Batch], object] | None = None


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round took and gave."""

    engine: float
    recipe: float
    padded: float
    bare: float
    seen: int
    forwarded: int
    difference: float
    peak_bytes: int


class Bench:
    """Measures one model.

    Args:
        loaded: the model and its tokenizer.
        rounds: of each scenario.
        settings: of the classifier.
    """

    def __init__(self, loaded: Loaded, *, rounds: int = 5, **settings: Any) -> None:
        self._model, self._tokenizer = untouched(loaded.model), loaded.tokenizer
        self._rounds = rounds
        self.guard = KoSafeGuard(loaded, min_label_mass=0.0, **settings)
        self._recipe = Recipe(self._model, self._tokenizer, self.guard.engine.labels)
        self._seeds = count()

    @property
    def head_tokens(self) -> int:
        """How many tokens every prompt begins with."""
        return len(self.guard.prompts(turn(self._tokenizer, 10, 0))[0].head)

    def turn(self, tokens: int = 100) -> Row:
        """Measure single turns, another one each round, against a bare forward too."""
        scenario = self._turns(1, tokens)
        return self._measure(replace(scenario, padded=None, bare=self._bare(scenario.rounds[0])))

    def batch(self, turns: int, tokens: int = 100) -> Row:
        """Measure turns that arrive together."""
        return self._measure(self._turns(turns, tokens))

    def stream(self, tokens: int = 340, every: int = 32) -> Row:
        """Measure the checks of a reply that grows, another one each round."""
        return self._measure(
            _Scenario(
                f"reply of {tokens} tokens, checked every {every}",
                [
                    list(growing(self._tokenizer, tokens, every, next(self._seeds)))
                    for _ in range(self._rounds + 1)
                ],
                engine=lambda batch: [self.guard.classify(each).score for each in batch],
                recipe=self._recipe.one_by_one,
            )
        )

    def batches(self, turns: int, tokens: int = 100, *, rounds: int) -> list[list[Conversation]]:
        """Return batches of turns, no two alike."""
        return [
            [turn(self._tokenizer, tokens, next(self._seeds)) for _ in range(turns)]
            for _ in range(rounds)
        ]

    def _turns(self, turns: int, tokens: int) -> _Scenario:
        return _Scenario(
            f"{turns} x {tokens} tokens at once",
            self.batches(turns, tokens, rounds=self._rounds + 1),
            engine=lambda batch: [verdict.score for verdict in self.guard.classify_many(batch)],
            recipe=self._recipe.one_by_one,
            padded=self._recipe.padded,
        )

    def _bare(self, example: _Batch) -> Callable[[_Batch], object]:
        head = self.guard.prompts(example[0])[0].head
        with plain_attention(self._model):
            bare = self._there(lambda _: BareForward(self._model, head))(example)
        return lambda batch: bare(self.guard.prompts(batch[0])[0].rest).argmax().item()

    def _measure(self, scenario: _Scenario) -> Row:
        rounds = [self._round(scenario, batch) for batch in scenario.rounds]
        timed = rounds[1:]
        return Row(
            scenario.name,
            checks=len(scenario.rounds[0]),
            engine=Times(tuple(each.engine for each in timed)),
            recipe=Times(tuple(each.recipe for each in timed)),
            padded=Times(tuple(each.padded for each in timed)) if scenario.padded else None,
            bare=Times(tuple(each.bare for each in timed)) if scenario.bare else None,
            seen=statistics.mean(each.seen for each in timed),
            forwarded=statistics.mean(each.forwarded for each in timed),
            difference=max(each.difference for each in rounds),
            peak_bytes=max(each.peak_bytes for each in timed),
        )

    def _round(self, scenario: _Scenario, batch: _Batch) -> _Round:
        before = replace(self.guard.stats)
        _forget_peak()
        scores, engine = _timed(scenario.engine, batch)
        peak = _peak()
        after = self.guard.stats
        with plain_attention(self._model):
            expected, recipe = _timed(self._there(scenario.recipe), batch)
            padded = self._seconds(scenario.padded, batch)
            bare = self._seconds(scenario.bare, batch)
        return _Round(
            engine,
            recipe,
            padded,
            bare,
            seen=after.seen - before.seen,
            forwarded=after.forwarded - before.forwarded,
            difference=max(abs(a - b) for a, b in zip(scores, expected, strict=True)),
            peak_bytes=peak,
        )

    def _seconds(self, work: Callable[[_Batch], object] | None, batch: _Batch) -> float:
        return _timed(self._there(work), batch)[1] if work else 0.0

    def _there(self, work: Callable[[_Batch], Any]) -> Callable[[_Batch], Any]:
        """Return the work as the engine's thread does it.

        Were both sides timed on threads of their own, each would slow the other down; see
        `release_helpers`.
        """
        return lambda batch: self.guard.engine._worker.submit(work, batch).result()


def _timed(work: Callable[[_Batch], Any], batch: _Batch) -> tuple[Any, float]:
    """Return what the work gives and the seconds it took; it must wait for its device itself."""
    start = time.perf_counter()
    result = work(batch)
    return result, time.perf_counter() - start


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> int:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _peak_of_process()


def _peak_of_process() -> int:
    try:
        import resource
    except ImportError:  # on Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
