"""Hangul letters: joining those typed one by one, and undoing drawn-out syllables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from guardrail.letters import LEADS, TAILS, VOWELS, Syllable

__all__ = ["join", "keep_compatibility", "unstretch"]

_CONJOINING = str.maketrans(
    {chr(0x1100 + i): letter for i, letter in enumerate(LEADS)}
    | {chr(0x1161 + i): letter for i, letter in enumerate(VOWELS)}
    | {chr(0x11A7 + i): letter for i, letter in enumerate(TAILS) if i}
)
_COMPOUND = dict(
    zip(["ㅗㅏ", "ㅗㅐ", "ㅗㅣ", "ㅜㅓ", "ㅜㅔ", "ㅜㅣ", "ㅡㅣ"], "ㅘㅙㅚㅝㅞㅟㅢ", strict=True)
)
_COMPATIBILITY = re.compile("([\u3131-\u318e]+)")
_PAIR = re.compile("(?<=[ㄱ-ㅎ])(?:ㅗ[ㅏㅐㅣ]|ㅜ[ㅓㅔㅣ]|ㅡㅣ)")
_LETTERS = re.compile(
    f"([{LEADS}])([{VOWELS}])(?![ㅏ-ㅣ])"
    f"(?:([{TAILS[1:]}])(?![ㄱ-ㅣ])|([{TAILS[1:]}])(?=[{LEADS}][ㅏ-ㅣ]))?"  # not the next lead
)
_LOOSE_TAIL = re.compile("([가-힣])([ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㅀㅁㅂㅄㅅㅆㅈㅊㅌㅍ])(?![ㄱ-ㅣ])")
_BARE = dict(zip("ㅏㅓㅗㅜㅣ", "아어오우이", strict=True))


def _open_syllables(vowel: str) -> str:
    """Return all syllables that end in the vowel."""
    place = VOWELS.index(vowel)
    return "".join(str(Syllable(lead, place, 0)) for lead in range(len(LEADS)))


_ECHO = re.compile(  # the letter first, what must stand before it after: that is found quicker
    "|".join(f"{bare}(?<=[{_open_syllables(vowel)}].){bare}*" for vowel, bare in _BARE.items())
)


def keep_compatibility(text: str, change: Callable[[str], str]) -> str:
    """Apply a change to everything but runs of compatibility jamo, which NFKC would tear up."""
    parts = _COMPATIBILITY.split(text)
    parts[::2] = [change(part) if part else part for part in parts[::2]]
    return "".join(parts)


def join(text: str) -> str:
    """Return the text with letters typed one by one (ㅅㅣㅂㅏㄹ, 바ㅂㅗ) joined into syllables."""
    text = text.translate(_CONJOINING)
    if not _COMPATIBILITY.search(text):
        return text
    text = _PAIR.sub(lambda found: _COMPOUND[found[0]], text)
    text = _LETTERS.sub(_syllable, text)
    return _LOOSE_TAIL.sub(_with_tail, text)


def _syllable(found: re.Match[str]) -> str:
    lead, vowel = LEADS.index(found[1]), VOWELS.index(found[2])
    tail = TAILS.index(found[3] or found[4] or "\0")
    return str(Syllable(lead, vowel, tail))


def _with_tail(found: re.Match[str]) -> str:
    syllable = Syllable.of(found[1])
    if syllable.tail:
        return found[0]
    return str(replace(syllable, tail=TAILS.index(found[2])))


def unstretch(text: str) -> str:
    """Return the text without drawn-out vowels: 시이이발 becomes 시발, 죽어어 becomes 죽어."""
    return _ECHO.sub("", text)
