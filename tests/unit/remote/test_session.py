"""How often, how many at once, and until when a server is asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from guardrail import Guard
from guardrail.classifiers import Remote
from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    ClassifierTimeout,
    ClassifierUnavailable,
    ConfigError,
)
from guardrail.prompt import render
from guardrail.taxonomy import Taxonomy
from guardrail.types import Conversation, exchange
from tests.conftest import Mode
from tests.unit.remote.servers import (
    MODEL,
    Behaviour,
    Connection,
    FakeServer,
    answer,
    answering,
    completion,
    eventually,
    html,
)

CASE = exchange("hi", "안녕하세요")
GOOD = answer(completion())
DOWN = answer({}, "503 Service Unavailable")


@contextmanager
def remote(behave: Behaviour, **settings: Any) -> Iterator[tuple[Remote, FakeServer]]:
    """Run a server and connect to it."""
    with FakeServer(behave) as server:
        classifier = Remote(server.url, MODEL, **{"timeout": 1.0, **settings})
        try:
            yield classifier, server
        finally:
            classifier.close()


# Trying again


@pytest.mark.parametrize("failure", [DOWN, answer({}, "429 Slow"), answer({}, "500 Oops")])
def test_what_may_pass_is_tried_again(failure: bytes) -> None:
    """A server that recovers in time gives a verdict."""
    with remote(answering(failure, failure, GOOD)) as (classifier, server):
        assert not classifier.classify(CASE).unsafe
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "failure", [answer({}, "401 No"), answer({}, "400 Bad"), html(), answer(completion(choices=[]))]
)
def test_what_will_not_pass_is_not_tried_again(failure: bytes) -> None:
    """An answer that would be the same again is not asked for again."""
    fails = pytest.raises((ClassifierUnavailable, ClassifierProtocolError))
    with remote(answering(failure)) as (classifier, server), fails:
        classifier.classify(CASE)
    assert len(server.requests) == 1


def test_tries_are_counted() -> None:
    """After the last retry the error is told."""
    fails = pytest.raises(ClassifierUnavailable, match="503")
    with remote(answering(DOWN), max_retries=1) as (classifier, server), fails:
        classifier.classify(CASE)
    assert len(server.requests) == 2


def test_the_server_says_when() -> None:
    """`Retry-After` is waited for."""
    later = answer({}, "429 Slow", {"retry-after": "0.4"})
    with remote(answering(later, GOOD)) as (classifier, _):
        started = time.monotonic()
        classifier.classify(CASE)

    assert time.monotonic() - started >= 0.4


def test_too_late_is_not_waited_for() -> None:
    """A server that asks for more time than there is fails the call at once."""
    later = answer({}, "429 Slow", {"retry-after": "60"})
    with remote(answering(later, GOOD), timeout=20) as (classifier, server):
        started = time.monotonic()
        with pytest.raises(ClassifierUnavailable, match="429"):
            classifier.classify(CASE)

    assert time.monotonic() - started < 10
    assert len(server.requests) == 1


# The circuit


def test_a_server_that_is_down_is_left_alone() -> None:
    """After failures in a row calls fail at once, without a request."""
    with remote(answering(DOWN), failures=2, max_retries=0) as (classifier, server):
        for _ in range(4):
            with pytest.raises(ClassifierUnavailable):
                classifier.classify(CASE)

        assert classifier.circuit_open
    assert len(server.requests) == 2


def test_a_server_that_is_back_is_asked_again() -> None:
    """After the rest one request tries, and the circuit closes."""
    settings = {"failures": 1, "max_retries": 0, "rest": 0.1}
    with remote(answering(DOWN, GOOD), **settings) as (classifier, server):
        with pytest.raises(ClassifierUnavailable):
            classifier.classify(CASE)
        assert eventually(lambda: not classifier.circuit_open)
        classifier.classify(CASE)
        classifier.classify(CASE)
    assert len(server.requests) == 3


def test_one_request_tries() -> None:
    """When the rest is over, a crowd that waits does not fall upon the server."""
    settings = {"failures": 1, "max_retries": 0, "rest": 0.1}
    with remote(answering(DOWN, GOOD, delay=0.1), **settings) as (classifier, server):
        with pytest.raises(ClassifierUnavailable):
            classifier.classify(CASE)
        assert eventually(lambda: not classifier.circuit_open)
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _: outcome_of(classifier), range(8)))

    assert sorted(results) == ["left alone"] * 7 + ["verdict"]
    assert len(server.requests) == 2


def outcome_of(classifier: Remote) -> str:
    try:
        classifier.classify(CASE)
    except ClassifierUnavailable as error:
        return "left alone" if "left alone" in str(error) else str(error)
    return "verdict"


def test_who_follows_the_first_to_try() -> None:
    """A call that waits while another finds the server back is answered too."""
    settings = {"failures": 1, "max_retries": 0, "rest": 0.1, "concurrency": 1}
    with remote(answering(DOWN, GOOD, delay=0.05), **settings) as (classifier, _):
        with pytest.raises(ClassifierUnavailable):
            classifier.classify(CASE)
        time.sleep(0.15)

        assert [error for _, error in crowd(Mode.ASYNC, classifier, 3)] == [None] * 3


@pytest.mark.parametrize("odd", [answer({}, "400 Bad"), answer(completion(choices=[]))])
def test_nobody_can_write_the_server_down(odd: bytes) -> None:
    """What a text may bring about never opens the circuit for others."""
    with remote(answering(odd), failures=1) as (classifier, _):
        for _ in range(3):
            with pytest.raises(ClassifierProtocolError):
                classifier.classify(CASE)

        assert not classifier.circuit_open


def test_hanging_counts_as_failing(mode: Mode) -> None:
    """A server that hangs is left alone too, also where the policy's time is the shorter."""
    from guardrail import Policy

    with remote(lambda one: (one.read(), one.wait())[0] and None, failures=2) as (classifier, _):
        guard = Guard(classifier, Policy(timeout=0.4))
        mode.check(guard, "a")
        mode.check(guard, "b")

        assert eventually(lambda: classifier.circuit_open)


