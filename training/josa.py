"""Fill slots in Korean sentences, with the particle that the last letter asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from guardrail.letters import Syllable, is_syllable

__all__ = ["fill", "particle"]

_PAIRS = "을/를 은/는 이/가 과/와 으로/로 이나/나 도/도 이랑/랑 이라고/라고 이라/라 이야/야"
_FORMS = {pair.split("/")[0]: tuple(pair.split("/")) for pair in _PAIRS.split()}
_KINDS = "|".join(sorted(_FORMS, key=len, reverse=True))
_SLOT = re.compile(rf"\{{(noun2?|doing2?|to2?|wish|will|may|act|not|stop)(?::({_KINDS}))?\}}")
_DIGITS_WITH_TAIL = "013678"  # 영 일 삼 육 칠 팔
_LATIN_WITH_TAIL = "lmnr"


def particle(word: str, kind: str) -> str:
    """Return the particle (named by its form after a consonant) that fits the word."""
    after_consonant, after_vowel = _FORMS[kind]
    last = word.rstrip("\"')”’ ")[-1:].lower()
    if last and is_syllable(last):
        tail = Syllable.of(last).tail
        closed = tail != 0 and not (kind == "으로" and tail == 8)
    else:
        closed = last in _DIGITS_WITH_TAIL + _LATIN_WITH_TAIL
    return after_consonant if closed else after_vowel


def fill(sentence: str, topic: Mapping[str, str]) -> str:
    """Return the sentence with its slots filled: {noun}, {noun:을}, {doing2}, {wish}."""

    def filled(found: re.Match[str]) -> str:
        word = topic[found[1]]
        return word + (particle(word, found[2]) if found[2] else "")

    return _SLOT.sub(filled, sentence)
