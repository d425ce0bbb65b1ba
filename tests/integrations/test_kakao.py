"""A guarded KakaoTalk skill, and the platform that calls it over real sockets."""

from __future__ import annotations

import asyncio
import copy
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from guardrail import Action, ClassifierError, ConfigError, Guard, Policy
from guardrail.audit import Status
from guardrail.integrations.kakao import Skill, SkillRequest, create_skill
from guardrail.integrations.kakao.callback import Callbacks
from guardrail.testing import ListHook, StubClassifier

UNSAFE = "위험한말"
SORRY, WAITING = "나중에 다시요.", "기다려 주세요."
LOCAL = ("127.0.0.1",)
CARD = {
    "title": "제목",
    "description": "설명",
    "thumbnail": {"imageUrl": "https://example.com/a.jpg"},
    "buttons": [
        {"action": "webLink", "label": "보기", "webLinkUrl": "https://example.com"},
        {"action": "message", "label": "문의", "messageText": "문의할게요"},
    ],
}
RICH: dict[str, Any] = {
    "version": "2.0",
    "template": {
        "outputs": [
            {"simpleText": {"text": "안녕하세요"}},
            {"basicCard": CARD},
            {
                "carousel": {
                    "type": "itemCard",
                    "header": {"title": "머리", "description": "글"},
                    "items": [
                        {
                            "imageTitle": {"title": "그림", "description": "말"},
                            "itemList": [{"title": "상태", "description": "배송 중"}],
                            "itemListSummary": {"title": "합계", "description": "3,000원"},
                            "title": "주문",
                            "description": "내용",
                            "buttons": [
                                {
                                    "action": "block",
                                    "label": "더",
                                    "blockId": "b1",
                                    "extra": {"key": "값"},
                                }
                            ],
                        }
                    ],
                }
            },
        ],
        "quickReplies": [
            {"action": "message", "label": "배송", "messageText": "배송 조회"},
            {"action": "block", "label": "처음", "blockId": "home"},
        ],
    },
    "context": {"values": [{"name": "order", "lifeSpan": 3, "params": {"item": "운동화"}}]},
    "data": {"note": "글", "type": "보임", "list": ["하나"]},
}


def payload(utterance: str = "안녕", **user_request: Any) -> dict[str, Any]:
    """Return what the platform sends."""
    return {
        "intent": {"id": "block", "name": "블록"},
        "userRequest": {
            "timezone": "Asia/Seoul",
            "block": {"id": "block", "name": "블록"},
            "utterance": utterance,
            "lang": "ko",
            "user": {"id": "user-1", "type": "botUserKey", "properties": {}},
            **user_request,
        },
        "bot": {"id": "bot", "name": "봇"},
        "action": {"name": "스킬", "params": {"size": "240"}, "id": "a", "detailParams": {}},
    }


def texts(response: dict[str, Any]) -> list[str]:
    return [output["simpleText"]["text"] for output in response["template"]["outputs"]]


def skill(reply: Any, guard: Guard | None = None, **options: Any) -> Skill:
    """Return a skill whose handler returns the reply, or calls it."""
    handler = reply if callable(reply) else lambda request: reply
    options = {"sorry_text": SORRY, "waiting_text": WAITING, "callback_hosts": LOCAL} | options
    return create_skill(handler, guard or Guard(StubClassifier(UNSAFE)), **options)


@contextmanager
def served(app: Skill) -> Iterator[str]:
    """Serve a skill on a socket, in a thread, and yield its address."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", ws="none", http="h11", lifespan="on")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def asked(app: Skill, body: Any = None) -> dict[str, Any]:
    """Send one request over a socket, and return the response."""
    with served(app) as url:
        answer = httpx.post(f"{url}/skill", json=payload() if body is None else body, timeout=6)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def called(app: Skill, body: Any) -> httpx.Response:
    """Send one request without a socket."""

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://bot"
        ) as one:
            return await one.post("/", content=json.dumps(body))

    return asyncio.run(call())


class Platform:
    """The place that callbacks come to.

    Args:
        status: what it answers.

    Attributes:
        received: the bodies that came.
    """

    def __init__(self, status: int = 200) -> None:
        self.received: list[dict[str, Any]] = []
        self.came = threading.Event()
        platform = self

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                platform.received.append(json.loads(body))
                self.send_response(status)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()
                platform.came.set()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.url = f"http://127.0.0.1:{self._server.server_port}/callback/once"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform that takes callbacks."""
    platform = Platform()
    yield platform
    platform.close()


