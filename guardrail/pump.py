"""Carries out the commands of flows: one pump for threads, one for event loops.

Together with `drive`, `asking` and `intake`, this is the only code of the core that decides nothing
and exists twice.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from guardrail.asking import aask, ask
from guardrail.audit import Recorder
from guardrail.classifiers.base import Classifier
from guardrail.drive import adrive, drive
from guardrail.flow import Categorise, Classify, Command, Decided, Flow, Now, Record, Reply
from guardrail.gate import Begin, Emit, Left, Next, Stop, StreamFlow
from guardrail.intake import AsyncIntake, Intake
from guardrail.types import Conversation, Outcome

__all__ = ["Hands", "Listener", "arun", "astream", "run", "stream"]

T = TypeVar("T")
Listener: TypeAlias = Callable[[Conversation, Outcome], None]
"""Is told each decision as it is made, with the conversation up to the judged text."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What the pumps work with.

    Args:
        classifier: judges.
        recorder: keeps the decisions.
        listener: is told them as they are made.
    """

    classifier: Classifier
    recorder: Recorder
    listener: Listener | None = None


def _no_bot() -> Any:
    raise AssertionError("this flow asks for a reply, and there is no bot")


def run(flow: Flow[T], hands: Hands, reply: Callable[[], Any] = _no_bot) -> T:
    """Carry a flow through on this thread and return its result.

    Args:
        flow: what to do.
        hands: what to do it with.
        reply: has the bot reply, in a flow that asks for it.
    """
    return drive(flow, lambda command: _perform(command, hands, reply))


async def arun(flow: Flow[T], hands: Hands, reply: Callable[[], Awaitable[Any]] = _no_bot) -> T:
    """Carry a flow through on this event loop and return its result; see `run`."""
    return await adrive(flow, lambda command: _aperform(command, hands, reply))


def stream(
    flow: StreamFlow[T], intake: Intake, hands: Hands, done: Callable[[T], None]
) -> Generator[Any, None, None]:
    """Carry a stream's flow through on the consumer's thread, yielding what it emits.

    Args:
        flow: what to do.
        intake: where the events come from; closed whatever happens.
        hands: what to do it with.
        done: takes the flow's result.
    """
    try:
        command = next(flow)
        while True:
            try:
                if isinstance(command, Emit):
                    answer = yield command.event
                else:
                    answer = _perform_on(intake, command, hands)
            except Exception as error:
                command = flow.throw(error)
            else:
                command = flow.send(answer)
    except StopIteration as end:
        done(end.value)
    finally:
        _leave(flow, hands)
        intake.close()


async def astream(
    flow: StreamFlow[T], intake: AsyncIntake, hands: Hands, done: Callable[[T], None]
) -> AsyncGenerator[Any, None]:
    """Carry a stream's flow through on this event loop, yielding what it emits; see `stream`.

    Closed half-read, it waits for nothing: upstream closes on its own task. The loop closes what is
    dropped, its owner may do so at the same time, and neither is to find it half closed.
    """
    closed = False
    try:
        command = next(flow)
        while True:
            try:
                if isinstance(command, Emit):
                    answer = yield command.event
                else:
                    answer = await _aperform_on(intake, command, hands)
            except Exception as error:
                command = flow.throw(error)
            else:
                command = flow.send(answer)
    except StopIteration as end:
        done(end.value)
    except GeneratorExit:
        closed = True
        raise
    finally:
        _leave(flow, hands)
        if closed:
            intake.leave()
        else:
            await intake.close()


def _leave(flow: StreamFlow[Any], hands: Hands) -> None:
    """Have a flow record what it has decided, if it never came to its end."""
    with suppress(StopIteration, Left):
        command = flow.throw(Left())
        while isinstance(command, Record):
            command = flow.send(_note(command, hands))
    flow.close()


def _perform(command: Command, hands: Hands, reply: Callable[[], Any]) -> Any:
    match command:
        case Classify() | Categorise():
            return ask(command, hands.classifier)
        case Reply():
            return reply()
        case _:
            return _note(command, hands)


async def _aperform(command: Command, hands: Hands, reply: Callable[[], Awaitable[Any]]) -> Any:
    match command:
        case Classify() | Categorise():
            return await aask(command, hands.classifier)
        case Reply():
            return await reply()
        case _:
            return _note(command, hands)


def _note(command: Decided | Record | Now, hands: Hands) -> float | None:
    if isinstance(command, Now):
        return time.perf_counter()
    if isinstance(command, Record):
        hands.recorder.record(command.conversation, command.outcome, command.seconds, command.facts)
    elif hands.listener is not None:
        for conversation, outcome in zip(command.conversations, command.outcomes, strict=True):
            hands.listener(conversation, outcome)
    return None


def _perform_on(intake: Intake, command: Command | Begin | Next | Stop, hands: Hands) -> Any:
    match command:
        case Next():
            return intake.next()
        case Begin():
            return intake.begin(command.question)
        case Stop():
            return intake.close()
        case _:
            return _perform(command, hands, _no_bot)


async def _aperform_on(
    intake: AsyncIntake, command: Command | Begin | Next | Stop, hands: Hands
) -> Any:
    match command:
        case Next():
            return await intake.next()
        case Begin():
            return intake.begin(command.question)
        case Stop():
            return await intake.close()
        case _:
            return await _aperform(command, hands, _no_bot)
