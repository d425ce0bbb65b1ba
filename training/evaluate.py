"""How good a classifier is: every development set, each kind of held-out turn, by category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from guardrail.classifiers.base import Classifier
from guardrail.classifiers.embedded import Embedded
from guardrail.types import Conversation, Verdict, exchange, question
from training.examples import Example, Row, json_lines
from training.measure import auroc, calibration_error

__all__ = ["DECLINED", "MIXED", "ORDINARY", "Sets", "development", "heldout", "measured", "scores"]

Figures: TypeAlias = dict[str, Any]
Sets: TypeAlias = Mapping[str, Sequence[Example]]

ORDINARY = ("songys_20/turn", "square_q_test/input", "heldout/ordinary")
"""Sets of everyday Korean, on which the threshold is set."""

DECLINED = ("heldout/contrast_refusal", "heldout/contrast_careful", "heldout/careful_careful")
"""Refusals and careful answers."""

HELDOUT = ("heldout/unsafe_comply", *DECLINED, "heldout/ordinary")
"""All kinds of held-out turns."""

MIXED = (
    *HELDOUT,
    "songys_20/turn",
    "square_q_test/input",
    "curse2runo_10/reply",
    "kotox_valid/reply",
)
"""What probabilities are calibrated on; each counts alike."""

_TAILS = (
    "본 답변은 법률 자문이 아니며 결과에 대해 책임지지 않습니다.",
    "항상 조심하시고 무리하지 않으셨으면 해요.",
    "편안한 저녁 시간 되세요!",
    "택배는 모레쯤 받아 보실 수 있어요.",
    "암튼 조심히 다녀와 ㅎㅎ",
    "이건 그냥 재미로만 들어 줘.",
)  # none of them in the corpus


def development(folder: Path) -> Iterator[tuple[str, list[Example]]]:
    """Yield the development sets, each row in every role that it can play.

    A sentence without a role is judged as a reply to nothing and as a user's message.
    """
    for path in sorted(folder.glob("*.jsonl")):
        rows = list(json_lines(path))
        if rows[0].get("text"):
            yield f"{path.stem}/reply", [_labelled("", row["text"], row) for row in rows]
            yield f"{path.stem}/input", [_labelled(row["text"], None, row) for row in rows]
        else:
            role = "input" if rows[0]["assistant"] is None else "turn"
            yield (
                f"{path.stem}/{role}",
                [_labelled(row["user"], row["assistant"], row) for row in rows],
            )


def _tailed(turns: Sequence[Example]) -> list[Example]:
    """Return the turns, each with a harmless sentence after its reply."""
    return [
        replace(turn, reply=f"{turn.reply} {_TAILS[number % len(_TAILS)]}")
        for number, turn in enumerate(turns)
    ]


def _labelled(user: str, reply: str | None, row: Row) -> Example:
    return Example(user, reply, bool(row["unsafe"]), row["category"])


def heldout(folder: Path) -> Iterator[tuple[str, list[Example]]]:
    """Yield the turns that the corpus's authors never saw, by file and kind."""
    for path in sorted(folder.glob("*.jsonl")):
        kinds: dict[str, list[Example]] = {}
        for row in json_lines(path):
            name = path.stem if path.stem == "ordinary" else f"{path.stem}_{row['kind']}"
            kinds.setdefault(name, []).append(_labelled(row["user"] or "", row["assistant"], row))
        yield from ((f"heldout/{name}", turns) for name, turns in kinds.items())
        if path.stem == "unsafe":
            yield "heldout/unsafe_tailed", _tailed(kinds["unsafe_comply"])


def measured(classifier: Embedded, sets: Sets) -> dict[str, Any]:
    """Return the figures of every set, and of the held-out sets together."""
    found = {name: _verdicts(classifier, turns) for name, turns in sets.items()}
    level = classifier.threshold
    figures: dict[str, Any] = {name: _figures(sets[name], found[name], level) for name in sets}
    turns = [turn for name in HELDOUT for turn in sets[name]]
    verdicts = [verdict for name in HELDOUT for verdict in found[name]]
    return {
        "threshold": level,
        "calibration_error": _calibration(sets, found),
        "heldout/all": _figures(turns, verdicts, level),
        "heldout/by_category": _by_category(turns, verdicts, level),
        **figures,
    }


def scores(classifier: Classifier, turns: Sequence[Example]) -> npt.NDArray[np.float64]:
    """Return the probability of unsafe of each turn."""
    return _scores(_verdicts(classifier, turns))


def _verdicts(classifier: Classifier, turns: Sequence[Example]) -> list[Verdict]:
    return classifier.classify_many([_conversation(turn) for turn in turns])


def _conversation(turn: Example) -> Conversation:
    return question(turn.user) if turn.reply is None else exchange(turn.user, turn.reply)


def _scores(found: Sequence[Verdict]) -> npt.NDArray[np.float64]:
    return np.array([verdict.score for verdict in found])


def _figures(turns: Sequence[Example], found: Sequence[Verdict], level: float) -> Figures:
    """Return what can be said of a set; what has no meaning there is left out."""
    unsafe = np.array([turn.unsafe for turn in turns])
    score = _scores(found)
    known: Figures = {"turns": len(turns)}
    if unsafe.any():
        known["recall"] = float((score >= level)[unsafe].mean())
    if not unsafe.all():
        known["false_alarms"] = float((score >= level)[~unsafe].mean())
    if unsafe.any() and not unsafe.all():
        known["auroc"] = auroc(score, unsafe)
    named = [
        v.top == t.category for t, v in zip(turns, found, strict=True) if t.unsafe and t.category
    ]
    if named:
        known["category_right"] = float(np.mean(named))
    return known


def _by_category(turns: Sequence[Example], found: Sequence[Verdict], level: float) -> Figures:
    """Return the figures of each category: its unsafe turns, and safe turns on the same topics."""
    pairs = list(zip(turns, found, strict=True))
    names = sorted({turn.category for turn in turns if turn.category})
    chosen = {name: [pair for pair in pairs if pair[0].category == name] for name in names}
    return {
        name: _figures([turn for turn, _ in pairs], [verdict for _, verdict in pairs], level)
        for name, pairs in chosen.items()
    }


def _calibration(sets: Sets, found: Mapping[str, Sequence[Verdict]]) -> float:
    """Return the calibration error on the half of the mix that did not set the probabilities."""
    score = np.concatenate([_scores(found[name][1::2]) for name in MIXED])
    unsafe = np.array([turn.unsafe for name in MIXED for turn in sets[name][1::2]])
    weight = np.concatenate([np.full(len(found[n][1::2]), 1 / len(found[n][1::2])) for n in MIXED])
    return calibration_error(score, unsafe, weight)
