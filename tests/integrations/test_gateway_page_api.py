"""What the page asks the gateway: talk, originals, figures, records, reviews, thresholds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from guardrail import Category, ClassifierError, Guard, Policy
from guardrail.audit import Status
from guardrail.evaluation.data import Dataset
from guardrail.integrations.gateway import GatewayConfig
from guardrail.integrations.gateway.page import page
from guardrail.integrations.gateway.page.bot import LINES
from guardrail.integrations.gateway.page.originals import Originals
from guardrail.testing import StubClassifier
from guardrail.types import Language, Stage

from .gateways import MARKER
from .openai_calls import says
from .openai_upstream import Asked, Said, chat, chat_stream
from .pages import SAFE, UNSAFE, Paged, paging, record, talk

RECORDS = [
    record(Status.ALLOWED, 1, id="a1"),
    record(Status.ALLOWED, 2, id="a2", stage=Stage.INPUT, reply=None),
    record(Status.BLOCKED, 3, id="b1"),
    record(Status.BLOCKED, 4, id="b2", category=Category.O1, categories={Category.O1: 0.8}),
    record(Status.FLAGGED, 5, id="f1"),
    record(Status.ERROR_BLOCKED, 6, id="e1"),
    record(Status.ERROR_ALLOWED, 7, id="e2"),
    record(Status.BLOCKED, 60 * 30, id="old"),
]


@pytest.fixture(scope="module")
def paged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paged]:
    """Records of all kinds, and an upstream that says what it should not."""
    with paging(tmp_path_factory.mktemp("page"), RECORDS, reply=says(UNSAFE)) as paged:
        yield paged


def told(paged: Paged, path: str) -> Any:
    answer = paged.ask("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json()


# The playground


def test_a_safe_reply_comes_as_it_is(tmp_path: Path) -> None:
    """With the verdict beside it, and nothing held back from who asks."""
    with paging(tmp_path, reply=says(SAFE)) as paged:
        *texts, end = talk(paged)

    assert "".join(one["text"] for one in texts) == SAFE
    assert (end["action"], end["score"], end["original"]) == ("allow", 0.01, None)
    assert end["checks"]
    assert end["total"] >= end["first"] >= 0


def test_an_unsafe_reply_is_replaced_and_can_be_looked_at_on_request(paged: Paged) -> None:
    """What would have been shown is in none of the events; it is fetched by its name."""
    events = talk(paged)
    end = events[-1]

    assert MARKER not in json.dumps(events, ensure_ascii=False)
    assert (end["action"], end["category"], end["score"]) == ("replace", "O5", 0.99)
    assert told(paged, f"originals/{end['original']}") == {"text": UNSAFE}


def test_the_upstream_is_asked_as_any_client_asks_it(paged: Paged) -> None:
    """With the name of the model, the talk so far, and a key given on the page."""
    more = {"model": "m-1", "key": "sk-page"}
    talk(paged, "하나 더", **more)
    asked = paged.served.upstream.asked[-1]

    assert asked.body["messages"] == [{"role": "user", "content": "하나 더"}]
    assert (asked.body["model"], asked.headers["authorization"]) == ("m-1", "Bearer sk-page")


def test_the_bot_says_its_script_or_what_one_writes(paged: Paged) -> None:
    """Either way through the guard, and without the upstream."""
    before = len(paged.served.upstream.asked)
    said, line = LINES[Language.KO][0]
    *scripted, _ = talk(paged, said, source="bot")
    *_, end = talk(paged, said, source="bot", reply=UNSAFE)

    assert "".join(one["text"] for one in scripted) == line
    assert end["action"] == "replace"
    assert len(paged.served.upstream.asked) == before


def test_what_is_talked_is_recorded_as_any_reply(paged: Paged) -> None:
    """Under the record's name, with the policy's way of keeping text; the page keeps nothing."""
    end = talk(paged)[-1]
    paged.store.flush()
    kept = told(paged, f"records/{end['record']}")

    assert (kept["status"], kept["user"], kept["reply"]) == ("blocked", "안녕", UNSAFE)


def test_where_no_text_is_kept_the_original_is_in_no_record(tmp_path: Path) -> None:
    """Not in the database's file, either."""
    with paging(tmp_path, reply=says(UNSAFE), text="none") as paged:
        end = talk(paged)[-1]
        paged.store.flush()
        assert told(paged, f"originals/{end['original']}")["text"] == UNSAFE

    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert not any(MARKER.encode() in body for body in files)


