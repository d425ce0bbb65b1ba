"""What an answer says, and how text is kept data on its way to a server."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.classifiers.remote.answers import Answers
from guardrail.classifiers.remote.writing import LLAMA3, Message, Prompt, Text, harmless
from guardrail.classifiers.windows import cut
from guardrail.errors import ClassifierError
from tests.unit.remote.servers import MODEL, completion

ANSWERS = Answers(MODEL, ("safe", "unsafe"))
PROMPT = Prompt({}, most=10, least=2)


def body(**tokens: float) -> bytes:
    """Return an answer whose most probable tokens are these."""
    top = [{"token": token, "logprob": math.log(value)} for token, value in tokens.items()]
    logprobs = {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": top}]}
    return json.dumps(completion(choices=[{"logprobs": logprobs}])).encode()


def test_the_score_is_the_share_of_unsafe() -> None:
    """Of the two labels' probabilities, whatever else is there."""
    reading = ANSWERS.read(body(unsafe=0.6, safe=0.2, other=0.1), PROMPT).reading

    assert reading.score == pytest.approx(0.75)
    assert reading.mass == pytest.approx(0.8)


def test_a_missing_label_is_at_most_the_least_probable() -> None:
    """Safe enough is what is safe even so."""
    reading = ANSWERS.read(body(safe=0.8, other=0.1, another=0.05), PROMPT).reading

    assert reading.score == pytest.approx(0.05 / 0.85)
    assert reading.mass == pytest.approx(0.8)


def test_a_missing_safe_label_leaves_the_reply_unsafe() -> None:
    """The bound works for both labels."""
    reading = ANSWERS.read(body(unsafe=0.8, other=0.1), PROMPT).reading

    assert reading.score == pytest.approx(0.8 / 0.9)


def test_a_missing_label_is_at_most_what_is_left() -> None:
    """Where few tokens are listed, the last of them says little."""
    reading = ANSWERS.read(body(unsafe=0.6, Unsafe=0.3), PROMPT).reading

    assert reading.score == pytest.approx(0.6 / 0.7)
    assert ANSWERS.read(body(safe=1.0), PROMPT).reading.score == pytest.approx(0.0, abs=1e-9)


def test_what_was_read_before_is_counted() -> None:
    """The server's own counts are kept."""
    usage = {"prompt_tokens": 900, "prompt_tokens_details": {"cached_tokens": 700}}
    whole = json.loads(body(safe=0.9, unsafe=0.1)) | {"usage": usage}
    answered = ANSWERS.read(json.dumps(whole).encode(), PROMPT)

    assert (answered.prompt_tokens, answered.cached_tokens) == (900, 700)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "logprobs", "content", "top_logprobs", "model", "token", "logprob"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_answer_does_more_than_fail(value: Any) -> None:
    """Whatever comes is a reading or a classifier's error."""
    whole = {"model": MODEL, "choices": [value]}
    try:
        reading = ANSWERS.read(json.dumps(whole).encode(), PROMPT).reading
    except ClassifierError:
        return
    assert 0 <= reading.score <= 1


@given(st.binary(max_size=50))
def test_no_bytes_do_more_than_fail(content: bytes) -> None:
    """Nor do bytes that are no answer."""
    with pytest.raises(ClassifierError):
        ANSWERS.read(content, PROMPT)


SPECIALS = (
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|im_end|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "</s>",
    "<s>",
    "<eos>",
    "<end_of_turn>",
    "[/INST]",
    "<<SYS>>",
    "[TOOL_CALLS]",
)


@pytest.mark.parametrize("special", SPECIALS)
def test_special_tokens_are_made_harmless(special: str) -> None:
    """What a server would read as a special token is no longer there, and looks as it did."""
    text = f"끝{special}{special}시작"

    assert special not in harmless(text)
    assert len(harmless(text)) == len(text)


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "<b>굵게</b>", "[1] 참고", "배열[i]", "if (a<b||c>d)", "<3 ㅎㅎ"]
)
def test_ordinary_text_stays(text: str) -> None:
    """Mathematics, HTML and hearts are left alone."""
    assert harmless(text) == text


@given(st.text(alphabet="<|>s/[]INT\uff5ceot_id", max_size=30))
def test_nothing_new_becomes_special(text: str) -> None:
    """Making harmless once is enough."""
    once = harmless(text)

    assert harmless(once) == once
    assert not any(special in once for special in SPECIALS)


def test_a_template_is_written_around() -> None:
    """In raw completion the template is ours, and the text is stripped as templates do."""
    assert Text(LLAMA3).prompt(" hi ").body["prompt"] == LLAMA3.format(prompt="hi")


@given(st.lists(st.characters(), unique=True, max_size=60).map("".join), st.integers(1, 20))
def test_windows_by_bytes_hold_all_of_a_text(text: str, size: int) -> None:
    """No window is longer than its bytes, and together they miss nothing."""
    size += 4  # a character has up to four bytes
    windows = cut(text, Message().starts(text), size)

    assert all(len(window.encode("utf-8", "replace")) <= size + 3 for window in windows)
    place = 0
    for window in windows:
        found = text.find(window, max(0, place - len(window)))
        assert 0 <= found <= place
        place = max(place, found + len(window))
    assert place == len(text)
