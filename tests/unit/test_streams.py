"""Guarded streams over real threads and event loops: what is closed, freed, and kept apart."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from guardrail import (
    Action,
    Category,
    Classifier,
    ClassifierError,
    Guard,
    InvalidTurnError,
    Outcome,
    Policy,
    Verdict,
)
from guardrail.testing import ListHook, ScriptedHandler, StubClassifier
from guardrail.types import Conversation
from tests.conftest import Mode

Streamed = tuple[list[str], Outcome | None]


class Source:
    """A reply that comes in chunks, in either world, and knows whether it was closed."""

    def __init__(self, *chunks: str, pause: float = 0.0, error: Exception | None = None) -> None:
        self.taken = 0
        self.closed = False
        self._chunks = chunks
        self._pause = pause
        self._error = error

    def __iter__(self) -> Iterator[str]:
        try:
            for chunk in self._chunks:
                time.sleep(self._pause)
                self.taken += 1
                yield chunk
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            for chunk in self._chunks:
                await asyncio.sleep(self._pause)
                self.taken += 1
                yield chunk
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


def stream(guard: Guard, source: Iterable[str], **options: Any) -> Streamed:
    guarded = guard.stream(user="q", chunks=source, **options)
    return list(guarded), guarded.outcome


def astream(guard: Guard, source: Any, **options: Any) -> Streamed:
    async def collect() -> Streamed:
        guarded = guard.astream(user="q", chunks=source, **options)
        return [chunk async for chunk in guarded], guarded.outcome

    return asyncio.run(collect())


@pytest.fixture(params=[stream, astream])
def through(request: pytest.FixtureRequest) -> Callable[..., Streamed]:
    """Stream a source through a guard, in one mode and then the other."""
    run: Callable[..., Streamed] = request.param
    return run


Through = Callable[..., Streamed]


def test_nothing_follows_a_refusal(through: Through) -> None:
    """After a replacement the stream ends and upstream is closed, whatever it still holds."""
    source = Source("fine. ", "BAD. ", *["more. "] * 1000)
    shown, outcome = through(Guard(StubClassifier("BAD")), source)

    assert outcome is not None
    assert shown == ["fine. ", outcome.text]
    assert outcome.shown == len("fine. ")
    assert source.closed


def test_text_is_taken_in_while_a_check_runs(through: Through) -> None:
    """A slow classifier does not hold upstream up."""
    source = Source(*["가나다. "] * 10)
    classifier = Waiting(until=lambda: source.taken == 10)
    shown, _ = through(Guard(classifier), source)

    assert "".join(shown) == "가나다. " * 10
    assert classifier.came_about


class Waiting(Classifier):
    """Calls everything safe, the first time only once something has come about."""

    def __init__(self, until: Callable[[], bool]) -> None:
        self.came_about = False
        self._until = until

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        end = time.monotonic() + 5
        while not self.came_about and time.monotonic() < end:
            self.came_about = self._until()
            time.sleep(0.001)
        return [Verdict(unsafe=False, score=0.0) for _ in conversations]


def test_without_a_window_the_whole_is_judged_once(through: Through) -> None:
    """With `window=None` nothing is shown before the one check of the whole reply."""
    classifier = StubClassifier()
    shown, _ = through(Guard(classifier), Source(*["가나다. "] * 50), window=None)

    assert shown == ["가나다. "] * 50
    assert classifier.seen == ["가나다. " * 50]


def test_a_hung_check_ends_the_stream_in_time(through: Through) -> None:
    """A check that takes too long blocks the reply, and upstream is closed."""
    source = Source("가나다. ", "라마바. ")
    guard = Guard(StubClassifier(delay=10), Policy(timeout=0.05))
    began = time.perf_counter()
    shown, outcome = through(guard, source)

    assert outcome is not None
    assert shown == [outcome.text]
    assert isinstance(outcome.error, ClassifierError)
    assert time.perf_counter() - began < 5
    assert source.closed


def test_an_upstream_error_shows_nothing_held(through: Through) -> None:
    """The error comes through as it is; what was not judged yet does not."""
    source = Source("가나다", error=ConnectionError("gone"))

    with pytest.raises(ConnectionError, match="gone"):
        through(Guard(StubClassifier()), source)
    assert source.closed


def test_an_empty_stream_is_judged_too(through: Through) -> None:
    """A reply without text is judged as the empty reply it is."""
    classifier = StubClassifier()
    shown, outcome = through(Guard(classifier), Source())

    assert shown == []
    assert classifier.seen == [""]
    assert outcome is not None
    assert outcome.action is Action.ALLOW


def test_one_huge_chunk_is_judged_whole(through: Through) -> None:
    """A chunk is shown only when all of it is judged."""
    shown, outcome = through(Guard(StubClassifier("BAD")), Source("가. " * 5000 + "BAD"))

    assert outcome is not None
    assert shown == [outcome.text]


def test_a_chunk_that_is_no_text_is_refused(through: Through) -> None:
    """Bytes cannot be judged, so they are an error, and upstream is closed."""
    source = Source("가", b"\xea\xb0\x80")  # type: ignore[arg-type]

    with pytest.raises(InvalidTurnError, match="bytes"):
        through(Guard(StubClassifier()), source)
    assert source.closed


def test_the_input_stage_comes_before_the_first_chunk(through: Through) -> None:
    """When the user's turn fails, nothing is taken from upstream."""
    source = Source("가")
    guard = Guard(StubClassifier("q"), Policy(check_input=True))
    shown, outcome = through(guard, source)

    assert outcome is not None
    assert shown == [outcome.text]
    assert source.taken == 0


