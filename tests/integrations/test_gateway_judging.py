"""The gateway's own verdicts: moderations, checks, the `moderation` field, and its description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.moderation import Categories, CategoryScores

from guardrail import Category, Guard, Policy
from guardrail.errors import ClassifierError
from guardrail.testing import StubClassifier
from guardrail.types import Conversation

from ..conftest import Answering
from .gateways import MARKER, Served, serving
from .openai_calls import MESSAGES, USER, says

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
UNSAFE = f"안녕하세요, 고객님. 그럼 {MARKER}부터 알려 드릴게요. 이어서 말씀드릴게요."
SCORED = {"model": "any"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    guard = Guard(StubClassifier(MARKER, category=Category.O6))
    with serving(says(UNSAFE), guard) as served:
        yield served


def post(served: Served, path: str, body: Any) -> Any:
    return httpx.post(f"{served.url}/{path}", json=body, timeout=10)


def test_moderations_have_the_shape_of_openais(served: Served) -> None:
    """All categories are there, scores are low when safe, and the order is kept."""
    with served.client() as client:
        created = client.moderations.create(input=[SAFE, UNSAFE, SAFE])
    safe, unsafe, _ = created.results

    assert [one.flagged for one in created.results] == [False, True, False]
    for field in (*Categories.model_fields, *CategoryScores.model_fields):
        assert getattr(unsafe.categories, field) is not None
        assert getattr(unsafe.category_scores, field) is not None
        assert getattr(unsafe.category_applied_input_types, field) == ["text"]
    assert max(safe.category_scores.to_dict().values()) < 0.05
    assert not any(safe.categories.to_dict().values())
    assert created.id.startswith("modr-")
    assert created.model == "stub"


def test_our_categories_are_mapped_on_openais(served: Served) -> None:
    """And stand beside them."""
    with served.client() as client:
        (result,) = client.moderations.create(input=UNSAFE).results
    flagged = {name for name, value in result.categories.to_dict().items() if value}

    assert flagged == {"self-harm", "self-harm/intent", "self-harm/instructions", "O6"}


def test_every_category_has_its_own() -> None:
    """None of ours is without one of theirs."""
    from guardrail.integrations.gateway.moderations import CATEGORIES

    theirs = {name: ours for name, ours in CATEGORIES.items() if name not in list(Category)}
    assert {one for ours in theirs.values() for one in ours} == set(Category)


def test_an_unknown_category_is_flagged_all_the_same() -> None:
    """The score is the overall one, which no category's can exceed; none is named."""
    with serving(says(SAFE)) as served, served.client() as client:
        (result,) = client.moderations.create(input=UNSAFE).results

    assert result.flagged
    assert not any(result.categories.to_dict().values())
    assert set(result.category_scores.to_dict().values()) == {0.99}


def test_parts_of_text_make_up_one_input(served: Served) -> None:
    """As with OpenAI; a picture cannot be judged, and that is said."""
    parts = [{"type": "text", "text": SAFE}, {"type": "text", "text": MARKER}]
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    with served.client() as client:
        assert [one.flagged for one in client.moderations.create(input=parts).results] == [True]
        with pytest.raises(openai.BadRequestError, match="image_url"):
            client.moderations.create(input=[*parts, picture])


@pytest.mark.parametrize(
    "body", [{}, {"input": []}, {"input": None}, {"input": [1]}, {"input": [[]]}]
)
def test_no_input_is_a_bad_request(served: Served, body: Any) -> None:
    reply = post(served, "moderations", body)

    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_a_verdict_is_never_made_up() -> None:
    """Where the classifier fails, there is an error, even if the policy lets errors through."""
    guard = Guard(StubClassifier(error=ClassifierError("down")), Policy(on_error="open"))
    with serving(says(SAFE), guard) as served:
        reply = post(served, "moderations", {"input": SAFE})

    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "classifier_unavailable")


def test_one_turn_is_checked(served: Served) -> None:
    """Verdict and outcome come back; nothing goes upstream."""
    before = len(served.upstream.asked)
    blocked = post(served, "guard/check", {"user": USER, "assistant": UNSAFE}).json()
    asked = post(served, "guard/check", {"user": USER}).json()

    assert (blocked["action"], blocked["category"], blocked["score"]) == ("replace", "O6", 0.99)
    assert MARKER not in json.dumps(blocked, ensure_ascii=False)
    assert (asked["action"], asked["stage"], asked["text"]) == ("allow", "input", USER)
    assert len(served.upstream.asked) == before


def test_many_turns_are_checked_in_order(served: Served) -> None:
    history = [{"role": "user", "content": "앞서"}, {"role": "assistant", "content": "네"}]
    checks = [
        {"user": USER, "assistant": text, "history": history} for text in (SAFE, UNSAFE, SAFE)
    ]
    outcomes = post(served, "guard/check", {"checks": checks}).json()["outcomes"]

    assert [one["action"] for one in outcomes] == ["allow", "replace", "allow"]