# Replies


def test_a_text_is_answered_as_the_platform_wants_it() -> None:
    """Version 2.0, one simpleText."""
    assert asked(skill("네, 안녕하세요!")) == {
        "version": "2.0",
        "template": {"outputs": [{"simpleText": {"text": "네, 안녕하세요!"}}]},
    }


@pytest.mark.parametrize("kind", ["def", "async def", "object"])
def test_a_handler_may_be_of_any_kind(kind: str) -> None:
    """It is given what the user said, who they are, and the block's parameters."""
    heard: list[SkillRequest] = []

    def handler(request: SkillRequest) -> str:
        heard.append(request)
        return "네"

    async def ahandler(request: SkillRequest) -> str:
        return handler(request)

    class Handler:
        async def __call__(self, request: SkillRequest) -> str:
            return handler(request)

    kinds: dict[str, Any] = {"def": handler, "async def": ahandler, "object": Handler()}

    assert texts(called(skill(kinds[kind]), payload("환불 돼요?")).json()) == ["네"]
    (request,) = heard
    assert (request.utterance, request.user_id) == ("환불 돼요?", "user-1")
    assert request.params == {"size": "240"}
    assert request.callback_url is None
    assert request.payload["bot"] == {"id": "bot", "name": "봇"}


def test_a_safe_response_is_sent_as_it_is() -> None:
    """Cards, quick replies, context and data."""
    assert asked(skill(RICH)) == RICH


def test_an_unsafe_reply_is_refused() -> None:
    """In the words of the policy; the reply itself stays with the bot."""
    hook = ListHook()
    guard = Guard(StubClassifier(UNSAFE), Policy(contact="1588-0000"), hooks=[hook])

    response = asked(skill(f"이건 {UNSAFE}", guard))

    assert UNSAFE not in json.dumps(response, ensure_ascii=False)
    assert "1588-0000" in texts(response)[0]
    assert [record.status for record in hook.records] == [Status.BLOCKED]


def places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where the texts of a response are."""
    if isinstance(part, str):
        yield path
    elif isinstance(part, dict | list):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            yield from places(value, (*path, key))


HIDDEN = {"version", "action", "blockId", "type"}  # steers the platform, and is not shown
PLACES = [path for path in places(RICH) if path[0] == "data" or path[-1] not in HIDDEN]
NAMED = [("data",), ("context", "values", 0, "params"), ("template", "outputs", 1, "basicCard")]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_nothing_unsafe_is_sent_wherever_it_stands(path: tuple[Any, ...]) -> None:
    """Texts, titles, labels, what a button says for the user, addresses, data and context."""
    response = copy.deepcopy(RICH)
    part: Any = response
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = f"{part[path[-1]]} {UNSAFE}"

    shown = called(skill(response), payload()).text

    assert UNSAFE not in shown


@pytest.mark.parametrize("path", NAMED, ids=lambda path: ".".join(map(str, path)))
def test_a_name_that_can_be_read_is_judged(path: tuple[Any, ...]) -> None:
    """Of data, of a context's parameters, and of a part of a card."""
    response = copy.deepcopy(RICH)
    part: Any = response
    for key in path:
        part = part[key]
    part[f"죽어 {UNSAFE}"] = "x"

    assert UNSAFE not in called(skill(response), payload()).text


def test_a_name_in_korean_is_sent_where_it_is_safe() -> None:
    """A block may call its values anything."""
    response = {**RICH, "data": {"상품 이름": "운동화"}}

    assert called(skill(response), payload()).json()["data"] == {"상품 이름": "운동화"}


def test_an_address_is_read_before_it_is_judged() -> None:
    """Words do not hide behind percent signs."""
    link = {
        "action": "webLink",
        "label": "보기",
        "webLinkUrl": f"https://a.kr/{httpx.QueryParams(q=UNSAFE)}",
    }
    response = {
        "version": "2.0",
        "template": {"outputs": [{"textCard": {"title": "글", "buttons": [link]}}]},
    }

    assert texts(called(skill(response), payload()).json()) != ["글"]


