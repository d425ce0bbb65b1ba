"""What the platform sends to a skill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from guardrail.errors import GuardrailError

__all__ = ["BadRequest", "SkillRequest", "parse"]


class BadRequest(GuardrailError):
    """What came is no request of the platform's; `status` says so in HTTP."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class SkillRequest:
    """What a user said, and what the platform knows about it.

    Args:
        utterance: the user's words.
        user_id: the user's key, which is the same in every request to one bot.
        params: the parameters of the block's action.
        callback_url: where a late answer may go, once; None where the block allows none.
        payload: all that the platform sent.
    """

    utterance: str
    user_id: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    callback_url: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


def parse(body: bytes) -> SkillRequest:
    """Return the request that a body holds.

    Raises:
        BadRequest: it holds none; the message says why.
    """
    payload = _json(body)
    asked = payload.get("userRequest") if isinstance(payload, dict) else None
    utterance = asked.get("utterance") if isinstance(asked, dict) else None
    if not isinstance(asked, dict) or not isinstance(utterance, str):
        raise BadRequest("the body has no userRequest.utterance")
    user, action = asked.get("user"), payload.get("action")
    user_id = user.get("id") if isinstance(user, dict) else None
    params = action.get("params") if isinstance(action, dict) else None
    callback_url = asked.get("callbackUrl")
    return SkillRequest(
        utterance,
        user_id if isinstance(user_id, str) else "",
        params if isinstance(params, dict) else {},
        callback_url if isinstance(callback_url, str) and callback_url else None,
        payload,
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