def test_a_burst_says_nothing_about_the_server(mode: Mode) -> None:
    """Calls that lose their time to others fail, and the server, which answers, is not blamed."""
    from guardrail import Policy

    settings = {"concurrency": 2, "failures": 1, "timeout": 5.0}
    with remote(answering(GOOD, delay=0.2), **settings) as (classifier, _):
        guard, crowd = Guard(classifier, Policy(timeout=1.1)), ThreadPoolExecutor(20)
        with crowd:
            outcomes = list(crowd.map(lambda _: mode.check(guard, "a"), range(20)))

        assert not classifier.circuit_open
    assert {type(outcome.error) for outcome in outcomes} >= {type(None)}
    assert any(isinstance(outcome.error, ClassifierTimeout) for outcome in outcomes)


def test_leaving_says_nothing_about_the_server() -> None:
    """A caller that leaves neither opens the circuit nor closes it."""

    def hang(connection: Connection) -> None:
        connection.read()
        connection.wait()

    async def leave(classifier: Remote) -> None:
        task = asyncio.create_task(classifier.aclassify(CASE))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with remote(hang, failures=1) as (classifier, server):
        asyncio.run(leave(classifier))

        assert eventually(lambda: server.open == 0)
        assert not classifier.circuit_open


# How many at once


def test_requests_at_once_are_limited() -> None:
    """No more requests are under way than the server is said to take."""
    with remote(answering(GOOD, delay=0.02), concurrency=3) as (classifier, server):
        classifier.classify_many([CASE] * 12)

        assert server.most_open <= 3
    assert len(server.requests) == 12


def test_a_full_queue_rejects_at_once(mode: Mode) -> None:
    """Who would wait behind too many is told at once, and the others get their verdicts."""
    settings = {"concurrency": 1, "queue": 2, "timeout": 5.0}
    with remote(answering(GOOD, delay=0.5), **settings) as (classifier, server):
        told = crowd(mode, classifier, 6)

    rejected = [seconds for seconds, error in told if isinstance(error, ClassifierUnavailable)]
    assert len(rejected) == 3
    assert max(rejected) < 0.4
    assert classifier.stats.rejected == 3
    assert len(server.requests) == 3


def test_waiting_in_line_is_bounded_too(mode: Mode) -> None:
    """Time spent behind others counts."""
    settings = {"concurrency": 1, "timeout": 0.5, "max_retries": 0}
    with remote(answering(GOOD, delay=0.2), **settings) as (classifier, _):
        classifier.classify(CASE)
        told = crowd(mode, classifier, 6)

    assert max(seconds for seconds, _ in told) < 1.0
    assert 4 <= sum(isinstance(error, ClassifierTimeout) for _, error in told) < 6