def test_a_reply_that_comes_whole_is_guarded_too(tmp_path: Path) -> None:
    """Some servers do not stream, whatever they are asked."""
    with paging(tmp_path, reply=lambda _: Said(chat(UNSAFE))) as paged:
        events = talk(paged)

    assert events[-1]["action"] == "replace"
    assert MARKER not in json.dumps(events, ensure_ascii=False)


@pytest.mark.parametrize(
    "said",
    [
        Said({"error": {"message": "slow down"}, "failed_generation": MARKER}, 429),
        Said(MARKER, 500),
        Said(MARKER, 200),
        Said([b'data: {"error": {"message": "slow down"}}\n\n']),
        Said({"choices": MARKER}),
    ],
)
def test_an_upstream_that_fails_is_said_to(tmp_path: Path, said: Said) -> None:
    """In one event, without what was not judged."""
    with paging(tmp_path, reply=lambda _: said) as paged:
        events = talk(paged)

    assert events[-1]["type"] in ("error", "end")
    assert MARKER not in json.dumps(events, ensure_ascii=False)


def test_without_an_upstream_the_bot_is_left(tmp_path: Path) -> None:
    """The gateway then only judges, and says so wherever it is asked for more."""
    with paging(tmp_path, url="") as paged:
        (event,) = talk(paged)
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        api = paged.served.client()._client.post(f"{paged.root}/v1/chat/completions", json=body)
        ready = paged.served.client()._client.get(f"{paged.root}/readyz")
        assert talk(paged, source="bot")[-1]["action"] == "allow"
        assert told(paged, "models") == {"models": []}
        assert told(paged, "state")["upstream"] is None

    assert event["code"] == "no_upstream"
    assert (api.status_code, api.json()["error"]["code"]) == (503, "no_upstream")
    assert (ready.status_code, ready.json()["upstream"]) == (200, "ok")


def test_a_classifier_that_fails_is_shown(tmp_path: Path) -> None:
    """The reply is replaced, and there is no verdict to show."""
    broken = StubClassifier(MARKER, error=ClassifierError("no"))
    with paging(tmp_path, reply=says(SAFE), classifier=broken) as paged:
        end = talk(paged)[-1]

    assert (end["action"], end["score"], end["error"]) == ("replace", None, "ClassifierError")


def test_whoever_leaves_leaves_the_upstream_too(tmp_path: Path) -> None:
    """Nobody pays for a reply that nobody reads."""

    def reply(_: Asked) -> Said:
        return Said(chat_stream(SAFE * 2000), pause=0.002)

    body = {"source": "upstream", "messages": [{"role": "user", "content": "hi"}]}
    with paging(tmp_path, reply=reply) as paged:
        client = paged.served.client()._client
        with client.stream("POST", f"{paged.root}/page/api/talk", json=body) as answer:
            next(answer.iter_lines())
        assert paged.served.upstream.cut.wait(10)


def test_originals_are_few_and_go_by_themselves() -> None:
    """After ten minutes, or when there are more than 64."""
    now = [0.0]
    held = Originals(clock=lambda: now[0])
    names = [held.put(f"text {number}") for number in range(65)]

    assert held.get(names[0]) is None
    assert held.get(names[1]) == "text 1"
    now[0] = 601.0
    assert [held.get(name) for name in names] == [None] * 65


def test_an_unknown_original_is_no_error_of_the_gateway(paged: Paged) -> None:
    """It may have been there."""
    assert paged.ask("GET", "originals/nothing").json()["error"]["code"] == "no_original"


def test_models_are_those_of_the_upstream(tmp_path: Path) -> None:
    """By name; an upstream that does not tell has none."""
    with paging(tmp_path, reply=lambda _: Said({"data": [{"id": "b"}, {"id": "a"}]})) as paged:
        assert told(paged, "models") == {"models": ["a", "b"]}
    with paging(tmp_path, reply=lambda _: Said({"data": 7})) as paged:
        assert told(paged, "models") == {"models": []}


