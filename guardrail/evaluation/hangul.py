"""Hangul syllables and their letters; Unicode makes them arithmetic.

A syllable is U+AC00 + (lead * 21 + vowel) * 28 + tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = ["LEADS", "TAILS", "VOWELS", "Syllable", "is_syllable"]

LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
TAILS = "\0ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_FIRST = 0xAC00


def is_syllable(char: str) -> bool:
    """Whether a character is a whole Hangul syllable."""
    return "가" <= char <= "힣"


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable's letters, as places in LEADS, VOWELS and TAILS; tail 0 is none."""

    lead: int
    vowel: int
    tail: int

    @classmethod
    def of(cls, char: str) -> Self:
        """Return the letters of a syllable."""
        code = ord(char) - _FIRST
        return cls(code // 588, code // 28 % 21, code % 28)

    def __str__(self) -> str:
        """Return the syllable."""
        return chr(_FIRST + (self.lead * 21 + self.vowel) * 28 + self.tail)