def crowd(mode: Mode, classifier: Remote, calls: int) -> list[tuple[float, Exception | None]]:
    """Return after how many seconds each of many calls ended, and with which error."""

    async def judge(threads: ThreadPoolExecutor) -> tuple[float, Exception | None]:
        started = time.monotonic()
        try:
            if mode is Mode.ASYNC:
                await classifier.aclassify(CASE)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(threads, classifier.classify, CASE)
        except ClassifierError as error:
            return time.monotonic() - started, error
        return time.monotonic() - started, None

    async def all_at_once() -> list[tuple[float, Exception | None]]:
        with ThreadPoolExecutor(calls) as threads:
            return await asyncio.gather(*(judge(threads) for _ in range(calls)))

    return asyncio.run(all_at_once())


def test_who_waits_has_nothing_written_yet() -> None:
    """A burst on one event loop costs little more than waiting, whatever its texts."""
    written = []

    def writing(conversation: Conversation, *, taxonomy: Taxonomy) -> str:
        written.append(conversation)
        return render(conversation, taxonomy=taxonomy)

    async def leave(classifier: Remote) -> None:
        tasks = [asyncio.create_task(classifier.aclassify(CASE)) for _ in range(20)]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    with remote(answering(GOOD, delay=5.0), concurrency=2, render=writing) as (classifier, _):
        asyncio.run(leave(classifier))

    assert len(written) == 4


def test_one_failure_fails_the_batch_at_once() -> None:
    """Once a batch can have no verdicts, its other requests are given up."""
    behave = answering(GOOD, answer({}, "401 No"), GOOD)
    fails = pytest.raises(ClassifierUnavailable, match="401")
    with remote(behave, concurrency=1) as (classifier, server), fails:
        classifier.classify_many([CASE] * 10)

    assert len(server.requests) == 2


def test_no_conversations_are_no_requests() -> None:
    """An empty batch is answered without the server."""
    with remote(answering(GOOD)) as (classifier, server):
        assert classifier.classify_many([]) == []
    assert server.requests == []


# What is sent


def test_what_is_asked_for(mode: Mode) -> None:
    """One token, greedily, with the top log-probabilities, and never the prompt's own."""
    with remote(answering(GOOD)) as (classifier, server):
        mode.check(Guard(classifier), "안녕")
    request = server.requests[0]

    assert request["messages"][0]["role"] == "user"
    assert {name: request[name] for name in request if name != "messages"} == {
        "model": MODEL,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 20,
    }


def test_raw_completions_take_the_same(mode: Mode) -> None:
    """Raw completions of vLLM map each token to its log-probability."""
    logprobs = {"tokens": ["safe"], "top_logprobs": [{"safe": -0.1, "unsafe": -3.0}]}
    body = completion(choices=[{"text": "safe", "logprobs": logprobs}])
    with remote(answering(answer(body)), mode="completion") as (classifier, server):
        outcome = mode.check(Guard(classifier), "안녕")

    assert outcome.verdict is not None
    assert outcome.verdict.score == pytest.approx(0.0522, abs=1e-4)
    assert server.requests[0]["prompt"].startswith("<|start_header_id|>user<|end_header_id|>\n\n")


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The given key is sent; OpenAI's own variables are not, and no message shows it."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "private")
    behave, fails = answering(answer({}, "401 No")), pytest.raises(ClassifierUnavailable)
    with remote(behave, api_key="k-123") as (classifier, server), fails as raised:
        classifier.classify(CASE)

    assert "Bearer k-123" in server.heads[0]
    assert "private" not in server.heads[0]
    assert "k-123" not in f"{raised.value} {classifier!r}"


@pytest.mark.parametrize("status", ["400 Bad", "422 Odd", "503 Down", "401 No"])
def test_no_error_quotes_the_text(status: str) -> None:
    """A server may repeat what it was sent; messages and records do not."""
    secret = "비밀번호는 1234입니다"
    echo = answer({"detail": [{"input": secret}]}, status)
    fails = pytest.raises(ClassifierError)
    with remote(answering(echo), max_retries=0) as (classifier, _), fails as raised:
        classifier.classify(exchange("hi", secret))

    assert "1234" not in str(raised.value)