PLAIN_CURL = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("kind", [PLAIN_CURL, {"content-type": "text/plain"}, {}])
def test_a_body_is_json_whatever_it_is_called(served: Served, kind: dict[str, str]) -> None:
    """As plain `curl -d` sends it, and as the forwarded calls are taken."""
    bodies = {
        "guard/check": {"user": USER, "assistant": SAFE},
        "moderations": {"input": SAFE},
        "chat/completions": {"model": "m", "messages": MESSAGES},
    }
    for path, body in bodies.items():
        content = json.dumps(body).encode()
        assert httpx.post(f"{served.url}/{path}", content=content, headers=kind).status_code == 200


@pytest.mark.parametrize("body", [b"user=a&assistant=b", b"[]", b'"a"', b"", b'{"a":1,"a":2}'])
def test_what_is_no_json_object_is_said_to_be_none(served: Served, body: bytes) -> None:
    """In the same words on every path."""
    for path in ("guard/check", "moderations", "chat/completions"):
        reply = httpx.post(f"{served.url}/{path}", content=body, headers=PLAIN_CURL)

        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_json")


WRONG_FIELDS: list[tuple[str, Any, str]] = [
    ("guard/check", {"checks": []}, "checks"),
    ("guard/check", {"checks": 1}, "checks"),
    ("guard/check", {"checks": [{"user": "a"}, {"assistant": 1}]}, "checks.1.assistant"),
    ("guard/check", {"checks": [1]}, "checks.0"),
    ("guard/check", {"checks": [{}], "user": "a"}, "user"),
    ("guard/check", {"assistent": "a"}, "assistent"),
    ("guard/check", {"history": [{"role": "user"}]}, "history.0.content"),
    ("moderations", {}, "input"),
    ("moderations", {"input": None}, "input"),
    ("moderations", {"input": []}, "input"),
    ("moderations", {"input": ["a", 1]}, "input.1"),
    ("moderations", {"input": [{"text": "a"}]}, "input.0.type"),
]


@pytest.mark.parametrize(("path", "body", "field"), WRONG_FIELDS)
def test_what_is_wrong_is_named_as_it_is_written(
    served: Served, path: str, body: Any, field: str
) -> None:
    """No name of ours stands in an error, and no words of a library about its own insides."""
    reply = post(served, path, body)
    error = reply.json()["error"]

    assert (reply.status_code, error["param"]) == (400, field)
    assert error["message"].startswith(f"{field}: ")
    assert "extract" not in error["message"]


def test_half_a_surrogate_pair_is_no_server_error(served: Served) -> None:
    """Text that no UTF-8 can hold is judged or refused, and never a crash."""
    raw = b'{"user": "\\ud800", "assistant": "\\udc00 a", "input": "\\ud800"}'
    headers = {"content-type": "application/json"}
    for path in ("guard/check", "moderations"):
        reply = httpx.post(f"{served.url}/{path}", content=raw, headers=headers)
        assert reply.status_code in (200, 400)
        reply.json()


def test_the_moderation_field_is_answered_in_its_own_shape(served: Served) -> None:
    """Of a chat: the results of both sides, one for each choice; the upstream sees nothing of it."""
    with served.client() as client:
        reply = client.chat.completions.create(model="m", messages=MESSAGES, moderation=SCORED)

    assert (reply.moderation.input.type, reply.moderation.output.type) == (
        "moderation_results",
    ) * 2
    assert not reply.moderation.input.results[0].flagged
    assert reply.moderation.output.results[0].flagged
    assert reply.moderation.output.results[0].categories["self-harm"]
    assert reply.moderation.output.model == "stub"
    assert "moderation" not in served.upstream.asked[-1].body


def test_the_moderation_field_of_a_response(served: Served) -> None:
    with served.client() as client:
        reply = client.responses.create(model="m", input=USER, moderation=SCORED)

    assert (reply.moderation.input.flagged, reply.moderation.output.flagged) == (False, True)
    assert reply.moderation.output.type == "moderation_result"


@pytest.mark.parametrize("text", [SAFE, UNSAFE])
def test_the_moderation_field_of_streams(text: str) -> None:
    """In a chunk of its own before the end, or in the response at the end."""
    unsafe = text == UNSAFE
    with serving(says(text)) as served, served.client() as client:
        create = client.chat.completions.create
        chunks = list(create(model="m", messages=MESSAGES, stream=True, moderation=SCORED))
        events = list(
            client.responses.create(model="m", input=USER, stream=True, moderation=SCORED)
        )
        plain = list(create(model="m", messages=MESSAGES, stream=True))

    (found,) = [chunk.moderation for chunk in chunks if chunk.moderation]
    assert [one.flagged for one in found.output.results] == [unsafe]
    assert events[-1].response.moderation.output.flagged is unsafe
    assert not any(chunk.moderation for chunk in plain)
    assert {chunk.id for chunk in chunks} == {"chatcmpl-1"}
    assert MARKER not in str(chunks) + str(events)


