"""What Unicode says of letters: Hangul syllables are arithmetic, and some letters are not seen.

A syllable is U+AC00 + (lead * 21 + vowel) * 28 + tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

__all__ = ["FILLERS", "INVISIBLE", "LEADS", "TAILS", "VOWELS", "Syllable", "is_syllable"]

FILLERS = "\u115f\u1160\u3164\uffa0"
"""Hangul letters to Unicode, and blank to the eye."""

INVISIBLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
)
"""What nothing is drawn for, for a class of a pattern: Default_Ignorable_Code_Point, and marks of
annotations."""


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
