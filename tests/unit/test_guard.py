"""The promises: nothing unjudged is shown, and what fails is never safe; in both modes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import (
    Action,
    Category,
    ClassifierError,
    Guard,
    InvalidTurnError,
    Language,
    Outcome,
    Policy,
    Role,
    Stage,
    Turn,
    Verdict,
)
from guardrail.audit import Status
from guardrail.errors import ClassifierProtocolError, ClassifierTimeout
from guardrail.testing import ListHook, StubClassifier
from guardrail.types import Conversation
from tests.conftest import ENTRIES, Answering, Entry, Mode

TEXT = "이 답변은 아무도 판정하지 않았습니다."
FALLBACK = Policy().refusal(None, Language.KO)
KO = "안녕하세요"
SAFE, UNSAFE = Verdict(False, 0.01), Verdict(True, 0.99)
OPEN = Policy(on_error="open", language="ko")
CLOSED = Policy(language="ko")

FAILURES: dict[str, Any] = {
    "raises ours": ClassifierError("down"),
    "raises RuntimeError": RuntimeError("CUDA out of memory"),
    "raises TimeoutError": TimeoutError("upstream"),
    "raises StopIteration": StopIteration("a bug"),
    "raises KeyError": KeyError("choices"),
    "raises MemoryError": MemoryError(),
    "answers None": None,
    "answers nothing": [],
    "answers twice": [SAFE, SAFE],
    "answers a verdict": SAFE,
    "answers text": "safe",
    "answers one letter": "s",
    "answers a list of text": ["safe"],
    "answers a list of None": [None],
    "answers a list of booleans": [False],
    "answers a list of scores": [0.01],
    "answers a list of lists": [[SAFE]],
    "answers a dictionary": {0: SAFE},
    "answers a generator": lambda asked: (SAFE for _ in asked),
    "answers NaN": lambda _: [Verdict(False, float("nan"))],
    "answers a score of 2": lambda _: [Verdict(False, 2.0)],
}
NO_CATEGORIES: dict[str, Any] = {
    "raises": RuntimeError("down"),
    "raises ours": ClassifierError("down"),
    "answers None": None,
    "answers nothing": [],
    "answers twice": [{}, {}],
    "answers text": ["O1"],
    "answers None each": [None],
    "answers an unknown one": [{"O9": 1.0}],
    "answers NaN": [{Category.O1: float("nan")}],
    "answers no numbers": [{Category.O1: "high"}],
}


class Hanging(StubClassifier):
    """Finds everything safe, once it is let go."""

    def __init__(self) -> None:
        super().__init__(delay=60.0)
        self.let_go = threading.Event()

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        self.let_go.wait(60)
        return [SAFE for _ in conversations]


def soon(seconds: float = 5.0) -> Callable[[], bool]:
    """Return a check that no more time has passed."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


# Nothing is shown before a passing verdict covers it


def test_a_safe_text_comes_through_unchanged(mode: Mode, entry: Entry) -> None:
    """Every entry point shows what passed."""
    assert entry(mode, Guard(StubClassifier()), TEXT) == TEXT


def test_an_unsafe_text_is_replaced(mode: Mode, entry: Entry) -> None:
    """Every entry point shows the refusal instead."""
    assert entry(mode, Guard(StubClassifier(unsafe="판정"), CLOSED), TEXT) == FALLBACK


@given(
    text=st.text(st.characters(exclude_categories=()), max_size=200),
    marker=st.text(max_size=2),
    fails=st.booleans(),
    delay=st.sampled_from([0.0, 1e-9]),
)
@pytest.mark.parametrize("entry", ENTRIES)
def test_nothing_unsafe_is_ever_returned(
    mode: Mode, entry: str, text: str, marker: str, fails: bool, delay: float
) -> None:
    """A text comes out if and only if it was judged and found safe."""
    error = RuntimeError("down") if fails else None
    guard = Guard(StubClassifier(unsafe=marker, error=error, delay=delay), CLOSED)
    expected = FALLBACK if fails or marker in text else text

    assert ENTRIES[entry](mode, guard, text) == expected


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800 \udfff", "가" * 500_000])
def test_odd_texts_are_judged_like_any(mode: Mode, entry: Entry, text: str) -> None:
    """Empty, huge or malformed: each reaches the classifier, and comes out if it passes."""
    classifier = StubClassifier()

    assert (entry(mode, Guard(classifier), text), classifier.seen[-1]) == (text, text)


