"""What is inside of runnables: models to guard, and who would see too much."""

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

__all__ = ["guarded_models", "refuse_watched"]


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


def refuse_watched(chain: Runnable[Any, Any]) -> None:
    """Refuse a chain that hands what is not judged yet to handlers or to a memory of its own.

    Raises:
        UnguardedCall: there are some.
    """
    for node in _inside(chain, set()):
        if _is_watched(node):
            raise UnguardedCall(
                f"{type(node).__name__} in the chain has callback handlers or a memory of its own, "
                "which would get replies before they are judged: give them to the guarded chain, "
                "or guard the model inside; handlers that may see all are named by observers="
            )


def _is_watched(node: Runnable[Any, Any]) -> bool:
    config = getattr(node, "config", None) or {}
    own = (getattr(node, name, None) for name in ("callbacks", "config_factories", "checkpointer"))
    return bool(config.get("callbacks")) or any(own)


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
