"""Every way a server can fail, over real sockets: never safe by accident, and always in time."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from guardrail import Guard, Policy
from guardrail.audit import Status
from guardrail.classifiers import Remote
from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    ClassifierTimeout,
    ClassifierUnavailable,
)
from guardrail.testing import ListHook
from guardrail.types import exchange
from tests.conftest import Mode
from tests.unit.remote.servers import (
    MODEL,
    Connection,
    FakeServer,
    answer,
    answering,
    completion,
    eventually,
    html,
    open_sockets,
)

TIMEOUT = 0.15  # of one request
DEADLINE = 0.5  # of the policy
SLACK = 2.0  # for a busy machine; what is not bounded hangs for ever


def tokens(*pairs: tuple[str, float | None]) -> bytes:
    """Return an answer whose most probable tokens are these."""
    top = [{"token": token, "logprob": value} for token, value in pairs]
    logprobs = {"content": [{"token": "x", "logprob": 0.0, "top_logprobs": top}]}
    return answer(completion(choices=[{"index": 0, "logprobs": logprobs}]))


def reset(connection: Connection) -> None:
    connection.read()
    connection.reset()


def reset_at_once(connection: Connection) -> None:
    connection.reset()


def hang(connection: Connection) -> None:
    connection.read()
    connection.wait()


def hang_in_the_body(connection: Connection) -> None:
    connection.read()
    connection.send(answer(completion())[:-20])
    connection.wait()


def cut_the_body(connection: Connection) -> None:
    connection.read()
    connection.send(answer(completion())[:-20])


def half_close(connection: Connection) -> None:
    connection.read()
    connection.half_close()
    connection.wait()


def drip(response: bytes) -> Callable[[Connection], None]:
    """Send a byte now and then, so that no single read is ever late."""

    def behave(connection: Connection) -> None:
        connection.read()
        for byte in response:
            connection.send(bytes([byte]))
            if connection.wait(0.02):
                return

    return behave


def endless(connection: Connection) -> None:
    connection.read()
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    for _ in range(64):
        connection.send(b" " * 65536)


def nonsense(connection: Connection) -> None:
    connection.read()
    connection.send(b"\x00\xff safe safe\r\n\r\n")


BOMB = gzip.compress(b" " * (1 << 24) + json.dumps(completion()).encode())

FAULTS: dict[str, tuple[Callable[[Connection], None], type[ClassifierError]]] = {
    "reset": (reset, ClassifierUnavailable),
    "reset at once": (reset_at_once, ClassifierUnavailable),
    "hang before headers": (hang, ClassifierTimeout),
    "hang in the body": (hang_in_the_body, ClassifierTimeout),
    "body cut short": (cut_the_body, ClassifierUnavailable),
    "half-closed": (half_close, ClassifierUnavailable),
    "slow drip of headers": (drip(answer(completion())), ClassifierTimeout),
    "slow drip of the body": (
        drip(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 5000),
        ClassifierTimeout,
    ),
    "endless body": (endless, ClassifierUnavailable),
    "not HTTP": (nonsense, ClassifierUnavailable),
    "429": (answering(answer({}, "429 Too Many Requests")), ClassifierUnavailable),
    "429, come back in an hour": (
        answering(answer({}, "429 Too Many Requests", {"retry-after": "3600"})),
        ClassifierUnavailable,
    ),
    "429, at a date": (
        answering(answer({}, "429 Too Many", {"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"})),
        ClassifierUnavailable,
    ),
    "500": (answering(answer(completion(), "500 Internal Server Error")), ClassifierUnavailable),
    "503 with HTML": (answering(answer(b"<p>safe", "503 Down")), ClassifierUnavailable),
    "401": (answering(answer({}, "401 Unauthorized")), ClassifierUnavailable),
    "404": (answering(answer({}, "404 Not Found")), ClassifierUnavailable),
    "400": (answering(answer({"error": "too long"}, "400 Bad")), ClassifierProtocolError),
    "redirect": (
        answering(answer(b"", "307 Moved", {"location": "http://localhost:9/v1"})),
        ClassifierUnavailable,
    ),
    "compressed": (
        answering(answer(BOMB, headers={"content-encoding": "gzip"})),
        ClassifierUnavailable,
    ),
    "HTML": (answering(html()), ClassifierUnavailable),
    "empty": (answering(answer(b"")), ClassifierUnavailable),
    "a JSON list": (answering(answer([completion()])), ClassifierUnavailable),
    "an error in a 200": (answering(answer({"error": {"message": "x"}})), ClassifierUnavailable),
    "wrong model": (answering(answer(completion(model="gpt"))), ClassifierUnavailable),
    "no model": (answering(answer(completion(model=None))), ClassifierUnavailable),
    "empty choices": (answering(answer(completion(choices=[]))), ClassifierProtocolError),
    "two choices": (
        answering(answer(completion(choices=completion()["choices"] * 2))),
        ClassifierProtocolError,
    ),
    "no log-probabilities": (
        answering(answer(completion(choices=[{"message": {"content": "safe"}}]))),
        ClassifierProtocolError,
    ),
    "other tokens": (answering(tokens(("네", -0.1), ("아니오", -2.5))), ClassifierProtocolError),
    "labels with little mass": (
        answering(tokens(("네", -0.1), ("safe", -4.0), ("unsafe", -5.0))),
        ClassifierProtocolError,
    ),
    "no numbers": (answering(tokens(("safe", None), ("unsafe", None))), ClassifierProtocolError),
    "NaN": (
        answering(answer(json.dumps(completion()).replace("-0.1", "NaN").encode())),
        ClassifierError,
    ),
    "probabilities above one": (
        answering(tokens(("safe", 3.0), ("unsafe", -9.0))),
        ClassifierProtocolError,
    ),
    "a prompt that was cut": (
        answering(answer(completion(usage={"prompt_tokens": 12}))),
        ClassifierProtocolError,
    ),
}


def guarded(url: str, hook: ListHook, **settings: Any) -> Guard:
    """Return a guard whose classifier is that server."""
    defaults: dict[str, Any] = {"timeout": TIMEOUT, "max_retries": 1}
    classifier = Remote(url, MODEL, **{**defaults, **settings})
    return Guard(classifier, Policy(timeout=DEADLINE), hooks=[hook])


def check_fault(
    url: str, error: type[ClassifierError], mode: Mode, is_idle: Callable[[], bool]
) -> None:
    """Ask a failing server, and hold everything that must hold."""
    hook, sockets = ListHook(), open_sockets()
    guard = guarded(url, hook)
    started = time.monotonic()

    with guard:
        outcome = mode.check(guard, "안녕하세요")
    took = time.monotonic() - started

    assert took < DEADLINE + SLACK
    assert outcome.blocked
    assert outcome.verdict is None
    assert type(outcome.error) in (error, *error.__subclasses__())
    assert [record.status for record in hook.records] == [Status.ERROR_BLOCKED]
    assert eventually(is_idle)
    assert eventually(lambda: open_sockets() <= sockets)
    assert "guardrail-remote" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_is_safe(fault: str, mode: Mode) -> None:
    """The reply is blocked in time, the record says so, and nothing is left open."""
    behave, error = FAULTS[fault]
    with FakeServer(behave) as server:
        check_fault(server.url, error, mode, lambda: server.open == 0)
        assert server.requests or fault in ("reset at once",)


def test_nobody_listens(mode: Mode) -> None:
    """A refused connection is an error like any other."""
    with FakeServer(hang) as server:
        url = server.url
    check_fault(url, ClassifierUnavailable, mode, lambda: True)


def test_a_certificate_that_nobody_signed(mode: Mode) -> None:
    """A server that cannot prove who it is is told nothing."""
    trustme = pytest.importorskip("trustme")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with FakeServer(answering(answer(completion())), tls=context) as server:
        check_fault(server.url, ClassifierUnavailable, mode, lambda: server.open == 0)
        assert server.requests == []


def test_a_server_that_works(mode: Mode) -> None:
    """The faults' server, with none, gives a verdict: they fail for their own reasons."""
    hook = ListHook()
    with FakeServer(answering(answer(completion()))) as server:
        guard = guarded(server.url, hook)
        outcome = mode.check(guard, "안녕하세요")
        guard.close()

    assert [record.status for record in hook.records] == [Status.ALLOWED]
    assert outcome.verdict is not None
    assert outcome.verdict.score == pytest.approx(0.0522, abs=1e-4)


