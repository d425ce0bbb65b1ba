"""The guarded OpenAI client, over real sockets."""

from __future__ import annotations

import pytest

pytest.importorskip("openai")

from guardrail import Guard
from guardrail.testing import StubClassifier

from ..conftest import Mode
from .openai_calls import ASKS, Ask, says, seen_of
from .openai_upstream import Upstream

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
MARKER = "나쁜말"
UNSAFE = f"안녕하세요, 고객님. 그럼 {MARKER}부터 알려 드릴게요. 이어서 말씀드릴게요."
REFUSAL = "죄송합니다"


@pytest.fixture
def guard() -> Guard:
    return Guard(StubClassifier(MARKER))


@pytest.fixture(params=ASKS)
def ask(request: pytest.FixtureRequest) -> Ask:
    return ASKS[request.param]


def test_a_safe_reply_comes_whole(mode: Mode, ask: Ask, guard: Guard) -> None:
    """What passes, passes to the character, as without a guard."""
    assert seen_of(mode, ask, says(SAFE), guard).text == SAFE


def test_an_unsafe_reply_is_replaced(mode: Mode, ask: Ask, guard: Guard) -> None:
    """No way of asking shows anything of an unsafe passage; the refusal ends the reply."""
    seen = seen_of(mode, ask, says(UNSAFE), guard)

    assert MARKER not in seen.all
    assert REFUSAL in seen.text
    assert seen.finish == "content_filter"