def test_the_state_holds_no_key(tmp_path: Path) -> None:
    """Nor a password in the upstream's address."""
    url = "http://user:secret-word@127.0.0.1:1/v1"
    with paging(tmp_path, url=url, upstream_key="secret-key-of-upstream") as paged:
        state = paged.ask("GET", "state")

    assert (state.json()["upstream"], state.json()["needs_key"]) == ("127.0.0.1:1", False)
    assert "secret" not in state.text


# Activity


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", {"a1", "a2", "b1", "b2", "f1", "e1", "e2"}),
        ("span=week", {"a1", "a2", "b1", "b2", "f1", "e1", "e2", "old"}),
        ("status=blocked", {"b1", "b2"}),
        ("status=error_blocked&status=error_allowed", {"e1", "e2"}),
        ("category=O1", {"b2"}),
        ("stage=input", {"a2"}),
        ("status=blocked&category=O5", {"b1"}),
        ("text=" + MARKER, {"b1", "b2", "f1"}),
        ("review=right", set()),
    ],
)
def test_records_are_filtered(paged: Paged, query: str, ids: set[str]) -> None:
    """By all that is said."""
    found = told(paged, f"records?limit=200&{query}")["records"]

    assert {one["id"] for one in found} & {one.id for one in RECORDS} == ids


def test_records_come_a_page_at_a_time(paged: Paged) -> None:
    """The newest first, none left out or twice."""
    names, after = [], ""
    while after is not None:
        page_of = told(paged, f"records?span=week&limit=3{after and f'&after={after}'}")
        names += [one["id"] for one in page_of["records"]]
        after = page_of["next"]
    known = [name for name in names if name in {one.id for one in RECORDS}]

    assert known == [one.id for one in RECORDS]


def test_figures_count_what_is_listed(paged: Paged) -> None:
    """Over time, by category, and how fast."""
    found = told(paged, "figures?status=blocked&status=flagged&offset=540")
    listed = told(paged, "records?status=blocked&status=flagged&limit=200")["records"]

    assert sum(found["totals"].values()) == len(listed)
    assert sum(sum(one["counts"].values()) for one in found["buckets"]) == len(listed)
    assert sum(sum(one["counts"].values()) for one in found["categories"]) == len(listed)
    assert found["latency"]["output"]["count"] == len(listed)
    assert found["kept"]["dropped"] == 0


@pytest.mark.parametrize(("span", "bars"), [("hour", 30), ("day", 24), ("week", 28), ("month", 30)])
def test_a_chart_has_all_its_bars(paged: Paged, span: str, bars: int) -> None:
    """The empty ones too, to the present."""
    found = told(paged, f"figures?span={span}&offset=540")

    assert len(found["buckets"]) == bars


def test_a_database_that_is_gone_is_said_to_be(tmp_path: Path, caplog: Any) -> None:
    """As an error one can try again after, and without its words in the answer."""
    with caplog.at_level(logging.CRITICAL), paging(tmp_path, RECORDS) as paged:
        paged.store._engine.dispose()
        for path in tmp_path.iterdir():
            path.unlink()
        (tmp_path / "records.db").mkdir()
        answer = paged.ask("GET", "records")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "records_unavailable")


def test_without_records_their_paths_are_not_there() -> None:
    """And the playground goes on."""
    guard = Guard(StubClassifier(MARKER))
    app = FastAPI()
    app.include_router(page(GatewayConfig(), guard, lambda: None, None))  # type: ignore[arg-type, return-value] # no upstream is asked
    with TestClient(app, "http://localhost", client=("127.0.0.1", 1)) as client:
        state = client.get("/page/api/state").json()
        tried = client.post("/page/api/threshold", json={"threshold": 0.5}).json()

        assert client.get("/page/api/records").status_code == 404
    assert (state["records"], tried["recent"]) == (False, None)


# Review


def test_reviews_are_kept_and_taken_back(paged: Paged) -> None:
    """What cannot be said of a decision is refused."""

    def review(name: str, said: str | None) -> Any:
        return paged.ask("PUT", f"records/{name}/review", json={"review": said})

    assert review("b1", "false_alarm").json()["review"] == "false_alarm"
    assert review("b1", None).json()["review"] is None
    assert review("b1", "missed").status_code == 400
    assert review("a1", "false_alarm").status_code == 400
    assert review("nothing", "right").status_code == 404
    assert review("b1", "perhaps").status_code == 400


