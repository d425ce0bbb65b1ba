"""Guards the chat models inside of runnables that a model made of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import (
    Runnable,
    RunnableParallel,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.base import RunnableBindingBase

from guardrail.errors import UnguardedCall

__all__ = ["guarded_models"]


def guarded_models(
    runnable: Runnable[Any, Any], around: Callable[[BaseChatModel], BaseChatModel]
) -> Runnable[Any, Any]:
    """Return the runnable with a guard around every chat model in it.

    Raises:
        UnguardedCall: there is none to be seen, so that it would call one unguarded.
    """
    found: list[BaseChatModel] = []

    def guarded(node: Runnable[Any, Any]) -> Runnable[Any, Any]:
        match node:
            case BaseChatModel():
                found.append(around(node))
                return found[-1]
            case RunnableBindingBase():
                return node.model_copy(update={"bound": guarded(node.bound)})
            case RunnableSequence():
                return RunnableSequence(*map(guarded, node.steps), name=node.name)
            case RunnableParallel():
                steps = {name: guarded(step) for name, step in node.steps__.items()}
                return node.model_copy(update={"steps__": steps})
            case RunnableWithFallbacks():
                others = [guarded(one) for one in node.fallbacks]
                return node.model_copy(
                    update={"runnable": guarded(node.runnable), "fallbacks": others}
                )
            case _:
                return node

    made = guarded(runnable)
    if not found:
        raise UnguardedCall(f"no chat model is to be seen in {runnable!r:.200}, so none is guarded")
    return made