def test_words_split_over_bubbles_are_judged_together() -> None:
    """Two harmless halves make no harmless whole."""
    seen = StubClassifier(lambda text: "앞절반\n뒷절반" in text)
    outputs = [{"simpleText": {"text": "앞절반"}}, {"simpleText": {"text": "뒷절반"}}]

    response = called(skill({"template": {"outputs": outputs}}, Guard(seen)), payload()).json()

    assert "앞절반" not in json.dumps(response, ensure_ascii=False)
    assert seen.seen == ["앞절반\n뒷절반"]


def test_a_short_bubble_does_not_hide_among_long_ones() -> None:
    """Each is judged by itself too."""
    guard = Guard(StubClassifier(lambda text: text == UNSAFE))
    outputs = [{"simpleText": {"text": "안녕하세요. " * 50}}, {"simpleText": {"text": UNSAFE}}]

    shown = called(skill({"template": {"outputs": outputs}}, guard), payload()).text

    assert UNSAFE not in shown


def test_what_is_judged_is_what_is_sent() -> None:
    """A handler that changes its response afterwards changes nothing."""
    response = copy.deepcopy(RICH)

    class Sly(StubClassifier):
        def _verdicts(self, conversations: Any) -> Any:
            response["template"]["outputs"][0]["simpleText"]["text"] = UNSAFE
            return super()._verdicts(conversations)

    assert called(skill(response, Guard(Sly(UNSAFE))), payload()).json() == RICH


def test_a_monitoring_policy_only_records() -> None:
    """As everywhere else."""
    guard = Guard(StubClassifier(UNSAFE), Policy(mode="monitor"), hooks=[hook := ListHook()])

    assert texts(called(skill(UNSAFE, guard), payload()).json()) == [UNSAFE]
    assert hook.records[0].action is Action.FLAG


def test_the_input_stage_comes_before_the_bot() -> None:
    """A question that fails it is not put to the bot."""
    asked_for: list[SkillRequest] = []
    guard = Guard(StubClassifier(UNSAFE), Policy(check_input=True))
    app = skill(lambda request: asked_for.append(request) or "네", guard)

    assert texts(called(app, payload(UNSAFE)).json()) != ["네"]
    assert asked_for == []


# What cannot be judged


@pytest.mark.parametrize(
    "reply",
    [
        None,
        42,
        "",
        " \n",
        {},
        {"template": {"outputs": []}},
        {"version": "2.0", "useCallback": True, "data": {"text": "x"}},
        {"template": {"outputs": [{"hologram": {"text": "x"}}]}},
        {"template": {"outputs": [], "stickers": []}},
        {"template": {"outputs": "x"}},
        {"template": {"outputs": [{"simpleText": "x"}]}},
        {"template": {"outputs": [{"carousel": {"type": "poster", "items": []}}]}},
        {"template": {"outputs": [{"carousel": {"type": [], "items": [{}]}}]}},
        {"template": {"outputs": [{"listCard": {"items": ["x"]}}]}},
        {"template": ["x"]},
        {"template": {"outputs": [{"simpleText": {"text": object()}}]}},
        {"template": {"outputs": [{"simpleText": {"text": float("nan")}}]}},
    ],
    ids=lambda reply: repr(reply)[:60],
)
def test_what_is_no_known_reply_is_not_sent(reply: Any) -> None:
    """An apology is, and the log says why."""
    assert texts(called(skill(reply), payload()).json()) == [SORRY]


def test_a_failing_handler_tells_nobody_why(caplog: pytest.LogCaptureFixture) -> None:
    """But the log."""

    def fail(_: SkillRequest) -> str:
        raise RuntimeError("password=1234")

    assert texts(asked(skill(fail))) == [SORRY]
    assert "password" in caplog.text


def test_a_failing_classifier_blocks() -> None:
    """Nothing unjudged is sent, whatever it is."""
    guard = Guard(StubClassifier(error=ClassifierError("down")))

    assert "비밀" not in called(skill("비밀", guard), payload()).text


def test_a_missing_value_is_one_left_out() -> None:
    """As builders of responses write them."""
    card = {"title": "글", "description": None, "buttons": None}
    response = {"template": {"outputs": [{"textCard": card}], "quickReplies": None}, "data": None}

    assert called(skill(response), payload()).json() == {
        "version": "2.0",
        "template": {"outputs": [{"textCard": {"title": "글"}}]},
    }


# Limits


