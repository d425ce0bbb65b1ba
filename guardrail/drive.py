"""Carries a generator of commands through: once for threads, once for event loops.

What a command means is up to who performs it; what performing it raises is thrown back in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

__all__ = ["adrive", "drive"]

C = TypeVar("C")
T = TypeVar("T")


def drive(flow: Generator[C, Any, T], perform: Callable[[C], Any]) -> T:
    """Perform each command of a flow on this thread, and return the flow's result."""
    try:
        command = next(flow)
        while True:
            try:
                answer = perform(command)
            except Exception as error:
                command = flow.throw(error)
            else:
                command = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


async def adrive(flow: Generator[C, Any, T], perform: Callable[[C], Awaitable[Any]]) -> T:
    """Perform each command of a flow on this event loop; see `drive`."""
    try:
        command = next(flow)
        while True:
            try:
                answer = await perform(command)
            except Exception as error:
                command = flow.throw(error)
            else:
                command = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()