def test_the_category_is_asked_for_after_the_cut(through: Through) -> None:
    """The refusal is the category's own."""
    guard = Guard(StubClassifier("BAD", category=Category.O6))
    shown, outcome = through(guard, Source("BAD"))

    assert "109" in shown[-1] or "109" in guard.policy.refusal(Category.O6, "ko")  # type: ignore[arg-type]
    assert outcome is not None
    assert outcome.category is Category.O6


def test_a_stream_is_recorded_once(through: Through) -> None:
    """However many checks a stream takes, it makes one record."""
    hook = ListHook()
    through(Guard(StubClassifier(), hooks=[hook]), Source(*["가나다. "] * 50))

    assert [record.status for record in hook.records] == ["allowed"]


def left(mode: Mode, guard: Guard, source: Source, seen: str) -> None:
    """Read a stream until a text has been seen, and leave it."""

    async def read() -> None:
        async with guard.astream(user="q", chunks=source) as stream:
            async for chunk in stream:
                if seen in chunk:
                    break

    if mode is Mode.ASYNC:
        asyncio.run(read())
        return
    with guard.stream(user="q", chunks=source) as stream:
        next(chunk for chunk in stream if seen in chunk)


@pytest.mark.parametrize(
    ("classifier", "policy", "seen", "status"),
    [
        (StubClassifier("BAD"), Policy(), "가나다", "allowed"),
        (StubClassifier("BAD"), Policy(), Policy().refusal(None, "ko"), "blocked"),
        (StubClassifier("가"), Policy(mode="monitor"), "가나다", "flagged"),
        (
            StubClassifier(error=ClassifierError("x")),
            Policy(on_error="open"),
            "가나다",
            "error_allowed",
        ),
    ],
)
def test_who_leaves_is_recorded_all_the_same(
    mode: Mode, classifier: StubClassifier, policy: Policy, seen: str, status: str
) -> None:
    """What was shown or refused was decided: hanging up is no way around the records."""
    hook = ListHook()
    source = Source(*["가나다라마바사. "] * 20, *["BAD. "] * 10, *["가나다. "] * 20)
    left(mode, Guard(classifier, policy, hooks=[hook]), source, seen)

    assert [record.status for record in hook.records] == [status]
    assert source.closed


def test_a_stream_that_breaks_is_recorded(through: Through) -> None:
    """As far as it was shown; of what nobody saw there is nothing to say."""
    hook = ListHook()
    guard = Guard(StubClassifier(), hooks=[hook])
    for chunks in (["가나다라마바사. "] * 20, ["가"], []):
        with pytest.raises(OSError, match="broken"):
            through(guard, Source(*chunks, error=OSError("broken")))

    assert [record.status for record in hook.records] == ["allowed"]
    assert hook.records[0].stream is not None
    assert hook.records[0].stream.shown > 0


def test_no_thread_is_left_behind(through: Through) -> None:
    """Threads that waited for a slow classifier end when idle."""
    before = threading.active_count()
    through(Guard(StubClassifier(delay=0.01)), Source(*["가나다. "] * 5))
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)

    assert threading.active_count() <= before


def test_a_consumer_that_leaves_closes_upstream() -> None:
    """Closing a half-read stream closes its source; there is no outcome."""
    source = Source(*["가나다. "] * 100)
    with Guard(StubClassifier()).stream(user="q", chunks=source) as guarded:
        assert next(guarded) == "가나다. "

    assert source.closed
    assert guarded.outcome is None


async def _leave(guard: Guard, source: Source) -> None:
    async for _ in guard.astream(user="q", chunks=source):
        break


def test_an_async_consumer_that_leaves_leaves_no_task() -> None:
    """After a `break` the loop cleans up: upstream is closed, and no task remains."""

    async def main() -> set[asyncio.Task[Any]]:
        source = Source(*["가나다. "] * 1000, pause=0.001)
        await _leave(Guard(StubClassifier(delay=0.01)), source)
        await asyncio.sleep(0.05)
        assert source.closed
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert asyncio.run(main()) == set()


