"""The message that takes the place of an unsafe one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from guardrail.types import Action, Outcome

__all__ = ["final", "is_final", "is_refusal", "refused"]

# What a refusal keeps of the metadata of the reply whose place it takes.
_KEPT = ("model_name", "model", "model_provider", "system_fingerprint", "service_tier", "id")


def refused(
    kind: type[AIMessage],
    outcome: Outcome,
    dropped: Sequence[AIMessage],
    *,
    id: str | None,  # noqa: A002 - LangChain's name
    given: Collection[str] = (),
) -> AIMessage:
    """Return the refusal, under the id and with the usage of the messages it replaces.

    Args:
        kind: the class to make: a whole message, or a chunk.
        outcome: what happened.
        dropped: the message it replaces, or the chunks that were not shown.
        id: of the message.
        given: metadata that chunks before it have shown; LangChain would concatenate it.
    """
    seen = {key: value for one in dropped for key, value in one.response_metadata.items()}
    kept = {key: seen[key] for key in _KEPT if key in seen and key not in given}
    ended = {"finish_reason": "content_filter", "guardrail": _verdict(outcome)}
    message = kind(content=outcome.text, id=id, response_metadata=kept | ended)
    last = {"chunk_position": "last"} if "chunk_position" in kind.model_fields else {}
    return message.model_copy(update={"usage_metadata": _usage(dropped), **last})


def _verdict(outcome: Outcome) -> dict[str, Any]:
    verdict = outcome.verdict
    return {
        "action": str(outcome.action),
        "stage": str(outcome.stage),
        "category": outcome.category and str(outcome.category),
        "score": verdict and verdict.score,
        "classifier": verdict and verdict.classifier,
        "error": outcome.error and type(outcome.error).__name__,
        "shown": outcome.shown,
    }


def _usage(messages: Sequence[AIMessage]) -> UsageMetadata | None:
    """Return what messages have cost; one from a cache says it in a form that does not add up."""
    usages = [one.usage_metadata for one in messages if one.usage_metadata]
    return reduce(add_usage, usages) if usages else None


def is_refusal(message: BaseMessage) -> bool:
    """Whether a message is one of these."""
    note = message.response_metadata.get("guardrail")
    return isinstance(note, dict) and note.get("action") == Action.REPLACE


def final(refusal: AIMessage) -> AIMessage:
    """Return a refusal that ends the agent's run, and says so."""
    note = {**refusal.response_metadata["guardrail"], "final": True}
    metadata = {**refusal.response_metadata, "guardrail": note}
    return refusal.model_copy(update={"response_metadata": metadata})


def is_final(message: BaseMessage) -> bool:
    """Whether a message is one of these."""
    return is_refusal(message) and message.response_metadata["guardrail"].get("final") is True