@pytest.mark.parametrize("text", ["", "\x00", "\ud800"])
def test_odd_texts_are_no_loophole(mode: Mode, entry: Entry, text: str) -> None:
    """None of them is safe by accident."""
    guard = Guard(StubClassifier(unsafe=lambda _: True), CLOSED)

    assert entry(mode, guard, text) == FALLBACK


@pytest.mark.parametrize("text", [None, 3, b"bytes", ["text"]])
def test_what_is_not_text_is_refused(mode: Mode, entry: Entry, text: Any) -> None:
    """It cannot be judged, so it is not shown."""
    with pytest.raises(InvalidTurnError):
        entry(mode, Guard(StubClassifier()), text)


def test_a_user_who_is_not_text_is_refused(mode: Mode) -> None:
    """A reply is judged in the light of what was said."""
    user: Any = None
    with pytest.raises(InvalidTurnError, match="user turn holds NoneType"):
        mode.check(Guard(StubClassifier()), TEXT, user=user)


# What fails is never safe


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_classifier_blocks(mode: Mode, entry: Entry, failure: str) -> None:
    """Unless told otherwise, a text without a verdict is not shown."""
    assert entry(mode, Guard(Answering(FAILURES[failure]), CLOSED), TEXT) == FALLBACK


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_no_verdict(mode: Mode, failure: str) -> None:
    """The outcome holds the error, and nothing that looks like an answer."""
    outcome = mode.check(Guard(Answering(FAILURES[failure])), TEXT)

    assert (outcome.verdict, isinstance(outcome.error, ClassifierError)) == (None, True)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_that_is_let_through_is_recorded(mode: Mode, entry: Entry, failure: str) -> None:
    """Fail-open shows the text, marked as an error that was let through: never as safe."""
    hook = ListHook()
    shown = entry(mode, Guard(Answering(FAILURES[failure]), OPEN, hooks=[hook]), TEXT)

    assert (shown, [record.status for record in hook.records]) == (TEXT, [Status.ERROR_ALLOWED])


@pytest.mark.parametrize("policy", [CLOSED, OPEN])
@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_what_ends_a_program_ends_the_call(
    mode: Mode, entry: Entry, policy: Policy, error: BaseException
) -> None:
    """It is no answer either, and no policy lets the text through for it."""
    hook = ListHook()
    with pytest.raises(type(error)):
        entry(mode, Guard(Answering(error), policy, hooks=[hook]), TEXT)

    assert hook.records == []


def test_the_cause_of_an_error_is_kept(mode: Mode) -> None:
    """Whoever debugs a blocked reply finds what happened."""
    cause = ValueError("the real trouble")
    outcome = mode.check(Guard(Answering(cause)), TEXT)

    assert outcome.error is not None
    assert outcome.error.__cause__ is cause


def test_an_answer_outside_the_protocol_is_called_so(mode: Mode) -> None:
    """The error tells a broken classifier from one that is down."""
    outcome = mode.check(Guard(Answering(["safe"])), TEXT)

    assert isinstance(outcome.error, ClassifierProtocolError)


# Timeouts


@pytest.mark.parametrize("native", [True, False], ids=["native", "threads"])
def test_a_timeout_blocks_and_frees_the_caller(mode: Mode, entry: Entry, native: bool) -> None:
    """However long the classifier hangs, the caller waits for as long as the policy says."""
    hanging = Hanging()
    classifier = hanging if native else Answering(lambda asked: hanging.classify_many(asked))
    in_time = soon()
    shown = entry(mode, Guard(classifier, Policy(timeout=0.05, language="ko")), TEXT)
    in_time_after_all = in_time()
    hanging.let_go.set()

    assert (shown, in_time_after_all) == (FALLBACK, True)


