"""The figures that KoSafeGuard-8B's own model card publishes, to set ours beside.

They are the card's, not ours: measured by its author on 1,000 rows of each set, unsafe positive.
The author's public script takes the sets' first rows, which `--first 1000` does too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guardrail.config import ClassifierConfig

__all__ = ["MODEL", "PUBLISHED", "Published", "published_for"]

MODEL = "heegyu/KoSafeGuard-8b-0503"
_MAIN_STEPS = 142947


@dataclass(frozen=True, slots=True)
class Published:
    """One line of the card's table.

    Args:
        data: the card's name of the set.
        steps: training steps of the checkpoint; each is a revision of the model.
        accuracy, f1, precision, recall: as printed.
    """

    data: str
    steps: int
    accuracy: float
    f1: float
    precision: float
    recall: float


PUBLISHED: Sequence[Published] = (
    Published("kor-ethical-qa", 142947, 0.944, 0.942029, 0.976395, 0.91),
    Published("kor-ethical-qa", 285894, 0.888, 0.874157, 0.997436, 0.778),
    Published("kor-ethical-qa", 428841, 0.907, 0.898361, 0.990361, 0.822),
    Published("kor-ethical-qa", 571788, 0.751, 0.668442, 1.0, 0.502),
    Published("pku-safe-rlhf", 142947, 0.833, 0.841706, 0.825279, 0.858801),
    Published("pku-safe-rlhf", 285894, 0.845, 0.837356, 0.915138, 0.77176),
    Published("pku-safe-rlhf", 428841, 0.848, 0.849206, 0.87169, 0.827853),
    Published("pku-safe-rlhf", 571788, 0.798, 0.773543, 0.92, 0.667311),
)
"""https://huggingface.co/heegyu/KoSafeGuard-8b-0503, as read in November 2026."""


def published_for(data: str, classifier: object) -> Published | None:
    """Return the card's figures for the same model on the same set, if it has any.

    Args:
        data: name of the set; the card's are "kor-ethical-qa" and "pku-safe-rlhf".
        classifier: its configuration; models that are not known by their hub id have no figures.
    """
    steps = _steps(classifier)
    return next((one for one in PUBLISHED if (one.data, one.steps) == (data, steps)), None)


def _steps(classifier: object) -> int | None:
    if not isinstance(classifier, ClassifierConfig) or classifier.kind != "kosafeguard":
        return None
    settings = classifier.model_extra or {}
    if settings.get("model", MODEL) != MODEL:
        return None
    revision = str(settings.get("revision") or "main")
    if revision == "main":
        return _MAIN_STEPS
    named = {one.steps for one in PUBLISHED if str(one.steps) in revision}
    return named.pop() if len(named) == 1 else None
