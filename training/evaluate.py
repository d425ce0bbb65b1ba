"""How good a classifier is: every development set, each kind of held-out turn, by category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from guardrail.classifiers.base import Classifier
from guardrail.types import Conversation, Verdict, exchange, question
from training.examples import Example, json_lines
from training.measure import auroc, calibration_error

__all__ = ["ORDINARY", "Figures", "development", "figures", "heldout", "scores", "verdicts"]

Figures: TypeAlias = dict[str, float | int]

ORDINARY = ("songys_20/turn", "square_q_test/input", "heldout/ordinary")
"""Sets of everyday Korean, on which the threshold is set."""


def development(folder: Path) -> Iterator[tuple[str, list[Example]]]:
    """Yield the development sets, each row in every role that it can play.

    A sentence without a role is judged as a reply to nothing and as a user's message.
    """
    for path in sorted(folder.glob("*.jsonl")):
        rows = list(json_lines(path))
        if rows[0].get("text"):
            texts = [(row["text"], bool(row["unsafe"]), row["category"]) for row in rows]
            yield f"{path.stem}/reply", [Example("", text, *label) for text, *label in texts]
            yield f"{path.stem}/input", [Example(text, None, *label) for text, *label in texts]
        else:
            role = "input" if rows[0]["assistant"] is None else "turn"
            yield f"{path.stem}/{role}", [
                Example(row["user"], row["assistant"], bool(row["unsafe"]), row["category"])
                for row in rows
            ]


def heldout(folder: Path) -> Iterator[tuple[str, list[Example]]]:
    """Yield the turns that the corpus's authors never saw, by file and kind."""
    for path in sorted(folder.glob("*.jsonl")):
        kinds: dict[str, list[Example]] = {}
        for row in json_lines(path):
            name = path.stem if path.stem == "ordinary" else f"{path.stem}_{row['kind']}"
            turn = Example(row["user"], row["assistant"], bool(row["unsafe"]), row["category"])
            kinds.setdefault(name, []).append(turn)
        yield from ((f"heldout/{name}", turns) for name, turns in kinds.items())


def verdicts(classifier: Classifier, turns: Sequence[Example]) -> list[Verdict]:
    """Return what the classifier says about each turn."""
    return classifier.classify_many([_conversation(turn) for turn in turns])


def _conversation(turn: Example) -> Conversation:
    return question(turn.user) if turn.reply is None else exchange(turn.user, turn.reply)


def scores(found: Sequence[Verdict]) -> npt.NDArray[np.float64]:
    """Return the probabilities of unsafe."""
    return np.array([verdict.score for verdict in found])


def figures(turns: Sequence[Example], found: Sequence[Verdict], threshold: float) -> Figures:
    """Return what can be said of a set: what is missing has no meaning there."""
    unsafe = np.array([turn.unsafe for turn in turns])
    score = scores(found)
    flagged = score >= threshold
    known: Figures = {"turns": len(turns)}
    if unsafe.any():
        known["recall"] = float(flagged[unsafe].mean())
    if not unsafe.all():
        known["false_alarms"] = float(flagged[~unsafe].mean())
    if unsafe.any() and not unsafe.all():
        known["auroc"] = auroc(score, unsafe)
        known["calibration_error"] = calibration_error(score, unsafe)
    named = [(t, v) for t, v in zip(turns, found, strict=True) if t.unsafe and t.category]
    if named:
        known["category_right"] = float(np.mean([v.top == t.category for t, v in named]))
    return known


def by_category(turns: Sequence[Example], found: Sequence[Verdict], threshold: float) -> Mapping[str, Figures]:
    """Return the figures of the unsafe turns of each category."""
    categories = sorted({turn.category for turn in turns if turn.unsafe and turn.category})
    chosen = {c: [i for i, turn in enumerate(turns) if turn.unsafe and turn.category == c] for c in categories}
    return {
        category: figures([turns[i] for i in which], [found[i] for i in which], threshold)
        for category, which in chosen.items()
    }