def test_a_timeout_is_named(mode: Mode) -> None:
    """The outcome tells slowness from other trouble."""
    outcome = mode.check(Guard(StubClassifier(delay=1.0), Policy(timeout=0.01)), TEXT)

    assert isinstance(outcome.error, ClassifierTimeout)


def test_a_classifiers_own_timeout_is_not_ours(mode: Mode) -> None:
    """What it raises in time is its failure, not the policy's limit."""
    outcome = mode.check(Guard(Answering(TimeoutError("upstream"))), TEXT)

    assert not isinstance(outcome.error, ClassifierTimeout)


def test_without_a_timeout_the_caller_waits(mode: Mode) -> None:
    """A slow answer counts."""
    assert mode.check(Guard(StubClassifier(delay=0.05), Policy(timeout=None)), TEXT).text == TEXT


def test_a_batch_has_time_for_all_its_texts(mode: Mode) -> None:
    """The timeout is per answer, so that large batches do not fail for their size."""
    guard = Guard(StubClassifier(delay=0.1), Policy(timeout=0.06))

    assert [one.error for one in mode.check_many(guard, [("hi", TEXT)] * 4)] == [None] * 4


def test_a_category_step_that_hangs_blocks(mode: Mode) -> None:
    """The second step has the same limit."""
    let_go = threading.Event()
    classifier = Answering([UNSAFE], lambda _: let_go.wait(30))
    outcome = mode.check(Guard(classifier, Policy(timeout=0.05, language="ko")), TEXT)
    let_go.set()

    assert (outcome.text, type(outcome.error)) == (FALLBACK, ClassifierTimeout)


# The category step


@pytest.mark.parametrize(
    ("verdict", "steps"),
    [
        (SAFE, ["verdicts"]),
        (UNSAFE, ["verdicts", "categories"]),
        (Verdict(True, 0.9, {Category.O1: 0.9}), ["verdicts"]),
    ],
    ids=["safe", "unsafe", "named"],
)
def test_categories_are_found_only_after_unsafe(
    mode: Mode, verdict: Verdict, steps: list[str]
) -> None:
    """A safe reply costs one step, and so does a classifier that names them at once."""
    classifier = Answering([verdict], [{}])
    mode.check(Guard(classifier), TEXT)

    assert classifier.asked == steps


def test_the_category_found_chooses_the_words(mode: Mode, entry: Entry) -> None:
    """The refusal fits what was wrong."""
    classifier = Answering([UNSAFE], [{Category.O6: 0.9, Category.O1: 0.1}])

    assert "109" in entry(mode, Guard(classifier), TEXT)


@pytest.mark.parametrize("policy", [CLOSED, OPEN], ids=["closed", "open"])
@pytest.mark.parametrize("failure", NO_CATEGORIES)
def test_a_category_step_that_fails_still_blocks(
    mode: Mode, entry: Entry, failure: str, policy: Policy
) -> None:
    """The reply is known to be unsafe; only the words are plain."""
    hook = ListHook()
    guard = Guard(Answering([UNSAFE], NO_CATEGORIES[failure]), policy, hooks=[hook])
    shown = entry(mode, guard, TEXT)

    assert (shown, hook.records[0].status) == (FALLBACK, Status.ERROR_BLOCKED)


def test_only_the_unsafe_ones_of_a_batch_are_categorised(mode: Mode) -> None:
    """The second step is as small as can be, and its answers reach the right ones."""
    asked: list[str] = []

    def categories(conversations: Sequence[Conversation]) -> list[dict[Category, float]]:
        asked.extend(one[-1].content for one in conversations)
        return [{Category(one[-1].content): 1.0} for one in conversations]

    verdicts = [UNSAFE, SAFE, UNSAFE]
    exchanges = [("hi", "O1"), ("hi", "fine"), ("hi", "O5")]
    outcomes = mode.check_many(Guard(Answering(verdicts, categories)), exchanges)

    assert (asked, [one.category for one in outcomes]) == (
        ["O1", "O5"],
        [Category.O1, None, Category.O5],
    )


