"""What another threshold would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from guardrail.audit import AuditRecord, Status
from guardrail.integrations.gateway.page.shown import record as shown
from guardrail.integrations.records import Filter, Records, Stored
from guardrail.policy import Mode, Policy
from guardrail.types import Action, Category, Stage, Verdict, exchange

__all__ = ["ThresholdRequest", "changes", "would_be_unsafe"]

_RECENT = 1000
_EXAMPLES = 5
_JUDGED = (Status.ALLOWED, Status.FLAGGED, Status.BLOCKED)
_Probability = Annotated[float, Field(ge=0.0, le=1.0)]
_NOTHING = exchange("", "")


class _Judged(BaseModel):
    model_config = ConfigDict(extra="forbid")

    score: _Probability
    categories: dict[Category, _Probability] = Field(default_factory=dict)


class ThresholdRequest(BaseModel):
    """A threshold to try.

    Args:
        threshold: score from which a reply is unsafe.
        judged: verdicts to decide about with it.
    """

    model_config = ConfigDict(extra="forbid")

    threshold: _Probability
    judged: list[_Judged] = Field(default_factory=list, max_length=1000)

    def decided(self, policy: Policy) -> list[bool]:
        """Return which of the verdicts would be unsafe."""
        tried = _with(policy, self.threshold)
        return [would_be_unsafe(tried, one.score, one.categories) for one in self.judged]


def would_be_unsafe(policy: Policy, score: float, categories: dict[Category, float]) -> bool:
    """Return whether a policy with an overall threshold would act on a verdict."""
    verdict = Verdict(False, score, categories)
    return policy.decide(_NOTHING, verdict).action is not Action.ALLOW


def changes(records: Records, policy: Policy, threshold: float) -> dict[str, Any]:
    """Return what would be decided otherwise among the replies recorded last."""
    tried = _with(policy, threshold)
    recent = records.page(Filter(statuses=_JUDGED, stage=Stage.OUTPUT), limit=_RECENT).records
    scored = [one for one in recent if one.record.score is not None]
    unsafe = [_unsafe(tried, one.record) for one in scored]
    caught = [one for one, is_unsafe in zip(scored, unsafe, strict=True) if is_unsafe > _was(one)]
    freed = [one for one, is_unsafe in zip(scored, unsafe, strict=True) if is_unsafe < _was(one)]
    return {
        "looked_at": len(scored),
        "unsafe": sum(map(_was, scored)),
        "caught": _some(caught),
        "freed": _some(freed),
    }


def _with(policy: Policy, threshold: float) -> Policy:
    return policy.model_copy(update={"threshold": threshold, "mode": Mode.ENFORCE})


def _unsafe(tried: Policy, one: AuditRecord) -> bool:
    return would_be_unsafe(tried, one.score or 0.0, dict(one.categories))


def _was(one: Stored) -> bool:
    return one.record.status is not Status.ALLOWED


def _some(records: Sequence[Stored]) -> dict[str, Any]:
    return {"count": len(records), "examples": [shown(one) for one in records[:_EXAMPLES]]}
