"""What LangChain's messages are in ours."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from guardrail.types import Conversation, Role, Turn, question

__all__ = ["asked", "opening"]

_ROLES: dict[type[BaseMessage], Role] = {
    HumanMessage: Role.USER,
    AIMessage: Role.ASSISTANT,
    SystemMessage: Role.SYSTEM,
    ToolMessage: Role.TOOL,
}
_CHAT_ROLES = {"user": Role.USER, "human": Role.USER, "assistant": Role.ASSISTANT}


def asked(messages: Sequence[BaseMessage]) -> Conversation:
    """Return the conversation up to the user's last turn, which a reply answers.

    What an agent did since, its tool calls and their results, is no turn of the user's. Where no
    message is the user's own, the last one that is not the assistant's counts as it.
    """
    turns = [Turn(role, str(one.text)) for one in messages if (role := _role(one))]
    for end in range(len(turns), 0, -1):
        if turns[end - 1].role is Role.USER:
            return tuple(turns[:end])
    others = [turn.content for turn in turns if turn.role is not Role.ASSISTANT]
    return question(others[-1] if others else "")


def opening(messages: Sequence[BaseMessage]) -> str:
    """Return the text of the assistant's that the reply goes on from, if it was begun for it."""
    last = messages[-1] if messages else None
    begun = isinstance(last, AIMessage) and not last.tool_calls
    return str(last.text) if last is not None and begun else ""


def _role(message: BaseMessage) -> Role | None:
    if isinstance(message, ChatMessage):
        return _CHAT_ROLES.get(message.role)
    return next((role for kind, role in _ROLES.items() if isinstance(message, kind)), None)