def units(text: str) -> int:
    """Return a text's length as the platform counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_a_long_text_is_cut_at_the_ends_of_sentences() -> None:
    """Into bubbles that the platform takes, without losing a word."""
    long = "문의해 주셔서 감사합니다. " * 150
    bubbles = texts(asked(skill(long)))

    assert len(bubbles) == 3
    assert all(units(bubble) <= 1000 for bubble in bubbles)
    assert all(bubble.endswith("감사합니다.") for bubble in bubbles)
    assert " ".join(bubbles) == long.strip()


def test_what_three_bubbles_cannot_hold_is_left_out() -> None:
    """And the last one says so; what is sent is what was judged."""
    seen = StubClassifier(UNSAFE)
    bubbles = texts(called(skill("가" * 5000 + UNSAFE, Guard(seen)), payload()).json())

    assert [units(bubble) for bubble in bubbles] == [1000, 1000, 1000]
    assert bubbles[-1].endswith("…")
    assert seen.seen == ["".join(bubbles)]


@pytest.mark.parametrize("size", range(995, 1000))
def test_a_phrase_that_two_bubbles_share_is_judged_whole(size: int) -> None:
    """Cutting a text into bubbles takes no words apart for the guard."""
    assert UNSAFE not in "".join(texts(called(skill("가" * size + UNSAFE), payload()).json()))


@pytest.mark.parametrize("key", ["currency", "phoneNumber", "type", "action", "buttonLayout"])
def test_words_where_none_belong_are_judged(key: str) -> None:
    """What steers the platform is left alone only where it looks like it."""
    reply = {"template": {"outputs": [{"textCard": {"title": "네", key: UNSAFE}}]}}

    assert UNSAFE not in called(skill(reply), payload()).text


@given(st.text(st.sampled_from("가나다. 요\n🫠ab"), max_size=40).map(lambda unit: unit * 120))
def test_no_bubble_is_too_long(long: str) -> None:
    """Whatever it is made of; emoji count twice."""
    response = called(skill(long), payload()).json()

    assert 1 <= len(texts(response)) <= 3
    assert all(1 <= units(bubble) <= 1000 for bubble in texts(response))


def test_cards_and_lists_are_cut_to_their_limits() -> None:
    """Beyond them the platform shows nothing, or cuts in silence."""
    long, button = "가" * 2000, {"action": "message", "label": "가" * 30, "messageText": "글"}
    text_card = {"title": long, "description": long, "buttons": [button] * 5}
    list_card = {"header": {"title": "글"}, "items": [{"title": "글"}] * 9, "buttons": [button] * 4}
    items = [{"title": long, "description": long, "buttons": [button] * 4}] * 12
    image = {"imageUrl": "https://example.com/a.jpg", "altText": long}
    outputs: list[dict[str, Any]] = [
        {"textCard": text_card},
        {"listCard": list_card},
        {"carousel": {"type": "basicCard", "items": items}},
        {"simpleImage": image},
    ]
    response = {"template": {"outputs": outputs, "quickReplies": [button] * 12}}

    template = called(skill(response), payload()).json()["template"]

    assert [list(output) for output in template["outputs"]] == [
        ["textCard"],
        ["listCard"],
        ["carousel"],
    ]
    card, listed, carousel = (next(iter(output.values())) for output in template["outputs"])
    assert (len(card["title"]), len(card["description"]), len(card["buttons"])) == (50, 350, 3)
    assert len(card["buttons"][0]["label"]) == 14
    assert (len(listed["items"]), len(listed["buttons"])) == (5, 3)
    assert len(carousel["items"]) == 10
    assert [len(carousel["items"][0][key]) for key in ("title", "description", "buttons")] == [
        50,
        76,
        3,
    ]
    assert len(template["quickReplies"]) == 10
    assert len(template["quickReplies"][0]["label"]) == 14


def fitted(**component: Any) -> Any:
    """Return a component as it is sent."""
    response = called(skill({"template": {"outputs": [component]}}), payload()).json()
    return next(iter(response["template"]["outputs"][0].values()))


def test_a_carousel_of_lists_has_limits_of_its_own() -> None:
    """Five cards of four items each."""
    card = {"header": {"title": "글"}, "items": [{"title": "글"}] * 5}

    carousel = fitted(carousel={"type": "listCard", "items": [card] * 6})

    assert [len(one["items"]) for one in carousel["items"]] == [4] * 5


def test_the_parts_of_a_card_have_limits() -> None:
    """Alone or in a carousel; a product's description is shorter than others."""
    long = "가" * 60
    item = {
        "thumbnail": {"imageUrl": "https://example.com/a.jpg", "altText": long},
        "profile": {"title": long},
        "itemList": [{"title": long, "description": "글"}],
        "itemListSummary": {"title": long, "description": long},
    }
    product = {"description": long, "thumbnails": [{"imageUrl": "u", "altText": long}]}

    (aligned,) = fitted(carousel={"type": "itemCard", "items": [item]})["items"]
    for card in (aligned, fitted(itemCard=item)):
        assert len(card["thumbnail"]["altText"]) == 50
        assert len(card["profile"]["title"]) == 15
        assert len(card["itemList"][0]["title"]) == 6
        summary = card["itemListSummary"]
        assert (len(summary["title"]), len(summary["description"])) == (6, 14)
    sold = fitted(commerceCard=product)
    assert (len(sold["description"]), len(sold["thumbnails"][0]["altText"])) == (40, 50)


