"""Guards LangChain: chat models, chains, and agents.

>>> from guardrail.integrations.langchain import guard_model
>>> model = guard_model(init_chat_model("openai:gpt-5"), guard)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardrail.errors import needing

with needing("langchain"):
    import langchain_core  # noqa: F401

from guardrail.integrations.langchain.model import GuardedChatModel, guard_model
from guardrail.integrations.langchain.runnable import GuardedRunnable, guard_runnable

if TYPE_CHECKING:
    from guardrail.integrations.langchain.middleware import GuardrailMiddleware

__all__ = [
    "GuardedChatModel",
    "GuardedRunnable",
    "GuardrailMiddleware",
    "guard_model",
    "guard_runnable",
]


def __getattr__(name: str) -> Any:
    """Import the middleware when it is asked for: it takes LangGraph, which chains do without."""
    if name != "GuardrailMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needing("langchain"):
        from guardrail.integrations.langchain.middleware import GuardrailMiddleware
    return GuardrailMiddleware