def test_block_makes_a_lax_policy_strict() -> None:
    """A policy that only watches is enforced for this request, on the side that is named."""
    guard = Guard(StubClassifier(MARKER), Policy(mode="monitor"))
    with serving(says(UNSAFE), guard) as served, served.client() as client:
        create = client.chat.completions.create

        def finish(**policy: Any) -> str | None:
            moderation = {"model": "any", "policy": policy}
            reply = create(model="m", messages=MESSAGES, moderation=moderation)
            return reply.choices[0].finish_reason

        assert finish() == "stop"
        assert finish(output={"mode": "score"}) == "stop"
        assert finish(output={"mode": "block"}) == "content_filter"
        assert create(model="m", messages=MESSAGES).choices[0].finish_reason == "stop"


def test_score_makes_no_policy_lax(served: Served) -> None:
    """A client cannot talk the guard out of its verdict."""
    sides = {"input": {"mode": "score"}, "output": {"mode": "score"}}
    with served.client() as client:
        moderation = {"model": "any", "policy": sides}
        reply = client.chat.completions.create(model="m", messages=MESSAGES, moderation=moderation)

    assert reply.choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize("stream", [False, True])
def test_block_on_the_input_keeps_the_question_here(stream: bool) -> None:
    """The reply is a refusal, with the verdict on what was said."""
    sides = {"input": {"mode": "block"}, "output": None}
    with serving(says(SAFE)) as served, served.client() as client:
        said = [{"role": "user", "content": UNSAFE}]
        moderation = {"model": "any", "policy": sides}
        create = client.chat.completions.create
        reply: Any = create(model="m", messages=said, stream=stream, moderation=moderation)
        found = [one.moderation for one in (reply if stream else [reply]) if one.moderation]

        assert served.upstream.asked == []
    assert [one.input.results[0].flagged for one in found] == [True]
    assert (found[0].output.type, found[0].output.code) == ("error", "not_judged")


@pytest.mark.parametrize("field", ["yes", {"policy": {"input": {"mode": "maybe"}}}, [1]])
def test_a_wrong_moderation_field_is_a_bad_request(served: Served, field: Any) -> None:
    body = {"model": "m", "messages": MESSAGES, "moderation": field}
    reply = post(served, "chat/completions", body)

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "moderation")


def test_the_description_has_every_endpoint(served: Served) -> None:
    """Other languages make their clients of it."""
    paths = httpx.get(f"{served.root}/openapi.json").json()["paths"]

    assert set(paths) == {
        *("/v1/chat/completions", "/v1/responses", "/v1/moderations", "/v1/guard/check"),
        *("/healthz", "/readyz", "/metrics"),
    }


def test_no_input_makes_the_gateway_fail(served: Served) -> None:
    """Requests made of our own description, right and wrong: none gets a 500."""
    schemathesis = pytest.importorskip("schemathesis")
    schema = schemathesis.openapi.from_url(f"{served.root}/openapi.json")
    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy()

        @settings(max_examples=25, deadline=None)
        @given(case=strategy)
        def each(case: Any) -> None:
            assert case.call(base_url=served.root).status_code < 500

        each()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    *("messages", "input", "n", "stream", "moderation", "response_format", "text", "model"),
    *("modalities", "instructions", "audio"),
)


@settings(max_examples=60, deadline=None)
@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_no_call_makes_the_gateway_fail(served: Served, body: Mapping[str, Any]) -> None:
    """Whatever stands in the fields that are read here."""
    raw = json.dumps(body).encode()
    for path in ("chat/completions", "responses"):
        reply = httpx.post(f"{served.url}/{path}", content=raw)
        assert reply.status_code != 500
        assert MARKER not in reply.text


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": [], "content": {}}], "input": [{"role": {}, "content": []}]},
        {"modalities": 5, "input": [{"role": {}}]},
        {"messages": {"role": "user"}, "input": {"role": "user"}, "text": {"format": 1}, "n": 1e9},
    ],
)
def test_fields_of_wrong_types_make_no_failure(served: Served, body: Any) -> None:
    """They are refused, or left to the upstream to refuse."""
    for path in ("chat/completions", "responses"):
        assert post(served, path, body).status_code in (200, 400, 501)


def test_answers_outside_the_protocol_are_errors() -> None:
    """A classifier that answers nonsense is one that failed."""

    def nonsense(conversations: Sequence[Conversation]) -> list[Any]:
        return ["safe"] * len(conversations)

    with serving(says(SAFE), Guard(Answering(nonsense))) as served:
        reply = post(served, "moderations", {"input": SAFE})

    assert reply.status_code == 503
