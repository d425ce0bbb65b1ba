"""Text to numbers: sentences, letter streams and hashed n-grams, in a few numpy calls.

Hangul syllables are taken apart into their letters, so that endings, typos and obfuscated
spellings share most of their n-grams; everything else is itself. A break stands around each
sentence, and no n-gram reaches across it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["SIZES", "SLOT_BITS", "Grams", "Indices", "Words", "grams", "sentences"]

SIZES = range(2, 8)
"""Lengths of the n-grams, in letters."""

SLOT_BITS = 20
"""An n-gram falls into one of 2 ** SLOT_BITS slots."""

Words: TypeAlias = npt.NDArray[np.uint32]
Indices: TypeAlias = npt.NDArray[np.intp]

_LONG = 160  # characters: chat without full stops is cut at a space
_BREAK = "\x01"  # normalised text holds no control characters
_END = re.compile(r"(?<=[.!?…~])\s+|\n+")
_CUT = re.compile(rf"\S.{{0,{_LONG - 1}}}(?=\s|\Z)|\S.{{0,{_LONG - 1}}}", re.DOTALL)
_SYLLABLES = np.uint32(0xAC00)
_MULTIPLIER = np.uint32(0x9E3779B1)
_MIX = np.uint32(0x85EBCA6B)
_SIZES = np.array(SIZES, np.uint32)
_FIRST = np.arange(len(SIZES)) < np.arange(len(SIZES) + 1)[:, None]  # row n: the first n sizes


def sentences(text: str) -> list[str]:
    """Return the text's sentences, none blank and none longer than 160 characters."""
    found: list[str] = []
    for part in _END.split(text):
        if len(part) > _LONG:
            found.extend(_CUT.findall(part))
        elif part and not part.isspace():
            found.append(part)
    return found


@dataclass(frozen=True, slots=True)
class Grams:
    """All n-grams of some sentences, in the order they begin in.

    Args:
        slots: (N,) the slot of each.
        owner: (N,) index of the sentence it is from.
    """

    slots: Words
    owner: Indices


def grams(parts: list[str]) -> Grams:
    """Return the n-grams of the sentences; slots are the same on every machine."""
    symbols = _letters(_BREAK + _BREAK.join(parts) + _BREAK)
    breaks = np.flatnonzero(symbols == 1)
    lengths = np.diff(breaks)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    room = breaks[owner + 1] - np.arange(len(owner))  # letters up to the next break
    counts = np.minimum(room, len(SIZES))  # of those with no break but at their ends
    slots = _slot(_hashes(symbols)[: len(owner)], _SIZES)
    return Grams(slots[_FIRST.take(counts, axis=0)], np.repeat(owner, counts))


def _hashes(symbols: Words) -> Words:
    """Return (letters, sizes): the hash of the n-gram of each size that begins at each letter."""
    hashes = np.zeros((len(symbols), len(SIZES)), np.uint32)
    rolling = symbols
    for place, size in enumerate(SIZES):
        rolling = rolling[:-1] * _MULTIPLIER + symbols[size - 1 :]
        hashes[: len(rolling), place] = rolling
    return hashes


def _letters(text: str) -> Words:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    place = codes - _SYLLABLES  # wraps around below the block, so one comparison is enough
    is_syllable = place < 11172
    letters = np.empty((len(codes), 3), np.uint32)
    letters[:, 0] = np.where(is_syllable, place // 588 + 0x1100, codes)
    letters[:, 1] = place // 28 % 21 + 0x1161
    letters[:, 2] = place % 28 + 0x11A7
    present = np.empty((len(codes), 3), np.bool_)
    present[:, 0] = True
    present[:, 1] = is_syllable
    present[:, 2] = is_syllable & (letters[:, 2] != 0x11A7)
    return letters[present]


def _slot(hashes: Words, size: Words) -> Words:
    mixed = (hashes ^ (hashes >> np.uint32(15)) ^ size) * _MIX
    return (mixed ^ (mixed >> np.uint32(13))) * _MULTIPLIER >> np.uint32(32 - SLOT_BITS)
