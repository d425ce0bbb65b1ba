"""What is inside of runnables: models to guard, and handlers that would see too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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

__all__ = ["guarded_models", "refuse_handlers"]


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


def refuse_handlers(chain: Runnable[Any, Any]) -> None:
    """Refuse a chain with callback handlers inside: they would see what is not judged yet.

    Raises:
        UnguardedCall: there are some.
    """
    for node in _inside(chain, set()):
        config = getattr(node, "config", None) or {}
        if getattr(node, "callbacks", None) or config.get("callbacks") or _listeners(node):
            raise UnguardedCall(
                f"{type(node).__name__} in the chain has callback handlers of its own, which would "
                "see replies before they are judged; give them to the guarded chain, or name those "
                "that may see everything by observers="
            )


def _listeners(node: Runnable[Any, Any]) -> bool:
    return bool(getattr(node, "config_factories", None))


def _inside(value: Any, seen: set[int]) -> Iterator[Runnable[Any, Any]]:
    """Yield the runnables in a value, and those in them."""
    if isinstance(value, Runnable) and id(value) not in seen:
        seen.add(id(value))
        yield value
        inner = [*vars(value).values(), *getattr(value, "deps", ())]
    elif isinstance(value, Mapping):
        inner = list(value.values())
    else:
        inner = list(value) if isinstance(value, list | tuple) else []
    for one in inner:
        yield from _inside(one, seen)
