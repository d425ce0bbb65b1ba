"""Runs what is not judged yet out of sight of everybody's callback handlers, and of graphs.

LangChain hands handlers down through context variables: whatever runs inside a chain reports to
the caller's handlers, to those of context managers such as `collect_runs`, to LangSmith, and after
`set_debug(True)` to the console. LangGraph hands its stream and its memory down the same way, to
the graphs that run inside of a graph. They would see every word before it is judged.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextvars import copy_context
from typing import Any, TypeVar

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.globals import get_debug
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers import ConsoleCallbackHandler
from langchain_core.tracers.context import _configure_hooks, tracing_v2_callback_var
from langsmith.run_helpers import _set_tracing_context

__all__ = ["aunseen", "darkened", "go_dark", "unseen"]

T = TypeVar("T")
_END = object()
_RUNTIME = "__pregel_runtime"
# Of what LangGraph hands down, what its `interrupt` and `get_runtime` read: with these alone, a
# graph is one by itself, that neither streams nor keeps anything where the graph around it does.
_KEPT = (_RUNTIME, "__pregel_scratchpad", "__pregel_send", "checkpoint_ns")


class _Silent(ConsoleCallbackHandler):
    """Takes the place of a handler that LangChain would add, and prints nothing."""

    ignore_llm = ignore_chat_model = ignore_chain = ignore_agent = True
    ignore_retriever = ignore_retry = ignore_custom_event = True


def darkened(
    config: RunnableConfig, observers: Sequence[BaseCallbackHandler] = ()
) -> RunnableConfig:
    """Return a configuration for what runs in the dark: the same, but for who watches.

    Args:
        config: the caller's.
        observers: handlers that may see what runs; no others do.
    """
    watchers = [*observers, *([_Silent()] if get_debug() else [])]
    around = config.get("configurable") or {}
    return {**config, "callbacks": watchers, "configurable": _alone(around)}


def _alone(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may be configured, without the graph that this runs in."""
    inside = ("__pregel_", "checkpoint_")
    kept = {k: v for k, v in configurable.items() if k in _KEPT or not k.startswith(inside)}
    if hasattr(kept.get(_RUNTIME), "stream_writer"):
        kept[_RUNTIME] = kept[_RUNTIME].override(stream_writer=lambda _: None)
    return kept


def go_dark(observers: Sequence[BaseCallbackHandler] = ()) -> None:
    """Have no handler but the given ones see what runs in this context from here on."""
    var_child_runnable_config.set(darkened(var_child_runnable_config.get() or {}, observers))
    tracing_v2_callback_var.set(None)
    for variable, _, _, environment in _configure_hooks:
        variable.set(_Silent() if environment else None)  # None lets the environment decide
    _set_tracing_context({"parent": None, "enabled": False})


def unseen(
    items: Callable[[], Iterator[T]], observers: Sequence[BaseCallbackHandler] = ()
) -> Generator[T, None, None]:
    """Iterate, on this thread, in a context of its own where nobody watches."""
    context = copy_context()
    context.run(go_dark, observers)
    iterator = context.run(items)
    try:
        while (item := context.run(next, iterator, _END)) is not _END:
            yield item  # type: ignore[misc] # mypy does not narrow by a sentinel
    finally:
        if hasattr(iterator, "close"):
            context.run(iterator.close)


async def aunseen(
    items: Callable[[], AsyncIterator[T]], observers: Sequence[BaseCallbackHandler] = ()
) -> AsyncGenerator[T, None]:
    """Do what `unseen` does, for `async for`; to be iterated on a task of its own."""
    go_dark(observers)
    iterator = items()
    try:
        async for item in iterator:
            yield item
    finally:
        if hasattr(iterator, "aclose"):
            await iterator.aclose()