def test_a_cancelled_stream_closes_everything() -> None:
    """Cancelling the consumer cancels the check and closes upstream before it returns."""

    async def main() -> None:
        source = Source("가나다. ", *["라"] * 1000, pause=0.001)
        guard = Guard(StubClassifier(delay=10))

        async def consume() -> None:
            async for _ in guard.astream(user="q", chunks=source):
                pass

        task = asyncio.create_task(consume())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert source.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_verified_text_does_not_wait_for_a_stalled_upstream() -> None:
    """On an event loop text is shown as soon as its verdict is there."""

    async def main() -> float:
        async def stalling() -> AsyncIterator[str]:
            yield "가나다. "
            await asyncio.sleep(30)

        guarded = Guard(StubClassifier(delay=0.01)).astream(user="q", chunks=stalling())
        began = time.perf_counter()
        assert await anext(guarded) == "가나다. "
        await guarded.aclose()
        return time.perf_counter() - began

    assert asyncio.run(main()) < 5


def test_a_thread_lets_a_verdict_come_before_it_waits_for_a_slow_upstream() -> None:
    """What comes slowly is shown before upstream is asked for more."""
    assert any(_shown_in_time() for _ in range(3)), "its patience is short, machines may stall"


def _shown_in_time() -> bool:
    """Whether a text was shown by the time upstream was asked for what follows."""
    before = ["가나다. ", "라마바사. " * 6]
    shown: list[str] = []
    in_time: list[bool] = []

    def chunks() -> Iterator[str]:
        for chunk in before:
            yield chunk
            time.sleep(0.06)  # longer than the thread's patience: upstream is slow
        yield "끝이에요. " * 20
        in_time.append(len(shown) == len(before) + 1)

    with Guard(StubClassifier(delay=0.001)).stream(user="q", chunks=chunks()) as guarded:
        for chunk in guarded:
            shown += [chunk]
    return in_time == [True]


def test_a_quick_upstream_is_not_held_up_by_a_slow_check() -> None:
    """A thread's patience is for what comes slowly, and not for every chunk."""
    source = Source(*["가나다. "] * 100)
    classifier = Waiting(until=lambda: source.taken == 100)
    began = time.perf_counter()
    stream(Guard(classifier), source)

    assert time.perf_counter() - began < 2  # a hundred times its patience are five


def test_streams_on_one_guard_do_not_mix() -> None:
    """Many streams at once each show their own text, and only the unsafe ones are cut."""

    async def one(guard: Guard, number: int) -> None:
        chunks = [f"{number}번 답입니다. "] * 20 + (["BAD. "] if number % 2 else [])
        guarded = guard.astream(user="q", chunks=Source(*chunks, pause=0.0005))
        shown = [chunk async for chunk in guarded]
        assert guarded.outcome is not None
        assert guarded.outcome.blocked == bool(number % 2)
        kept = shown[:-1] if number % 2 else shown
        assert all(chunk == f"{number}번 답입니다. " for chunk in kept)

    async def main() -> None:
        guard = Guard(StubClassifier("BAD", delay=0.002))
        await asyncio.gather(*(one(guard, number) for number in range(40)))

    asyncio.run(main())


def _failing_later(text: str) -> bool:
    if len(text) > 100:
        raise RuntimeError("boom")
    return False


def test_a_failure_in_mid_stream_blocks_the_rest(through: Through) -> None:
    """What was cleared stays shown; the rest is replaced by the fallback."""
    source = Source(*["가나다. "] * 100)
    shown, outcome = through(Guard(StubClassifier(_failing_later)), source)

    assert outcome is not None
    assert outcome.blocked
    assert "RuntimeError" in str(outcome.error)
    assert "boom" not in str(outcome.error)  # words may quote the reply, and errors are recorded
    assert "".join(shown[:-1]) == "가나다. " * (len(shown) - 1)
    assert outcome.shown == len("".join(shown[:-1]))


def test_a_guarded_generator_stays_a_generator() -> None:
    """`protect` guards generators in both worlds and keeps their kind."""
    guard = Guard(StubClassifier("BAD"))
    bot = ScriptedHandler("fine. BAD")

    @guard.protect
    def reply(message: str) -> Iterator[str]:
        yield from bot.stream(message, size=6)

    @guard.protect
    async def areply(message: str) -> AsyncIterator[str]:
        async for chunk in bot.astream(message, size=6):
            yield chunk

    async def collect() -> list[str]:
        return [chunk async for chunk in areply("q")]

    fallback = guard.policy.refusal(None, "en")  # type: ignore[arg-type]
    assert list(reply("q")) == ["fine. ", fallback]
    assert asyncio.run(collect()) == ["fine. ", fallback]