def test_the_export_is_what_an_evaluation_reads(tmp_path: Path) -> None:
    """Each reviewed reply is a row, labelled by what the person said."""
    with paging(tmp_path, RECORDS) as paged:
        for name, said in (("b1", "right"), ("b2", "false_alarm"), ("a1", "missed")):
            paged.ask("PUT", f"records/{name}/review", json={"review": said})
        answer = paged.ask("GET", "export?span=month")
        agreement = told(paged, "figures?span=month")["agreement"]
    file = tmp_path / "reviews.jsonl"
    file.write_bytes(answer.content)
    rows = list(Dataset.open(file).rows())

    assert "attachment" in answer.headers["content-disposition"]
    assert sorted((row.text, row.unsafe) for row in rows) == sorted(
        [(UNSAFE, True), (UNSAFE, False), (SAFE, True)]
    )
    assert agreement == {"right": 1, "false_alarm": 1, "missed": 1, "total": 3, "share": 1 / 3}


# Thresholds


@settings(max_examples=50)
@given(
    threshold=st.floats(0, 1),
    scores=st.lists(st.floats(0, 1), max_size=5),
)
def test_another_threshold_decides_as_the_policy_would(
    paged: Paged, threshold: float, scores: list[float]
) -> None:
    """Neither more nor less."""
    judged = [{"score": score} for score in scores]
    answer = paged.ask("POST", "threshold", json={"threshold": threshold, "judged": judged})

    assert answer.json()["unsafe"] == [score >= threshold for score in scores]


def test_another_threshold_is_held_against_recent_records(tmp_path: Path) -> None:
    """What would be caught or freed is counted, with examples; errors have no score to hold it to."""
    with paging(tmp_path, RECORDS) as paged:

        def changes(threshold: float) -> Any:
            body = {"threshold": threshold}
            return paged.ask("POST", "threshold", json=body).json()["recent"]

        low, same, high = changes(0.05), changes(0.5), changes(0.95)

    assert (low["looked_at"], low["unsafe"]) == (5, 4)
    assert [one["id"] for one in low["caught"]["examples"]] == ["a1"]
    assert (same["caught"]["count"], same["freed"]["count"]) == (0, 0)
    assert (high["freed"]["count"], high["caught"]["count"]) == (4, 0)


def test_categories_keep_thresholds_of_their_own() -> None:
    """The overall one does not go before them."""
    policy = Policy.model_validate({"categories": {"O5": {"threshold": 0.95}}})
    body = {"threshold": 0.5, "judged": [{"score": 0.9, "categories": {"O5": 0.9}}]}
    app = FastAPI()
    guard = Guard(StubClassifier(MARKER), policy)
    app.include_router(page(GatewayConfig(), guard, lambda: None, None))  # type: ignore[arg-type, return-value] # no upstream is asked
    with TestClient(app, "http://localhost", client=("127.0.0.1", 1)) as client:
        answer = client.post("/page/api/threshold", json=body)

    assert answer.json()["unsafe"] == [False]


# Anything


WORDS = st.text(max_size=12) | st.sampled_from(
    ["day", "blocked", "O1", "right", "input", "true", "1", "-1", "99999999999999999999", "nan"]
)
NAMES = st.sampled_from(
    [
        *("span", "status", "category", "review", "stage", "reviewed", "text", "offset"),
        *("limit", "after", "x"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(["figures", "records", "export"]),
    query=st.lists(st.tuples(NAMES, WORDS), max_size=4),
)
def test_no_query_makes_the_page_fail(
    paged: Paged, path: str, query: list[tuple[str, str]]
) -> None:
    """Right or wrong, it is answered or refused, never failed on."""
    pairs = [(name, value.encode("utf-8", "replace").decode()) for name, value in query]

    assert paged.ask("GET", path, params=pairs).status_code in (200, 400)


def test_no_input_makes_the_page_fail(paged: Paged) -> None:
    """Requests made of the API's own description, right and wrong: none gets a 500."""
    schemathesis = pytest.importorskip("schemathesis")
    app = FastAPI()
    app.include_router(
        page(GatewayConfig(), Guard(StubClassifier()), lambda: None, paged.store)  # type: ignore[arg-type, return-value] # only its description is used
    )
    schema = schemathesis.openapi.from_dict(app.openapi())
    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy()

        @settings(max_examples=10, deadline=None)
        @given(case=strategy)
        def each(case: Any) -> None:
            assert case.call(base_url=paged.root).status_code < 500

        each()