@pytest.mark.parametrize(
    ("layout", "count", "most"),
    [
        ({}, 3, 14),
        ({"buttonLayout": "vertical"}, 3, 14),
        ({"buttonLayout": "horizontal"}, 2, 8),
        ({"thumbnail": {"imageUrl": "u", "fixedRatio": True}}, 2, 8),
        ({"thumbnails": [{"imageUrl": "u", "fixedRatio": True}]}, 2, 8),
        ({"thumbnail": {"fixedRatio": True}, "buttonLayout": "vertical"}, 3, 14),
    ],
)
def test_buttons_side_by_side_are_fewer_and_shorter(
    layout: dict[str, Any], count: int, most: int
) -> None:
    """So they stand where the card says so, or its image is a square; one has room for all."""
    button = {"action": "message", "label": "가" * 30}

    buttons = fitted(basicCard={"title": "글", "buttons": [button] * 4, **layout})["buttons"]
    (single,) = fitted(basicCard={"title": "글", "buttons": [button], **layout})["buttons"]

    assert [len(one["label"]) for one in buttons] == [most] * count
    assert len(single["label"]) == 14


# Time


def slow(seconds: float, reply: str = "드디어") -> Callable[[SkillRequest], str]:
    def handler(_: SkillRequest) -> str:
        time.sleep(seconds)
        return reply

    return handler


def aslow(seconds: float) -> Callable[[SkillRequest], Any]:
    async def handler(_: SkillRequest) -> str:
        await asyncio.sleep(seconds)
        return "드디어"

    return handler


@pytest.mark.parametrize(
    "app",
    [
        lambda: skill(slow(1.0), deadline=0.3),
        lambda: skill(aslow(30), deadline=0.3),
        lambda: skill("네", Guard(StubClassifier(delay=1.0)), deadline=0.3),
        lambda: skill(
            "네", Guard(StubClassifier(delay=1.0), Policy(on_error="open")), deadline=0.3
        ),
    ],
    ids=["slow handler", "hanging async handler", "hanging classifier", "fail-open policy"],
)
def test_an_answer_comes_in_time_whatever_happens(app: Callable[[], Skill]) -> None:
    """And holds nothing that the guard has not passed."""
    with served(app()) as url:
        answer = httpx.post(url, json=payload(), timeout=6)

    assert texts(answer.json()) == [SORRY]


def test_the_platform_never_waits_five_seconds() -> None:
    """With the settings that a skill has unless told otherwise."""
    started = time.monotonic()
    with served(create_skill(aslow(30), Guard(StubClassifier()))) as url:
        answer = httpx.post(url, json=payload(), timeout=6)
        seconds = time.monotonic() - started

    assert 4.0 < seconds < 5.0
    assert texts(answer.json())


@pytest.mark.parametrize(
    "wrong", [{"deadline": 5.0}, {"patience": 6}, {"callback_within": 60}, {"deadline": -1}]
)
def test_no_time_is_longer_than_the_platform_waits(wrong: dict[str, float]) -> None:
    """A skill that could not keep its word is not made."""
    with pytest.raises(ConfigError, match="less than"):
        create_skill(lambda _: "네", Guard(StubClassifier()), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("handler", "guard"), [("네", Guard()), (None, Guard()), (print, None), (Guard(), print)]
)
def test_what_is_no_handler_or_no_guard_is_refused_at_once(handler: Any, guard: Any) -> None:
    """Not at the first message of a user."""
    with pytest.raises(ConfigError, match="create_skill takes"):
        create_skill(handler, guard)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """A client that stalls holds nothing."""
    with (
        served(skill("네", deadline=0.2)) as url,
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as stalled,
    ):
        stalled.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        stalled.settimeout(5)
        assert b"408" in stalled.recv(1000)