# Monitoring


@pytest.mark.parametrize(
    "classifier",
    [StubClassifier(unsafe=""), StubClassifier(error=RuntimeError("down"))],
    ids=["unsafe", "failing"],
)
def test_monitoring_shows_everything(mode: Mode, entry: Entry, classifier: StubClassifier) -> None:
    """A guard on trial changes nothing."""
    assert entry(mode, Guard(classifier, Policy(mode="monitor")), TEXT) == TEXT


@pytest.mark.parametrize(
    ("classifier", "status"),
    [
        (StubClassifier(), Status.ALLOWED),
        (StubClassifier(unsafe=""), Status.FLAGGED),
        (StubClassifier(error=RuntimeError("down")), Status.ERROR_ALLOWED),
    ],
    ids=["safe", "unsafe", "failing"],
)
def test_monitoring_records_what_it_would_have_done(
    mode: Mode, entry: Entry, classifier: StubClassifier, status: Status
) -> None:
    """The records tell what enforcing would block."""
    hook = ListHook()
    entry(mode, Guard(classifier, Policy(mode="monitor"), hooks=[hook]), TEXT)

    assert [record.status for record in hook.records] == [status]


# Batches and conversations


def test_a_batch_is_judged_at_once_and_in_order(mode: Mode) -> None:
    """One call of the classifier, one outcome for each exchange, at its place."""
    classifier = Answering(lambda asked: [Verdict("BAD" in one[-1].content, 0.5) for one in asked])
    texts = ["a", "BAD", "b", "BAD c"]
    outcomes = mode.check_many(Guard(classifier), [("hi", text) for text in texts])

    assert ([one.blocked for one in outcomes], classifier.asked.count("verdicts")) == (
        [False, True, False, True],
        1,
    )


def test_an_empty_batch_asks_nothing(mode: Mode) -> None:
    """There is nothing to fail at."""
    classifier = StubClassifier(error=RuntimeError("down"))

    assert (mode.check_many(Guard(classifier), []), classifier.seen) == ([], [])


def test_every_decision_of_a_batch_is_recorded(mode: Mode) -> None:
    """One record each, in order."""
    hook = ListHook()
    guard = Guard(StubClassifier(unsafe="BAD"), hooks=[hook])
    mode.check_many(guard, [("hi", "a"), ("hi", "BAD")])

    assert [record.status for record in hook.records] == [Status.ALLOWED, Status.BLOCKED]


def test_the_classifier_is_given_the_whole_conversation(mode: Mode) -> None:
    """Ten thousand turns of it, if there are so many."""
    given: list[Conversation] = []
    history = [Turn(Role.USER, "u"), Turn(Role.ASSISTANT, "a")] * 5_000
    mode.check(Guard(Answering(given.extend)), TEXT, user=KO, history=iter(history))

    assert given == [(*history, Turn(Role.USER, KO), Turn(Role.ASSISTANT, TEXT))]


def test_a_question_is_an_input(mode: Mode) -> None:
    """What is judged is the user's turn, and the outcome says so."""
    outcome = mode.check_input(Guard(StubClassifier(unsafe="BAD")), "BAD")

    assert (outcome.stage, outcome.action) == (Stage.INPUT, Action.REPLACE)


@pytest.mark.parametrize("failure", [*FAILURES, "safe", "unsafe"])
def test_both_modes_come_to_the_same_outcome(failure: str) -> None:
    """Each decision is written once."""
    answer = {"safe": [SAFE], "unsafe": [UNSAFE], **FAILURES}[failure]

    def outcome(mode: Mode) -> tuple[Outcome, str]:
        outcome = mode.check(Guard(Answering(answer, [{Category.O1: 0.9}])), TEXT)
        return outcome, type(outcome.error).__name__

    (sync, sync_error), (asynchronous, async_error) = outcome(Mode.SYNC), outcome(Mode.ASYNC)
    assert (sync.action, sync.text, sync.verdict, sync.category, sync_error) == (
        asynchronous.action,
        asynchronous.text,
        asynchronous.verdict,
        asynchronous.category,
        async_error,
    )