def test_without_a_key_none_is_borrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for OpenAI is not sent to whatever server the guard asks."""
    monkeypatch.setenv("OPENAI_API_KEY", "private")
    with remote(answering(GOOD)) as (classifier, server):
        classifier.classify(CASE)

    assert "private" not in server.heads[0]


# Its life


def test_the_environment_s_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is reached as all programs reach it, and directly where that is said."""
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeServer(answering(GOOD)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        there = Remote("http://kosafeguard.test/v1", MODEL)
        there.classify(CASE)
        there.close()
        with remote(answering(GOOD)) as (here, server):
            monkeypatch.setenv("no_proxy", "localhost")
            here.classify(CASE)

    assert [head.split(" ")[1] for head in proxy.heads] == [
        "http://kosafeguard.test/v1/chat/completions"
    ]
    assert len(server.requests) == 1


def test_a_stray_answer_is_nobody_s() -> None:
    """What a server says unasked, on an idle connection, is not the verdict on the next text."""
    asked: list[Connection] = []

    def say_twice(connection: Connection) -> None:
        while connection.read():
            asked.append(connection)
            if len(asked) == 2:
                connection.send(answer({}, "404 Not Found"))
                return
            connection.send(GOOD)
            time.sleep(0.03)
            connection.send(GOOD)

    with remote(say_twice) as (classifier, _):
        classifier.classify(CASE)
        time.sleep(0.15)
        with pytest.raises(ClassifierUnavailable, match="404"):
            classifier.classify(CASE)


def test_one_classifier_serves_many_loops() -> None:
    """Calls from threads and from event loops that come and go share one connection."""
    with remote(answering(GOOD), concurrency=1) as (classifier, server):
        for _ in range(3):
            asyncio.run(classifier.aclassify(CASE))
            classifier.classify(CASE)

        assert server.open == 1
    assert len(server.requests) == 6


def test_sync_calls_work_inside_a_running_loop() -> None:
    """A notebook's cell may use the sync half."""

    async def cell(classifier: Remote) -> bool:
        return classifier.classify(CASE).unsafe

    with remote(answering(GOOD)) as (classifier, _):
        assert not asyncio.run(cell(classifier))


def test_closing_ends_what_is_under_way(mode: Mode) -> None:
    """A call in flight fails when the classifier is closed, and so do later ones."""

    def hang(connection: Connection) -> None:
        connection.read()
        connection.wait()

    with remote(hang, timeout=30.0) as (classifier, server):
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(mode.check, Guard(classifier), "안녕하세요")
            assert eventually(lambda: bool(server.requests))
            classifier.close()
            error = call.result(2).error
        assert isinstance(error, ClassifierUnavailable)
        assert "closed" in str(error)
        assert eventually(lambda: server.open == 0)
        with pytest.raises(ClassifierUnavailable, match="closed"):
            classifier.classify(CASE)


def test_an_unused_classifier_costs_nothing() -> None:
    """No thread and no connection is there before the first call."""
    classifier = Remote("http://localhost:9/v1", MODEL)

    assert "guardrail-remote" not in {thread.name for thread in threading.enumerate()}
    classifier.close()


def test_a_forgotten_classifier_ends_its_thread() -> None:
    """A classifier that nobody holds any more closes its connections."""
    with FakeServer(answering(GOOD)) as server:
        Remote(server.url, MODEL).classify(CASE)

        assert eventually(lambda: server.open == 0)


def test_a_forked_process_has_its_own_connections() -> None:
    """A worker forked after the first call judges, and so does its parent."""
    with FakeServer(answering(GOOD)) as server:
        code = (
            "import os\n"
            "from guardrail.classifiers import Remote\n"
            "from guardrail.types import exchange\n"
            f"remote = Remote({server.url!r}, {MODEL!r})\n"
            "judge = lambda: remote.classify(exchange('a', 'b')).unsafe\n"
            "judge()\n"
            "child = os.fork()\n"
            "judge()\n"
            "if child:\n"
            "    assert os.waitpid(child, 0)[1] == 0\n"
            "    judge()\n"
            "remote.close()\n"
        )
        done = subprocess.run([sys.executable, "-c", code], timeout=20, check=False)

    assert done.returncode == 0
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "localhost:8000"},
        {"base_url": "http://user:word@host/v1"},
        {"base_url": "http://host:99999/v1"},
        {"base_url": "http:///v1"},
        {"mode": "text"},
        {"tokenizer": "somewhere"},
        {"mode": "completion", "template": "no place"},
        {"mode": "completion", "tokenizer": "/nowhere"},
        {"timeout": 0},
        {"rest": -1.0},
        {"concurrency": 0},
        {"queue": -1},
        {"max_retries": -1},
        {"failures": 0},
        {"labels": ("safe", "safe")},
        {"api_key": 123},
        {"api_key": "k-123\n"},
        {"api_key": "키"},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    """What cannot work is said when the classifier is made."""
    with pytest.raises(ConfigError):
        Remote(**{"base_url": "http://localhost/v1", "model": MODEL, **settings})
