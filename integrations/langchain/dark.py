"""Runs what is not judged yet out of sight of everybody's callback handlers.

LangChain hands handlers down through context variables: whatever runs inside a chain reports to
the caller's handlers, to those of context managers such as `collect_runs`, to LangSmith, and after
`set_debug(True)` to the console. They would see every word before it is judged.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextvars import copy_context
from typing import TypeVar

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.globals import get_debug
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers import ConsoleCallbackHandler
from langchain_core.tracers.context import _configure_hooks, tracing_v2_callback_var
from langsmith.run_helpers import _set_tracing_context

__all__ = ["aunseen", "go_dark", "unseen", "watchers"]

T = TypeVar("T")
_END = object()


class _Silent(ConsoleCallbackHandler):
    """Takes the place of a handler that LangChain would add, and prints nothing."""

    ignore_llm = ignore_chat_model = ignore_chain = ignore_agent = True
    ignore_retriever = ignore_retry = ignore_custom_event = True


def watchers(observers: Sequence[BaseCallbackHandler]) -> list[BaseCallbackHandler]:
    """Return the handlers of what runs in the dark: the given ones, and no others."""
    return [*observers, *([_Silent()] if get_debug() else [])]


def go_dark(observers: Sequence[BaseCallbackHandler] = ()) -> None:
    """Have no handler but the given ones see what runs in this context from here on."""
    config = var_child_runnable_config.get() or {}
    var_child_runnable_config.set({**config, "callbacks": watchers(observers)})
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
