"""The table of all checkpoints, and which of them is the best by a rule that is said beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from guardrail.errors import ConfigError, GuardrailError
from guardrail.evaluation.figures import NAMES

__all__ = ["Choice", "Line", "Rule", "best", "lines_of"]


@dataclass(frozen=True, slots=True)
class Line:
    """One checkpoint on one set: a line of the card's table.

    Args:
        data: name of the set.
        steps: training steps of the checkpoint.
        epoch: passes over the training rows by then.
        figures: by name, 0 to 1; one that the set's rows cannot say is not there.
        refused: share of rows whose answer is mostly no label; in the figures they are wrong.
    """

    data: str
    steps: int
    epoch: float
    figures: Mapping[str, float]
    refused: float = 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes a checkpoint the best: the highest weighted mean of figures, over all sets.

    Args:
        weights: of each figure; negative for one that should be low.

    Raises:
        ConfigError: there is no such figure, or no weight.
    """

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        for name in self.weights:
            if name not in NAMES:
                raise ConfigError(f"no figure {name!r} to choose by; known are {', '.join(NAMES)}")
        if not any(self.weights.values()):
            raise ConfigError("choose must name a figure, such as f1")

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Return the rule that "f1" or "f1=2,false_alarms=-1" says."""
        parts = [part.partition("=") for part in text.split(",") if part.strip()]
        try:
            return cls({name.strip(): float(weight or 1) for name, _, weight in parts})
        except ValueError as error:
            raise ConfigError(f"choose is {text!r}; write figure=weight,figure=weight") from error

    def __str__(self) -> str:
        """Say it in words."""
        if list(self.weights.values()) == [1.0]:
            return next(iter(self.weights))
        return ", ".join(f"{name} times {weight:g}" for name, weight in self.weights.items())

    def score(self, lines: Iterable[Line]) -> float | None:
        """Return a checkpoint's score from its lines; None where they have not all figures.

        A figure that a set's rows cannot say is taken over the other sets.
        """
        lines = list(lines)
        total = 0.0
        for name, weight in self.weights.items():
            values = [line.figures[name] for line in lines if name in line.figures]
            if not values:
                return None
            total += weight * fmean(values)
        return total / sum(map(abs, self.weights.values()))

    def require(self, sets: Mapping[str, Sequence[bool]]) -> None:
        """Raise unless the sets can tell what the rule asks, given which rows of each are unsafe.

        Raises:
            ConfigError: no set has both safe and unsafe rows.
        """
        for name in self.weights.keys() - {"accuracy"}:
            if not any(len(set(unsafe)) == 2 for unsafe in sets.values()):
                raise ConfigError(
                    f"no evaluation set has both safe and unsafe rows, so none has a {name}; "
                    "choose by accuracy, or name another set"
                )


@dataclass(frozen=True, slots=True)
class Choice:
    """The checkpoint that is the best.

    Args:
        steps: its training steps.
        score: by the rule.
        reason: in one sentence.
        warning: why it should not be used all the same; empty where nothing is known against it.
    """

    steps: int
    score: float
    reason: str
    warning: str = ""


def lines_of(history: Iterable[Mapping[str, Any]], sets: Iterable[str]) -> list[Line]:
    """Return the table's lines out of a trainer's log, set by set."""
    found: dict[tuple[str, int], Line] = {}
    entries = list(history)
    for data in sets:
        for entry in entries:
            figures = {
                name: entry[f"eval_{data}_{name}"]
                for name in NAMES
                if entry.get(f"eval_{data}_{name}") is not None
            }
            if figures:
                steps = int(entry["step"])
                refused = float(entry.get(f"eval_{data}_refused", 0.0))
                found[data, steps] = Line(data, steps, float(entry["epoch"]), figures, refused)
    return list(found.values())


def best(lines: Sequence[Line], rule: Rule) -> Choice:
    """Return the best checkpoint; of equals the first, which has seen the data least often.

    Raises:
        GuardrailError: no checkpoint has the figures that the rule asks for.
    """
    steps = sorted({line.steps for line in lines})
    scores = {one: rule.score(line for line in lines if line.steps == one) for one in steps}
    known = {one: score for one, score in scores.items() if score is not None}
    if not known:
        raise GuardrailError(f"no checkpoint has a score by {rule}")
    chosen = max(known, key=lambda one: (known[one], -one))
    warning = _warning([line for line in lines if line.steps == chosen])
    return Choice(chosen, known[chosen], _reason(chosen, known, rule), warning)


def _warning(lines: Sequence[Line]) -> str:
    """Return on which sets a checkpoint is not fit for use, and why.

    Any single answer for all finds the same share of unsafe and of safe rows: all or none.
    """
    blind = [line for line in lines if line.figures.get("recall") == 0.0]
    useless = [
        line
        for line in lines
        if line not in blind
        and line.figures.get("recall", 1.0) <= line.figures.get("false_alarms", 0.0)
    ]
    found = {"finds nothing unsafe": blind, "is no better than one answer for all rows": useless}
    said = [f"{what} on {_names(each)}" for what, each in found.items() if each]
    shares = ", ".join(f"{line.refused:.1%} of {line.data}" for line in lines if line.refused)
    told = [
        f"it {' and '.join(said)}, and is not fit for use there" if said else "",
        f"KoSafeGuard refuses {shares}, where its answer is mostly no label" if shares else "",
    ]
    if not any(told):
        return ""
    return (
        f"Warning: {'; '.join(filter(None, told))}. Train on more rows, for more epochs, or with "
        "another learning rate."
    )


def _names(lines: Iterable[Line]) -> str:
    return ", ".join(line.data for line in lines)


def _reason(chosen: int, known: Mapping[int, float], rule: Rule) -> str:
    sentence = f"checkpoint-{chosen} has the highest {rule}, {known[chosen]:.4f} over all sets"
    others = {steps: score for steps, score in known.items() if steps != chosen}
    if not others:
        return f"{sentence}; there is no other."
    second = max(others, key=lambda one: (others[one], -one))
    if others[second] == known[chosen]:
        return f"{sentence}, as has checkpoint-{second}; of equals the first is taken."
    return f"{sentence}; next is checkpoint-{second} with {others[second]:.4f}."
