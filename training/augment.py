"""Write a sentence the way people type: fewer spaces, no full stops, typos, laughter, disguises.

Only what normalisation does not undo belongs here. Safe and unsafe turns get the same treatment,
so that untidy writing is no sign of either.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

__all__ = ["untidy"]

_FIRST = 0xAC00
_LEAD_KIN = {0: (1, 15), 1: (0, 15), 3: (4, 16), 4: (3, 16), 7: (8, 17), 8: (7, 17), 9: (10,), 10: (9,),
             12: (13, 14), 13: (12, 14), 14: (12, 13), 15: (0, 1), 16: (3, 4), 17: (7, 8)}  # fmt: skip
_VOWEL_KIN = {0: (2,), 1: (5, 3), 4: (6,), 5: (1, 7), 8: (12,), 13: (17,), 6: (4,), 12: (8,), 17: (13,),
              10: (11, 15), 11: (10, 15), 15: (10, 11), 19: (20,)}  # fmt: skip
_TAILS = (1, 4, 7, 8, 16, 17, 19, 20, 21, 22, 27)
_LAUGHTER = ("ㅋㅋ", "ㅋㅋㅋ", "ㅎㅎ", "ㅠㅠ", "ㅜㅜ", "~", "!!", "..", "ㅋ", "^^", "ㅡㅡ", "😊", "😭")
_STOPS = re.compile(r"[.!?,]+(?=\s|$)")
_INVISIBLE = ("\u200b", "\u3164", "·", ".", "1", "♡", " ")


def untidy(text: str, dice: random.Random) -> str:
    """Return the text with one or two habits of quick typing."""
    for habit in dice.sample(_HABITS, dice.choice((1, 1, 2))):
        text = habit(text, dice)
    return text


def _without_stops(text: str, dice: random.Random) -> str:
    return _STOPS.sub("", text)


def _without_spaces(text: str, dice: random.Random) -> str:
    share = dice.choice((0.3, 0.6, 1.0))
    return "".join(c for c in text if c != " " or dice.random() > share)


def _with_laughter(text: str, dice: random.Random) -> str:
    return text.rstrip(". ") + dice.choice(("", " ")) + dice.choice(_LAUGHTER)


def _mistyped(text: str, dice: random.Random) -> str:
    rate = dice.choice((0.02, 0.05, 0.15))
    return "".join(_kin(c, dice) if dice.random() < rate else c for c in text)


def _spread(text: str, dice: random.Random) -> str:
    words = text.split(" ")
    chosen = dice.randrange(len(words))
    words[chosen] = dice.choice(_INVISIBLE).join(words[chosen])
    return " ".join(words)


def _kin(letter: str, dice: random.Random) -> str:
    """Return a syllable that looks or sounds like this one."""
    place = ord(letter) - _FIRST
    if not 0 <= place < 11172:
        return letter
    lead, vowel, tail = place // 588, place // 28 % 21, place % 28
    change = dice.randrange(3)
    if change == 0:
        lead = dice.choice(_LEAD_KIN.get(lead, (lead,)))
    elif change == 1:
        vowel = dice.choice(_VOWEL_KIN.get(vowel, (vowel,)))
    else:
        tail = dice.choice(_TAILS) if tail == 0 else dice.choice((tail, 0))
    return chr(_FIRST + (lead * 21 + vowel) * 28 + tail)


_HABITS: tuple[Callable[[str, random.Random], str], ...] = (
    _without_stops,
    _without_spaces,
    _with_laughter,
    _mistyped,
    _spread,
)
