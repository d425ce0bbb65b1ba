"""Takes calls and whole replies that cross the wire through a guard, sync or async."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from guardrail.errors import UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.escapes import readable
from guardrail.integrations.openai_wire.calls import (
    UNKNOWN_ERROR,
    Call,
    carries_no_reply,
    safe_error,
    wordless_error,
)
from guardrail.integrations.openai_wire.chat import read_chat
from guardrail.integrations.openai_wire.reading import load, load_request
from guardrail.integrations.openai_wire.responses import read_responses
from guardrail.integrations.openai_wire.sse import to_bytes, to_json
from guardrail.integrations.openai_wire.streaming import encoded, end_of
from guardrail.types import Conversation, Outcome, Role, Turn, exchange

__all__ = [
    "UnguardedPath",
    "aanswer",
    "afailed",
    "answer",
    "arefusal",
    "failed",
    "is_judged",
    "read_call",
    "refusal",
    "refused",
]

_READERS = {"POST chat/completions": read_chat, "POST responses": read_responses}


class UnguardedPath(UnguardedCall):
    """A path whose replies could not be judged; each door says where else such calls can go."""


def read_call(method: str, path: str, body: Callable[[], bytes]) -> Call | None:
    """Return the call that a request makes, or None if its answer carries no reply.

    Args:
        method: of the request.
        path: below the API's base, without slashes around it; an Azure deployment before it counts
            for nothing.
        body: returns that of the request; called only where there is a reply to judge.

    Raises:
        UnguardedCall: its reply could not be judged.
    """
    if not is_judged(method, path):
        return None
    reader = _READERS[f"{method} {_without_deployment(path)}"]
    return reader(load_request(body()), int(time.time()))


def is_judged(method: str, path: str) -> bool:
    """Whether the reply to such a call is judged; it is not where there is none.

    Raises:
        UnguardedPath: its reply could not be judged.
    """
    path = _without_deployment(path)
    if carries_no_reply(method, path):
        return False
    if f"{method} {path}" in _READERS:
        return True
    raise UnguardedPath(
        f"{method} {path!r} may carry a reply that nobody would judge; guarded are "
        f"{' and '.join(_READERS)}."
    )


def _without_deployment(path: str) -> str:
    kind, _, rest = path.partition("/")
    return rest.partition("/")[2] if kind == "deployments" else path


def refusal(call: Call, guard: Guard) -> Outcome | None:
    """Judge what the user said, if the policy wants it; return the outcome if it is blocked."""
    return _blocked(guard.review([call.asked])) if guard.policy.check_input else None


async def arefusal(call: Call, guard: Guard) -> Outcome | None:
    """Do what `refusal` does, without blocking the event loop."""
    return _blocked(await guard.areview([call.asked])) if guard.policy.check_input else None


def answer(call: Call, reply: bytes, guard: Guard) -> bytes:
    """Return a whole reply as the caller may see it.

    Raises:
        UnguardedCall: it is no reply of the kind that was asked for.
    """
    known = load(reply)
    if _is_error(known):
        return _failure(known, guard.review(_messages(known)))
    return _body(call.answer(known, guard.review(_replies(call, known))))


async def aanswer(call: Call, reply: bytes, guard: Guard) -> bytes:
    """Do what `answer` does, without blocking the event loop."""
    known = load(reply)
    if _is_error(known):
        return _failure(known, await guard.areview(_messages(known)))
    return _body(call.answer(known, await guard.areview(_replies(call, known))))


def failed(status: int, body: bytes, guard: Guard) -> bytes:
    """Return the body of an upstream's error as the caller may see it.

    Its message is judged as a reply is, for it may quote one, or what the user said. One that does
    not pass, or cannot be judged, makes way for a plain sentence; the rest of the error stays.
    It is judged for what it says alone: nobody's question makes "slow down" unsafe.
    """
    known = _error_in(body)
    return b"" if known is None else _failure(known, guard.review(_messages(known)), status)


async def afailed(status: int, body: bytes, guard: Guard) -> bytes:
    """Do what `failed` does, without blocking the event loop."""
    known = _error_in(body)
    if known is None:
        return b""
    return _failure(known, await guard.areview(_messages(known)), status)


def refused(call: Call, outcome: Outcome) -> bytes:
    """Return the whole body of a reply that never was, streamed or not."""
    if not call.streamed:
        return _body(call.refusal(outcome))
    stream = call.stream()
    events = b"".join(map(encoded, stream.refuse(outcome)))
    return events + end_of(stream)


def _is_error(reply: Mapping[str, Any]) -> bool:
    return bool(reply.get("error")) and not reply.get("id")


def _error_in(body: bytes) -> dict[str, Any] | None:
    try:
        return load(body)
    except UnguardedCall:
        return None


def _messages(error: Mapping[str, Any]) -> list[Conversation]:
    """Return what is to be judged of an error; nothing, where it says nothing."""
    message = safe_error(error)["error"]["message"]
    return [] if message == UNKNOWN_ERROR else [exchange("", readable(message))]


def _failure(error: Mapping[str, Any], outcomes: list[Outcome], status: int | None = None) -> bytes:
    return _body(wordless_error(error, status) if _blocked(outcomes) else safe_error(error))


def _replies(call: Call, reply: Mapping[str, Any]) -> list[Conversation]:
    return [(*call.asked, Turn(Role.ASSISTANT, text)) for text in call.texts(reply)]


def _blocked(outcomes: list[Outcome]) -> Outcome | None:
    return next((outcome for outcome in outcomes if outcome.blocked), None)


def _body(reply: object) -> bytes:
    return to_bytes(to_json(reply))