def test_slow_requests_do_not_hold_up_others() -> None:
    """Each has its own time."""
    others = threading.Event()

    def handler(request: SkillRequest) -> str:
        if request.utterance == "slow":
            others.wait(4)
        return f"{request.utterance} {others.is_set()}"

    with served(skill(handler)) as url, ThreadPoolExecutor() as threads:

        def ask(said: str) -> list[str]:
            return texts(httpx.post(url, json=payload(said), timeout=6).json())

        first = threads.submit(ask, "slow")
        assert [ask("quick"), ask("fast")] == [["quick False"], ["fast False"]]
        others.set()
        assert first.result() == ["slow True"]


# Callbacks


def test_a_slow_answer_comes_by_callback(platform: Platform) -> None:
    """A polite word at once, then the guarded answer, in one call."""
    answered = threading.Event()

    def handler(_: SkillRequest) -> str:
        return "드디어" if answered.wait(4) else "기다리기만 했어요"

    with served(skill(handler, patience=0.1)) as url:
        first = httpx.post(url, json=payload(callbackUrl=platform.url), timeout=6).json()
        answered.set()
        assert platform.came.wait(5)
        time.sleep(0.1)

    assert first == {"version": "2.0", "useCallback": True, "data": {"text": WAITING}}
    assert platform.received == [
        {"version": "2.0", "template": {"outputs": [{"simpleText": {"text": "드디어"}}]}}
    ]


def test_a_quick_answer_needs_no_callback(platform: Platform) -> None:
    """It is the answer."""
    with served(skill("네", patience=2)) as url:
        first = httpx.post(url, json=payload(callbackUrl=platform.url), timeout=6).json()
        time.sleep(0.1)

    assert texts(first) == ["네"]
    assert platform.received == []


def test_an_unsafe_answer_comes_as_a_refusal(platform: Platform) -> None:
    """Late is not unguarded."""
    with served(skill(slow(0.2, UNSAFE), patience=0)) as url:
        httpx.post(url, json=payload(callbackUrl=platform.url), timeout=6)
        assert platform.came.wait(5)

    assert UNSAFE not in json.dumps(platform.received, ensure_ascii=False)
    assert len(platform.received) == 1


@pytest.mark.parametrize(
    ("handler", "guard"),
    [(aslow(30), Guard(StubClassifier())), (lambda request: "네", Guard(StubClassifier(delay=30)))],
    ids=["hanging handler", "hanging classifier"],
)
def test_a_callback_comes_before_its_address_expires(
    platform: Platform, handler: Any, guard: Guard
) -> None:
    """With an apology, where there is no answer that the guard passed."""
    with served(skill(handler, guard, patience=0, callback_within=0.3)) as url:
        httpx.post(url, json=payload(callbackUrl=platform.url), timeout=6)
        assert platform.came.wait(5)

    assert [texts(body) for body in platform.received] == [[SORRY]]