# Threads and event loops


@pytest.mark.parametrize("delay", [0.0, 0.01], ids=["at once", "in a thread"])
def test_the_sync_half_works_inside_a_running_loop(delay: float) -> None:
    """Notebooks and servers run one; it is neither borrowed nor patched."""
    guard = Guard(StubClassifier(unsafe="BAD", delay=delay))

    async def main() -> Outcome:
        return guard.check(user="hi", assistant="BAD")

    assert asyncio.run(main()).blocked


@pytest.mark.parametrize("delay", [0.0, 0.001], ids=["at once", "in a thread"])
def test_one_guard_serves_many_threads(delay: float) -> None:
    """Nobody gets another's outcome."""
    guard = Guard(StubClassifier(unsafe="7", delay=delay), CLOSED)
    with ThreadPoolExecutor(16) as pool:
        shown = pool.map(lambda n: guard.check(user="hi", assistant=f"<{n}>").text, range(400))

    assert list(shown) == [FALLBACK if "7" in str(n) else f"<{n}>" for n in range(400)]


def test_one_guard_serves_many_tasks() -> None:
    """Nobody gets another's outcome, and nobody waits for another."""
    guard = Guard(StubClassifier(unsafe="7", delay=0.05), CLOSED)

    async def main() -> list[str]:
        checks = (guard.acheck(user="hi", assistant=f"<{n}>") for n in range(400))
        return [outcome.text for outcome in await asyncio.gather(*checks)]

    in_time = soon()
    assert asyncio.run(main()) == [FALLBACK if "7" in str(n) else f"<{n}>" for n in range(400)]
    assert in_time()


def test_one_guard_serves_one_loop_after_another(mode: Mode) -> None:
    """Nothing of a loop that is gone is kept."""
    guard = Guard(Answering([SAFE]))

    assert [mode.check(guard, TEXT).text for _ in range(3)] == [TEXT] * 3


def test_the_event_loop_goes_on_while_a_classifier_computes() -> None:
    """A classifier without an async half is waited for in a thread."""
    let_go = threading.Event()
    guard = Guard(Answering(lambda _: [SAFE] if let_go.wait(5) else None))

    async def main() -> Outcome:
        check = asyncio.create_task(guard.acheck(user="hi", assistant=TEXT))
        await asyncio.sleep(0.02)
        let_go.set()  # the loop came back here, though the check is not done
        return await check

    assert asyncio.run(main()).text == TEXT


def test_a_cancelled_check_ends_at_once() -> None:
    """A client that has left is not waited for, nothing is decided, and the guard goes on."""
    hook = ListHook()
    hanging = Hanging()
    guard = Guard(hanging, hooks=[hook])

    async def main() -> None:
        check = asyncio.create_task(guard.acheck(user="hi", assistant=TEXT))
        await asyncio.sleep(0.02)
        check.cancel()
        await check

    in_time = soon()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    hanging.let_go.set()

    assert (hook.records, in_time()) == ([], True)


def test_a_cancelled_check_harms_no_other() -> None:
    """The guard goes on."""
    guard = Guard(StubClassifier(delay=0.02))

    async def main() -> Outcome:
        check = asyncio.create_task(guard.acheck(user="hi", assistant="gone"))
        other = asyncio.create_task(guard.acheck(user="hi", assistant=TEXT))
        await asyncio.sleep(0)
        check.cancel()
        return await other

    assert asyncio.run(main()).text == TEXT


# Life


def test_a_guard_closes_its_classifier() -> None:
    """Models and connections are given back at the end of a `with`."""
    closed: list[bool] = []

    class Closing(StubClassifier):
        def close(self) -> None:
            closed.append(True)

    with Guard(Closing()):
        assert closed == []
    assert closed == [True]
