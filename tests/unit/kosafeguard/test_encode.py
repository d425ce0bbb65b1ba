"""Prompts as token ids: the recipe's own, and text stays text."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel

from guardrail.bench.models import tokenizer_like_llama3
from guardrail.classifiers.kosafeguard.encode import Encoder
from guardrail.errors import ClassifierUnavailable
from guardrail.prompt import render
from guardrail.types import exchange
from tests.unit.kosafeguard.llamas import SPECIALS

TOKENIZER = tokenizer_like_llama3()
ENCODER = Encoder(TOKENIZER)
SPECIAL_IDS = {TOKENIZER.convert_tokens_to_ids(special) for special in SPECIALS}
FRAME = [*SPECIALS[:1], *SPECIALS[2:4], *SPECIALS[4:], *SPECIALS[2:4]]
PROBES = [render(exchange(*texts)) for texts in (("a", "b"), ("가", "나"), ("1", "2"))]
HEAD = ENCODER.head(PROBES)

ordinary = st.text().filter(lambda text: not any(special in text for special in SPECIALS))
pieces = st.sampled_from(
    [
        *SPECIALS,
        *(special[:-1] for special in SPECIALS),
        *(special[1:] for special in SPECIALS),
        *("<|", "|>", "<|eot_<|eot_id|>id|>", "\u200b", "\ufeff", "한", "\n\n", " ", ":"),
        unicodedata.normalize("NFD", "각"),
        "<|eot\u200b_id|>",
    ]
)
forged = st.lists(st.one_of(pieces, st.text(max_size=5)), max_size=12).map("".join)


def recipe(prompt: str, tokenizer: Any = TOKENIZER) -> tuple[int, ...]:
    """Return the ids of the model card's recipe."""
    chat = [{"role": "user", "content": prompt}]
    encoded = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)
    return tuple(encoded["input_ids"])


def specials_in(ids: tuple[int, ...]) -> list[str]:
    return [TOKENIZER.convert_ids_to_tokens(each) for each in ids if each in SPECIAL_IDS]


@given(ordinary)
def test_ordinary_prompts_are_the_recipes(prompt: str) -> None:
    """Any prompt without special tokens has the ids that apply_chat_template gives it."""
    prompt = prompt.encode("utf-8", "replace").decode()

    assert ENCODER.whole(prompt) == recipe(prompt)


@given(ordinary, ordinary)
def test_ordinary_exchanges_are_the_recipes(user: str, reply: str) -> None:
    """Any exchange without special tokens has the recipe's ids, head and rest put together."""
    prompt = render(exchange(user, reply))

    assert ENCODER.encode(prompt, HEAD).ids == recipe(prompt)


@given(forged, forged)
def test_special_tokens_are_the_templates_own(user: str, reply: str) -> None:
    """No text becomes a special token, however it is put together."""
    ids = ENCODER.encode(render(exchange(user, reply)), HEAD).ids

    assert specials_in(ids) == FRAME


@given(forged)
def test_forged_text_is_still_there(reply: str) -> None:
    """A special token's name in a text is encoded as its characters: nothing is removed."""
    prompt = render(exchange("", reply))
    written = TOKENIZER.decode(ENCODER.whole(prompt), skip_special_tokens=False)

    assert prompt.strip() in written


def test_the_head_is_the_policy() -> None:
    """The shared head reaches up to the conversation, so most of a prompt is read once."""
    rest = ENCODER.encode(PROBES[0], HEAD).rest

    assert len(rest) < 60 < 700 < len(HEAD.ids)


@pytest.mark.parametrize("text", ["", " ", "\n", " \n안녕", ":", "  a", "\u200b", "ㅋㅋ", "1"])
def test_the_head_holds_whatever_follows(text: str) -> None:
    """Every prompt begins with the head, also where its text begins with space or signs."""
    assert ENCODER.encode(render(exchange(text, text)), HEAD).head == HEAD.ids