def test_a_fault_leaves_no_connection_behind(mode: Mode) -> None:
    """A call that was given up has closed its socket, though the classifier lives on."""
    with FakeServer(hang) as server:
        guard = guarded(server.url, ListHook(), max_retries=0)
        mode.check(guard, "안녕하세요")

        assert eventually(lambda: server.open == 0, 0.5)
        guard.close()


def test_the_policy_s_deadline_reaches_the_socket(mode: Mode) -> None:
    """A call ends with the policy's time, not with the classifier's own, down to its socket."""
    with FakeServer(hang) as server:
        classifier = Remote(server.url, MODEL, timeout=30.0)
        guard = Guard(classifier, Policy(timeout=0.2))
        started = time.monotonic()
        outcome = mode.check(guard, "안녕하세요")

        assert isinstance(outcome.error, ClassifierTimeout)
        assert time.monotonic() - started < 0.2 + SLACK
        assert eventually(lambda: server.open == 0, SLACK)
        guard.close()


def test_without_a_policy_s_deadline_the_time_is_bounded() -> None:
    """The classifier's own limits hold when nobody else sets any."""
    with FakeServer(hang) as server:
        classifier = Remote(server.url, MODEL, timeout=0.1, max_retries=2)
        started = time.monotonic()
        with pytest.raises(ClassifierTimeout):
            classifier.classify(exchange("hi", "안녕하세요"))

        assert time.monotonic() - started < 0.3 + SLACK
        classifier.close()
