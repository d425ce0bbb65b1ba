"""OpenAI's shape of a verdict: all of its categories, with KoSafeGuard's own beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guardrail.policy import PRESENT
from guardrail.types import Action, Category, Outcome, Verdict

__all__ = ["CATEGORIES", "result_of"]

# Which of our categories each of OpenAI's is found in.
CATEGORIES: Mapping[str, tuple[Category, ...]] = {
    "harassment": (Category.O1,),
    "harassment/threatening": (Category.O1,),
    "hate": (Category.O1,),
    "hate/threatening": (Category.O1,),
    "illicit": (Category.O3, Category.O4, Category.O5),
    "illicit/violent": (Category.O4,),
    "self-harm": (Category.O6,),
    "self-harm/instructions": (Category.O6,),
    "self-harm/intent": (Category.O6,),
    "sexual": (Category.O2,),
    "sexual/minors": (Category.O2,),
    "violence": (Category.O1,),
    "violence/graphic": (Category.O1,),
    **{category.value: (category,) for category in Category},
}


def result_of(outcome: Outcome, verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as one of the results of a moderation.

    Where the classifier has not said which category it is, the score of each is the overall one,
    which none can exceed, and no category is marked as present.
    """
    flagged = outcome.action is not Action.ALLOW
    scores = {name: _score(ours, verdict) for name, ours in CATEGORIES.items()}
    known = bool(verdict.categories)
    return {
        "flagged": flagged,
        "categories": {
            name: flagged and known and score >= PRESENT for name, score in scores.items()
        },
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
        "score": verdict.score,
        "category": outcome.category,
        "action": outcome.action,
    }


def _score(ours: tuple[Category, ...], verdict: Verdict) -> float:
    if not verdict.categories:
        return verdict.score
    return max(verdict.categories.get(category, 0.0) for category in ours)
