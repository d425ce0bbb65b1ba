"""Replicas as one classifier: whom it asks, and what becomes of failures."""

from __future__ import annotations

import asyncio
import os
import signal
from itertools import islice

import pytest

from guardrail import Category, Guard, Policy, Turn, Verdict
from guardrail.deadline import within
from guardrail.errors import ClassifierError, ClassifierTimeout, ClassifierUnavailable
from guardrail.integrations.ray_serve import Replicas
from guardrail.types import Conversation, Role, exchange

from ..conftest import Mode
from .conftest import Cluster
from .judges import ERRORS, MARKER


def talks(count: int) -> list[Conversation]:
    """Return conversations, every third with a reply that is unsafe."""
    return [
        exchange(f"질문 {number}", f"답 {number}{MARKER * (number % 3 == 0)}")
        for number in range(count)
    ]


def right(conversations: list[Conversation]) -> list[bool]:
    """Return what the verdicts on conversations must be."""
    return [MARKER in conversation[-1].content for conversation in conversations]


def test_verdicts_come_in_order_and_name_their_judge(cluster: Cluster, mode: Mode) -> None:
    """More conversations than one call holds are divided among replicas, and put together again."""
    cluster.judges()  # both are up
    conversations = talks(500)
    replicas = cluster.replicas
    if mode is Mode.SYNC:
        verdicts = replicas.classify_many(conversations)
    else:
        verdicts = asyncio.run(replicas.aclassify_many(conversations))

    assert [verdict.unsafe for verdict in verdicts] == right(conversations)
    assert len({verdict.classifier for verdict in verdicts}) == 2


def test_categories_come_too(cluster: Cluster, mode: Mode) -> None:
    """The second step of an unsafe reply goes the same way."""
    outcome = mode.check(Guard(cluster.replicas), f"아, {MARKER}")

    assert (outcome.blocked, outcome.category) == (True, Category.O3)


def test_a_thread_that_runs_an_event_loop_may_ask_in_the_sync_way(cluster: Cluster) -> None:
    """As notebooks do."""

    async def ask() -> bool:
        return Guard(cluster.replicas).check(user="안녕", assistant=MARKER).blocked

    assert asyncio.run(ask())


async def judges_of(replicas: Replicas, conversations: list[Conversation]) -> list[str]:
    """Return which process judged each, asked one after the other."""
    return [(await replicas.aclassify(one)).classifier for one in conversations]


def test_a_growing_reply_stays_with_one_replica(cluster: Cluster) -> None:
    """Its prefix is in that one's cache; other conversations go elsewhere."""
    cluster.judges()  # both are up
    reply = "환불은 영업일로 사흘쯤 걸려요."
    history = [Turn(Role.USER, "안녕"), Turn(Role.ASSISTANT, "안녕하세요")]
    growing = [
        [exchange(f"질문 {number}", reply[:end], history) for end in range(1, 6)]
        for number in range(12)
    ]
    judges = [asyncio.run(judges_of(cluster.replicas, talk)) for talk in growing]

    assert [len(set(names)) for names in judges] == [1] * 12
    assert len({names[0] for names in judges}) == 2


def test_a_busy_home_is_left(cluster: Cluster) -> None:
    """One conversation that everybody asks about does not wait for one replica."""
    cluster.judges()  # both are up
    texts = ["sleep:3", *map(str, range(100))]

    async def ask() -> set[str]:
        calls: list[asyncio.Task[Verdict]] = []
        for text in texts:
            call = cluster.replicas.aclassify(exchange("모두의 질문", text))
            calls.append(asyncio.create_task(call))
            await asyncio.sleep(0.02)  # a load is known once calls are sent, not before
        return {verdict.classifier for verdict in await asyncio.gather(*calls)}

    assert len(asyncio.run(ask())) == 2


def test_what_waits_is_judged_together(cluster: Cluster) -> None:
    """A replica that is busy takes all that came meanwhile as its next batch."""
    before = len(cluster.judged)

    async def ask() -> None:
        await asyncio.gather(*map(cluster.replicas.aclassify, talks(60)))

    asyncio.run(ask())

    assert max(size for _, size, _ in cluster.judged[before:]) > 1


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_of_the_classifier_stays_what_it_was(cluster: Cluster, name: str) -> None:
    """Its kind decides what a fallback does, so it crosses processes as it is."""
    with pytest.raises(ClassifierError, match="as the test said") as raised:
        cluster.replicas.classify(exchange("q", f"raise:{name}"))

    assert type(raised.value) is ERRORS[name]


def test_who_waits_too_long_is_told(cluster: Cluster, mode: Mode) -> None:
    """The policy's time limit holds, and what has no verdict is not shown."""
    guard = Guard(cluster.replicas, Policy(timeout=0.3))
    outcome = mode.check(guard, "sleep:1.5")

    assert (outcome.blocked, type(outcome.error)) == (True, ClassifierTimeout)


def test_a_call_that_is_given_up_is_not_judged(cluster: Cluster) -> None:
    """When the caller leaves, what waits in the replica is taken back."""

    async def ask() -> None:
        talk = [exchange("떠난 사람", text) for text in ("sleep:1", "떠난 뒤", "남은 뒤")]
        busy = asyncio.create_task(cluster.replicas.aclassify(talk[0]))
        await asyncio.sleep(0.3)
        left = asyncio.create_task(cluster.replicas.aclassify(talk[1]))
        stays = asyncio.create_task(cluster.replicas.aclassify(talk[2]))
        await asyncio.sleep(0.3)
        left.cancel()
        await asyncio.gather(busy, stays)

    asyncio.run(ask())
    texts = [text for _, _, text in cluster.judged]

    assert ("떠난 뒤" in texts, "남은 뒤" in texts) == (False, True)


def test_where_too_many_wait_further_calls_fail_at_once(small: Replicas) -> None:
    """The error says what to change; nothing is let through."""

    async def ask() -> list[object]:
        with within(20):
            calls = (small.aclassify(exchange("q", f"sleep:0.{n}")) for n in range(1, 9))
            return await asyncio.gather(*calls, return_exceptions=True)

    errors = [answer for answer in asyncio.run(ask()) if isinstance(answer, Exception)]

    assert errors
    assert {type(error) for error in errors} == {ClassifierUnavailable}
    assert all("max_queued_requests" in str(error) for error in errors)


def test_a_text_that_ends_its_judge_is_not_let_through(small: Replicas) -> None:
    """It is tried on a few replicas, not on all there are for ever."""
    guard = Guard(small, Policy(timeout=3.0))

    assert guard.check(user="q", assistant="die").blocked


def test_a_replica_that_is_killed_takes_no_call_with_it(cluster: Cluster) -> None:
    """Two replicas under load, one killed: every verdict comes, and is right."""
    conversations = talks(150)
    victim = min(cluster.judges())

    async def ask() -> list[bool]:
        calls = [asyncio.create_task(cluster.replicas.aclassify(one)) for one in conversations]
        for first in islice(asyncio.as_completed(calls), 20):
            await first
        os.kill(victim, signal.SIGKILL)
        return [verdict.unsafe for verdict in await asyncio.gather(*calls)]

    assert asyncio.run(ask()) == right(conversations)