def test_another_prompt_is_encoded_whole() -> None:
    """A prompt that does not begin with the head is no worse for it."""
    encoded = ENCODER.encode("Is this safe?", HEAD)

    assert (encoded.head, encoded.rest) == ((), recipe("Is this safe?"))


def test_lone_surrogates() -> None:
    """Half of a surrogate pair, which no encoding has, does not stop the classifier."""
    assert ENCODER.whole("a\ud800b") == recipe("a?b")


@pytest.mark.parametrize("label", ["very unsafe indeed", "", "zzzz"])
def test_a_label_of_several_tokens(label: str) -> None:
    """A label that is not one token is refused, and the message says which."""
    with pytest.raises(ClassifierUnavailable, match=repr(label)):
        ENCODER.label(label)


def changed(**attributes: Any) -> Any:
    """Return a new tokenizer with some attributes set."""
    tokenizer = tokenizer_like_llama3.__wrapped__()
    for name, value in attributes.items():
        setattr(tokenizer, name, value)
    return tokenizer


def test_a_template_that_keeps_spaces() -> None:
    """A template that does not strip the message gets it with its spaces."""
    tokenizer = changed(chat_template="{{ bos_token }}Q:{{ messages[0]['content'] }}<|eot_id|>A:")
    prompt = " \nwho?\n "

    assert Encoder(tokenizer).whole(prompt) == recipe(prompt, tokenizer)


def test_a_template_with_a_token_that_is_not_special() -> None:
    """What the template writes cannot be written by a text, even if no special token."""
    tokenizer = changed(chat_template="<turn>{{ messages[0]['content'] }}<turn>")
    tokenizer.add_tokens([AddedToken("<turn>", special=False)])
    turn = tokenizer.convert_tokens_to_ids("<turn>")

    assert Encoder(tokenizer).whole("a<turn>b").count(turn) == 2


@pytest.mark.parametrize("special", [True, False])
def test_a_label_of_its_own_token(special: bool) -> None:
    """A label that was added to the vocabulary is that token, which no text can spell."""
    tokenizer = changed()
    tokenizer.add_tokens([AddedToken("<SAFE>", special=special)], special_tokens=special)

    assert Encoder(tokenizer).label("<SAFE>") == tokenizer.convert_tokens_to_ids("<SAFE>")


def test_a_template_that_changes_long_prompts() -> None:
    """A template that writes a short probe as it is, but not a prompt, is refused."""
    tokenizer = changed(chat_template="{{ messages[0]['content'][:500] }}<|eot_id|>")

    with pytest.raises(ClassifierUnavailable, match="chat template"):
        Encoder(tokenizer).head(PROBES)


def test_a_tokenizer_that_marks_where_a_text_begins() -> None:
    """Where a part encodes otherwise than within its prompt, prompts are encoded whole."""
    tokenizer = changed()
    tokenizer.backend_tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    encoder = Encoder(tokenizer)
    head = encoder.head(PROBES)

    assert head.cut == 0
    assert encoder.encode(PROBES[0], head).ids == recipe(PROBES[0], tokenizer)


def test_added_words_stay_words() -> None:
    """A vocabulary that was extended with ordinary words keeps them."""
    tokenizer = changed()
    tokenizer.add_tokens(["어휘확장"])
    prompt = "이건 어휘확장 토큰"

    assert Encoder(tokenizer).whole(prompt) == recipe(prompt, tokenizer)


@pytest.mark.parametrize(
    "template",
    ["{{ messages[0]['content'] | upper }}", "{{ raise_exception('no user turns') }}", None],
)
def test_templates_that_are_refused(template: str | None) -> None:
    """A template that rewrites a message, or takes none, is refused when loading."""
    with pytest.raises(ClassifierUnavailable, match="chat template"):
        Encoder(changed(chat_template=template))


def test_a_slow_tokenizer() -> None:
    """A tokenizer without the fast backend is refused when loading."""
    with pytest.raises(ClassifierUnavailable, match=r"tokenizer\.json"):
        Encoder(object())
