"""What an upstream says in errors and headers, through both doors: the client and the gateway."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from guardrail import ClassifierError, Guard
from guardrail.integrations.openai_wire.headers import is_passed_on
from guardrail.testing import StubClassifier
from guardrail.types import Conversation, exchange

from ..conftest import Answering, Mode
from .gateways import MARKER, serving
from .openai_calls import MESSAGES, USER, done, run, says
from .openai_upstream import Said, Upstream
from .raw_upstream import Line, head, raw_upstream

BODY: dict[str, Any] = {"model": "m", "messages": MESSAGES, "input": USER}
SAID = {"type": "invalid_request_error", "param": None, "code": "rejected"}
UNSAFE = {"error": {"message": f"your text {MARKER} was rejected", **SAID}}
SAFE = {"error": {"message": "slow down, please", **SAID}}
WAIT = {"retry-after": "7", "x-request-id": "req_1"}
PLAIN = "did not pass the guard"


def down(_: object) -> Any:
    raise ClassifierError("down")


def error_of(mode: Mode, said: Said, guard: Guard, **options: Any) -> openai.APIStatusError:
    """Return the error that a guarded client raises."""

    async def ask(client: Any) -> Any:
        with pytest.raises(openai.APIStatusError) as caught:
            await done(client.chat.completions.create(model="m", messages=MESSAGES, **options))
        return caught.value

    with Upstream(lambda _: said) as upstream:
        error: openai.APIStatusError = run(mode, upstream, guard, ask)
        return error


@pytest.mark.parametrize("status", [400, 429, 500, 529])
@pytest.mark.parametrize("stream", [False, True])
def test_an_unsafe_error_keeps_all_but_its_words(mode: Mode, status: int, stream: bool) -> None:
    """Of the guarded client: status, type, code and the time to wait stay."""
    guard = Guard(StubClassifier(MARKER))

    error = error_of(mode, Said(UNSAFE, status, WAIT), guard, stream=stream)

    assert (error.status_code, error.type, error.code) == (status, SAID["type"], SAID["code"])
    assert (error.response.headers["retry-after"], error.request_id) == ("7", "req_1")
    assert PLAIN in error.message
    assert MARKER not in f"{error.message}{error.body}{error.response.text}"


@pytest.mark.parametrize("status", [400, 429, 503])
@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_the_gateway_keeps_all_but_the_words(status: int, path: str) -> None:
    """Of an unsafe error, whichever call it answers."""
    with serving(lambda _: Said(UNSAFE, status, WAIT)) as served:
        reply = httpx.post(f"{served.url}/{path}", json=BODY, timeout=10)
    error = reply.json()["error"]

    assert (reply.status_code, reply.headers["retry-after"]) == (status, "7")
    assert {name: error[name] for name in SAID} == SAID
    assert f"status {status}" in error["message"]
    assert MARKER not in reply.text


def test_a_classifier_that_fails_costs_an_error_its_words_alone(mode: Mode) -> None:
    """A rate limit stays one, for whoever would wait and ask again."""
    guard = Guard(Answering(down))

    error = error_of(mode, Said(SAFE, 429, WAIT), guard)
    with serving(lambda _: Said(SAFE, 429, WAIT), guard) as served:
        reply = httpx.post(f"{served.url}/chat/completions", json=BODY, timeout=10)

    assert isinstance(error, openai.RateLimitError)
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    for message in (error.message, reply.json()["error"]["message"]):
        assert PLAIN in message
        assert "slow down" not in message


def test_an_error_is_judged_once_as_a_reply_to_nothing(mode: Mode) -> None:
    """For what it says alone: whatever the question was, it asks nobody to slow down."""
    seen: list[Conversation] = []

    def judged(conversations: Any) -> Any:
        seen.extend(conversations)
        return StubClassifier(MARKER).classify_many(conversations)

    error = error_of(mode, Said(SAFE, 400), Guard(Answering(judged)))

    assert error.body == SAFE["error"]
    assert [[turn.content for turn in one] for one in seen] == [["", "slow down, please"]]


@pytest.mark.parametrize("status", [200, 429])
def test_an_error_is_not_blamed_for_the_question(mode: Mode, status: int) -> None:
    """A classifier that looks at the exchange finds nothing unsafe in it, at either door."""

    def judged(conversations: Any) -> Any:
        asked = ["\n".join(turn.content for turn in one) for one in conversations]
        return StubClassifier(USER).classify_many([exchange("", text) for text in asked])

    guard = Guard(Answering(judged))
    with serving(lambda _: Said(SAFE, status), guard) as served:
        reply = httpx.post(f"{served.url}/chat/completions", json=BODY, timeout=10)

    assert reply.json() == SAFE
    if status == 429:
        assert error_of(mode, Said(SAFE, status), guard).body == SAFE["error"]


@pytest.mark.parametrize(
    "body", [{"error": {"code": "x"}}, {"detail": [{"msg": MARKER}]}, b"<html>"]
)
def test_an_error_without_words_costs_nothing(mode: Mode, body: Any) -> None:
    """There is nothing to judge, and nothing else of it passes."""
    classifier = StubClassifier(MARKER)

    error = error_of(mode, Said(body, 400), Guard(classifier))

    assert classifier.seen == []
    assert MARKER not in error.response.text


HEADERS = {
    "x-reasoning": f"{MARKER} reply",
    "x-said": "bad words in ASCII",
    "openai-processing-ms": "12",
    "openai-said": "bad words",
    "x-ratelimit-reset-requests": "1s",
    "x-request-id": "req_1",
    "server-timing": "total;dur=12.5, db;dur=3",
    "set-cookie": "a=b; Path=/; HttpOnly",
    "cache-control": "no-store, max-age=0",
    "cf-ray": "8f-ICN",
}
PASSED = {name for name in HEADERS if "said" not in name and name != "x-reasoning"}


def says_in_headers(line: Line) -> None:
    line.body()
    lines = (f"{name}: {value}" for name, value in HEADERS.items())
    raw = json.dumps({"choices": [], "id": "x"}).encode()
    line.say(head("application/json", *lines, status=f"200 {MARKER} reply") + raw)


def test_no_header_says_what_the_reply_may_not(mode: Mode) -> None:
    """Known ones pass, and of the others names and numbers; the status' own words are standard."""

    async def ask(client: Any) -> Any:
        raw = client.chat.completions.with_raw_response
        return (await done(raw.create(model="m", messages=MESSAGES))).http_response

    guard = Guard(StubClassifier(MARKER))
    with raw_upstream(says_in_headers) as url:
        with Upstream(says("")) as unused:
            seen = run(mode, unused, guard, ask, base_url=url)
        with serving(says(""), url=url) as served:
            reply = httpx.post(f"{served.url}/chat/completions", json=BODY, timeout=10)

    for one in (seen, reply):
        assert {name for name in HEADERS if name in one.headers} == PASSED
        assert (one.status_code, one.reason_phrase) == (200, "OK")


@pytest.mark.parametrize(
    ("name", "value", "passes"),
    [
        ("Date", "Tue, 24 Nov 2026 00:00:00 GMT", True),
        ("Retry-After", "Tue, 24 Nov 2026 00:00:00 GMT", True),
        ("X-RateLimit-Reset", "1 s", True),
        ("access-control-expose-headers", "a, b", True),
        ("date", "죽어", False),
        ("set-cookie", "a" * 5000, False),
        ("x-any", "a" * 201, False),
        ("x-any", "a\tb", False),
    ],
)
def test_which_headers_pass(name: str, value: str, passes: bool) -> None:
    """Whatever the case of their names; what is known is ASCII, too, and not too long."""
    assert is_passed_on(name, value) is passes
