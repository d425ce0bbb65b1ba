"""Write a sentence the way people type: fewer spaces, no full stops, typos, laughter, disguises.

Only what normalisation does not undo belongs here. Safe and unsafe turns get the same treatment,
so that untidy writing is no sign of either.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from guardrail.letters import LEADS, TAILS, VOWELS, Syllable, is_syllable

__all__ = ["disguised", "untidy", "without_spaces"]

_DISGUISED = 0.35
_LEAD_KIN = ("ㄱㄲㅋ", "ㄷㄸㅌ", "ㅂㅃㅍ", "ㅅㅆ", "ㅈㅉㅊ")  # they look or sound alike
_VOWEL_KIN = ("ㅏㅑ", "ㅐㅔㅒㅖ", "ㅓㅕ", "ㅗㅛ", "ㅜㅠ", "ㅙㅚㅞ", "ㅢㅣ")
_TAILS = "ㄱㄴㄷㄹㅁㅂㅅㅆㅇㅈㅎ"
_LAUGHTER = [
    "ㅋㅋ",
    "ㅋㅋㅋ",
    "ㅎㅎ",
    "ㅠㅠ",
    "ㅜㅜ",
    "~",
    "!!",
    "..",
    "ㅋ",
    "^^",
    "ㅡㅡ",
    "😊",
    "😭",
]
_STOPS = re.compile(r"[.!?,]+(?=\s|$)")
_INVISIBLE = ("\u200b", "\u3164", "·", ".", "1", "♡", " ")


def untidy(text: str, dice: random.Random) -> str:
    """Return the text with one or two habits of quick typing."""
    for habit in dice.sample(_HABITS, dice.choice((1, 1, 2))):
        text = habit(text, dice)
    return text


def disguised(text: str, dice: random.Random) -> str:
    """Return the text as it is, in quick typing, or spelt so that a word list would miss it."""
    if dice.random() >= _DISGUISED:
        return text
    return untidy(text, dice) if dice.random() < 0.5 else _garbled(text, dice)


def without_spaces(text: str) -> str:
    """Return the text in one piece, as spread letters are when they are put together again."""
    return text.replace(" ", "")


def _without_stops(text: str, _dice: random.Random) -> str:
    return _STOPS.sub("", text)


def _without_spaces(text: str, dice: random.Random) -> str:
    share = dice.choice((0.3, 0.6, 1.0))
    return "".join(c for c in text if c != " " or dice.random() > share)


def _with_laughter(text: str, dice: random.Random) -> str:
    return text.rstrip(". ") + dice.choice(("", " ")) + dice.choice(_LAUGHTER)


def _mistyped(text: str, dice: random.Random) -> str:
    rate = dice.choice((0.02, 0.05, 0.15))
    return "".join(_kin(c, dice) if dice.random() < rate else c for c in text)


def _garbled(text: str, dice: random.Random) -> str:
    rate = dice.choice((0.2, 0.4, 0.6))
    return "".join(_kin(_kin(c, dice), dice) if dice.random() < rate else c for c in text)


def _spread(text: str, dice: random.Random) -> str:
    words = text.split(" ")
    chosen = dice.randrange(len(words))
    words[chosen] = dice.choice(_INVISIBLE).join(words[chosen])
    return " ".join(words)


def _kin(letter: str, dice: random.Random) -> str:
    """Return a syllable that looks or sounds like this one."""
    if not is_syllable(letter):
        return letter
    syllable = Syllable.of(letter)
    lead, vowel, tail = syllable.lead, syllable.vowel, syllable.tail
    change = dice.randrange(3)
    if change == 0:
        lead = LEADS.index(_other(LEADS[lead], _LEAD_KIN, dice))
    elif change == 1:
        vowel = VOWELS.index(_other(VOWELS[vowel], _VOWEL_KIN, dice))
    else:
        tail = TAILS.index(dice.choice(_TAILS)) if tail == 0 else dice.choice((tail, 0))
    return str(Syllable(lead, vowel, tail))


def _other(letter: str, kins: tuple[str, ...], dice: random.Random) -> str:
    return next((dice.choice(kin) for kin in kins if letter in kin), letter)


_HABITS: tuple[Callable[[str, random.Random], str], ...] = (
    _without_stops,
    _without_spaces,
    _with_laughter,
    _mistyped,
    _spread,
)