@pytest.mark.parametrize("status", [307, 400, 500])
def test_a_callback_is_made_once(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Its address takes no second call, wherever it points."""
    platform = Platform(status)
    with served(skill(aslow(0.1), patience=0)) as url:
        httpx.post(url, json=payload(callbackUrl=platform.url), timeout=6)
        assert platform.came.wait(5)
        time.sleep(0.2)
    platform.close()

    assert len(platform.received) == 1
    assert str(status) in caplog.text


def test_a_platform_that_is_away_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The log says that the callback failed, and not to which address."""
    with served(skill(aslow(0.05), patience=0)) as url:
        away = "http://127.0.0.1:1/secret-token"
        assert httpx.post(url, json=payload(callbackUrl=away), timeout=6).json()["useCallback"]
        time.sleep(0.3)
        assert texts(httpx.post(url, json=payload(), timeout=6).json()) == ["드디어"]

    assert "callback to KakaoTalk failed" in caplog.text
    assert "secret-token" not in caplog.text


def test_callbacks_under_way_are_made_before_the_end(platform: Platform) -> None:
    """A server that is told to stop keeps its word first."""
    with served(skill(aslow(0.4), patience=0)) as url:
        httpx.post(url, json=payload(callbackUrl=platform.url), timeout=6)

    assert [texts(body) for body in platform.received] == [["드디어"]]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://bot-api.kakao.com/v1/callback/1", True),
        ("https://kakao.com/x", True),
        ("http://bot-api.kakao.com/v1/callback/1", False),
        ("https://kakao.com.evil.example/x", False),
        ("https://notkakao.com/x", False),
        ("https://kakao.com@evil.example/x", False),
        ("https://user@bot-api.kakao.com/x", False),
        ("https://evil.example/?kakao.com", False),
        ("https://evil.example\\@kakao.com/", False),
        ("http://127.0.0.1/x", False),
        ("http://169.254.169.254/latest", False),
        ("ftp://kakao.com/x", False),
        ("//kakao.com", False),
        ("https://", False),
        ("https://[::1", False),
        ("https://xn--kakao-.com", False),
        ("\x00", False),
    ],
)
def test_callbacks_go_to_the_platform_alone(url: str, allowed: bool) -> None:
    """Anybody can send a request to a skill; it must not be made to call anything."""
    assert Callbacks(["kakao.com"]).allows(url) is allowed


def test_a_foreign_callback_is_ignored(platform: Platform) -> None:
    """The request is answered as one without a callback."""
    app = skill(aslow(0.2), patience=0, callback_hosts=["kakao.com"])
    with served(app) as url:
        first = httpx.post(url, json=payload(callbackUrl=platform.url), timeout=6).json()

    assert texts(first) == ["드디어"]
    assert platform.received == []


# Requests that are none


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"hello", 400),
        (b"\xff\xfe\x00", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"{}", 400),
        (b'{"userRequest": []}', 400),
        (b'{"userRequest": {"utterance": 1}}', 400),
        (b'{"userRequest": {"utterance": null}}', 400),
        (b"[" * 100_000, 400),
        (b'{"userRequest": {"utterance": "' + b"a" * (1 << 20) + b'"}}', 413),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_malformed_request_is_refused(body: bytes, status: int) -> None:
    """With a sentence, and without troubling the bot."""
    troubled: list[SkillRequest] = []
    with served(skill(lambda request: troubled.append(request) or "네")) as url:
        answer = httpx.post(url, content=body)

    assert answer.status_code == status
    assert answer.json()["error"]
    assert troubled == []


@pytest.mark.parametrize(
    "odd",
    [
        {"user": None, "callbackUrl": None},
        {"user": {"id": 3}, "callbackUrl": 5},
        {"user": "x", "callbackUrl": ""},
        {"callbackUrl": "\ud800"},
    ],
)
def test_an_odd_request_is_answered_all_the_same(odd: dict[str, Any]) -> None:
    """What is missing is not needed."""
    body = {"userRequest": {"utterance": "\ud800 안녕"} | odd, "action": None}

    assert texts(called(skill("네"), body).json()) == ["네"]


def test_only_posts_are_served() -> None:
    """Nothing is said to a browser that comes by."""
    with served(skill("네")) as url:
        assert httpx.get(url).status_code == 405


def test_a_reply_of_any_text_can_be_sent() -> None:
    """Lone surrogates too, as JSON has them."""
    answer = called(skill("이상한 \ud800 글"), payload())

    assert texts(json.loads(answer.content)) == ["이상한 \ud800 글"]


# The rest


def test_the_example_plays() -> None:
    """Offline, as it stands."""
    path = Path(__file__).parents[2] / "examples" / "kakao_skill.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )

    assert "내일 오후에 도착" in done.stdout
    assert "들키지 않게" not in done.stdout
    assert "1588-0000" in done.stdout
    assert len(path.read_text("utf-8").splitlines()) < 40


def test_a_missing_library_is_named() -> None:
    """With what to install."""
    code = "import sys; sys.modules['httpx'] = None; import guardrail.integrations.kakao"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "guardrail-ko[kakao]" in done.stderr


def test_a_skill_serves_http_alone() -> None:
    """A web socket is none."""

    async def connect() -> None:
        await skill("네")({"type": "websocket"}, None, None)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="HTTP"):
        asyncio.run(connect())
