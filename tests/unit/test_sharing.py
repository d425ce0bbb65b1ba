"""Guards made from others: under another policy, or heard by somebody."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail import ConfigError, Guard, Policy
from guardrail.testing import ListHook, StubClassifier
from guardrail.types import Conversation, Outcome
from guardrail.window import Window

from ..conftest import ENTRIES, Entry, Mode

REPLY = "앞 문장이에요. UNSAFE 뒤 문장이에요."


class Closing(StubClassifier):
    """Counts how often it is closed."""

    closed = 0

    def close(self) -> None:
        """Count."""
        self.closed += 1


def drained(mode: Mode, guard: Guard, *chunks: str) -> list[str]:
    """Return what comes out of a stream."""
    import asyncio

    async def source() -> Any:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[str]:
        return [chunk async for chunk in guard.astream(user="q", chunks=source())]

    if mode is Mode.ASYNC:
        return asyncio.run(collect())
    return list(guard.stream(user="q", chunks=chunks))


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_another_policy_counts_for_the_other_guard_alone(mode: Mode, entry: Entry) -> None:
    """Classifier and hooks are shared, and the guard it was made from stays as it was."""
    hook = ListHook()
    guard = Guard(StubClassifier(), hooks=[hook])
    other = guard.with_policy(Policy(mode="monitor"))

    assert entry(mode, other, "UNSAFE") == "UNSAFE"
    assert entry(mode, guard, "UNSAFE") != "UNSAFE"
    assert [record.status for record in hook.records] == ["flagged", "blocked"]


def test_closing_a_guard_made_from_another_closes_nothing() -> None:
    """What is shared belongs to the first."""
    classifier = Closing()
    with Guard(classifier) as guard:
        guard.with_policy(Policy()).close()
        guard.heard_by(lambda *_: None).with_policy(Policy()).close()

        assert classifier.closed == 0
    assert classifier.closed == 1


def test_only_a_policy_is_taken_for_one() -> None:
    """A dictionary, say, is refused at once."""
    with pytest.raises(ConfigError):
        Guard(StubClassifier()).with_policy({"mode": "monitor"})  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_listener_hears_each_decision_once(mode: Mode, entry: Entry) -> None:
    """With the conversation up to the judged text, whatever the entry; others hear nothing of it."""
    heard: list[tuple[Conversation, Outcome]] = []
    guard = Guard(StubClassifier())
    entry(mode, guard.heard_by(lambda *one: heard.append(one)), "UNSAFE")
    entry(mode, guard, "more")

    ((conversation, outcome),) = heard
    assert conversation[-1].content == "UNSAFE"
    assert outcome.blocked


def test_a_listener_hears_the_checks_of_a_stream(mode: Mode) -> None:
    """Also those of prefixes, before anything of them is shown; hooks get the last alone."""
    heard: list[tuple[str, bool]] = []
    hook = ListHook()
    guard = Guard(StubClassifier(), Policy(window=Window(first=5)), hooks=[hook])
    listening = guard.heard_by(lambda asked, one: heard.append((asked[-1].content, one.blocked)))

    drained(mode, listening, "앞 문장이에요. ", "뒤 문장이에요. ", "UNSAFE")

    assert heard[0] == ("앞 문장이에요. ", False)
    assert heard[-1][1]
    assert [record.status for record in hook.records] == ["blocked"]


def test_what_a_listener_raises_ends_the_call(mode: Mode) -> None:
    """Nothing is shown that nobody heard of."""

    def refuse(*_: object) -> None:
        raise RuntimeError("no")

    guard = Guard(StubClassifier()).heard_by(refuse)

    with pytest.raises(RuntimeError):
        mode.check(guard, "fine")
    with pytest.raises(RuntimeError):
        drained(mode, guard, "fine")


def test_a_records_stream_facts(mode: Mode) -> None:
    """Checks, what was held at most, what was shown before the refusal, and the wait."""
    hook = ListHook()
    guard = Guard(StubClassifier(), Policy(window=Window(first=5)), hooks=[hook])

    drained(mode, guard, "앞 문장이에요. ", "UNSAFE")

    facts = hook.records[0].stream
    assert facts is not None
    assert (facts.checks, facts.shown) == (2, len("앞 문장이에요. "))
    assert facts.held >= facts.shown
    assert facts.waited is not None
    assert facts.waited >= 0.0


def test_nothing_shown_is_no_wait(mode: Mode) -> None:
    """A reply that was blocked at once showed nothing, at no time."""
    hook = ListHook()

    drained(mode, Guard(StubClassifier(), hooks=[hook]), "UNSAFE")

    assert [one.stream and (one.stream.shown, one.stream.waited) for one in hook.records] == [
        (0, None)
    ]


def test_a_whole_reply_has_no_stream_facts(mode: Mode, entry: Entry) -> None:
    """None were gathered."""
    hook = ListHook()
    entry(mode, Guard(StubClassifier(), hooks=[hook]), "fine")

    assert hook.records[0].stream is None
    assert '"stream": null' in hook.records[0].to_json()
