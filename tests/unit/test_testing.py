"""The doubles that users' own tests stand on."""

from __future__ import annotations

import asyncio
import time

import pytest

from guardrail import Category, ClassifierError, Guard, InvalidTurnError
from guardrail.testing import ListHook, ScriptedHandler, StubClassifier
from tests.conftest import Mode


@pytest.mark.parametrize(("text", "unsafe"), [("a BAD one", True), ("a good one", False)])
def test_a_marker_is_unsafe(mode: Mode, text: str, unsafe: bool) -> None:
    """A text that has it is, any other is not."""
    assert mode.check(Guard(StubClassifier(unsafe="BAD")), text).blocked is unsafe


def test_a_function_may_decide(mode: Mode) -> None:
    """Of the judged text."""
    guard = Guard(StubClassifier(unsafe=str.isupper))

    assert [mode.check(guard, text).blocked for text in ("BAD", "good")] == [True, False]


def test_a_stub_may_know_the_category(mode: Mode) -> None:
    """In a second step, as KoSafeGuard does."""
    guard = Guard(StubClassifier(unsafe="BAD", category=Category.O5))

    assert mode.check(guard, "BAD").category is Category.O5


def test_a_stub_may_fail(mode: Mode) -> None:
    """With whatever error the test is about."""
    error = ClassifierError("down")

    assert mode.check(Guard(StubClassifier(error=error)), "x").error is error


def test_a_stub_may_take_its_time(mode: Mode) -> None:
    """In either mode."""
    started = time.perf_counter()
    mode.check(Guard(StubClassifier(delay=0.02)), "x")

    assert time.perf_counter() - started >= 0.02


def test_a_stub_tells_what_it_saw(mode: Mode) -> None:
    """In order."""
    classifier = StubClassifier()
    mode.check_many(Guard(classifier), [("u", "a"), ("u", "b")])

    assert classifier.seen == ["a", "b"]


def test_a_scripted_bot_says_its_lines(mode: Mode) -> None:
    """One after another; the last one is repeated."""
    bot = ScriptedHandler("one", "two")
    say = bot if mode is Mode.SYNC else lambda message: asyncio.run(bot.acall(message))

    assert ([say(str(n)) for n in range(3)], bot.heard) == (["one", "two", "two"], ["0", "1", "2"])


def test_a_scripted_bot_streams_its_lines(mode: Mode) -> None:
    """In chunks of some characters."""
    bot = ScriptedHandler("abcdefg")

    async def collected() -> list[str]:
        return [chunk async for chunk in bot.astream("hi", size=3)]

    chunks = list(bot.stream("hi", size=3)) if mode is Mode.SYNC else asyncio.run(collected())
    assert chunks == ["abc", "def", "g"]


def test_a_scripted_bot_needs_a_line() -> None:
    """It shows when it is made."""
    with pytest.raises(TypeError):
        ScriptedHandler()  # type: ignore[call-arg] # what the test is about


def test_a_hook_keeps_its_records(mode: Mode) -> None:
    """Only those of decisions."""
    hook = ListHook()
    guard = Guard(StubClassifier(), hooks=[hook])
    mode.check(guard, "x")
    with pytest.raises(InvalidTurnError):
        mode.check(guard, None)  # type: ignore[arg-type] # what the test is about

    assert len(hook.records) == 1
