"""Training texts that nearly stand in an evaluation set: they would make its figures too good.

Two texts are near duplicates when their sets of three-letter pieces, punctuation, spaces and case
aside, have a Jaccard similarity of 0.8 or more. Which pairs to compare is found by MinHash with
locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998): 16 bands of 4 minima, which pass
over a pair of similarity 0.8 once in some 5,000.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["SIMILAR", "alike", "near_duplicates"]

SIMILAR = 0.8
"""The similarity from which on two texts are near duplicates."""

_PIECE = 3
_BANDS, _ROWS = 16, 4
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits mixed: multiplying by it hashes
_Hashes: TypeAlias = npt.NDArray[np.uint64]
_Bucket: TypeAlias = dict[int, list[_Hashes]]
"""Texts that share a key, by the head that their group had when they came."""


def near_duplicates(texts: Iterable[str], others: Sequence[str]) -> dict[int, int]:
    """Return which of the texts nearly stand among the others: their places, and where there."""
    pieces = [_pieces(other) for other in others]
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for place, hashes in enumerate(pieces):
        for key in _keys(hashes):
            buckets[key].append(place)
    found: dict[int, int] = {}
    for place, text in enumerate(texts):
        hashes = _pieces(text)
        candidates = {one for key in _keys(hashes) for one in buckets.get(key, ())}
        alike = (one for one in sorted(candidates) if _similarity(hashes, pieces[one]) >= SIMILAR)
        first = next(alike, None)
        if first is not None:
            found[place] = first
    return found


def alike(texts: Iterable[str]) -> list[list[int]]:
    """Return the places of the texts in groups: near duplicates, and theirs, stand in one."""
    joined: list[int] = []  # of each text, one of its group that leads to the group's head
    same: dict[bytes, int] = {}
    buckets: dict[tuple[int, bytes], _Bucket] = defaultdict(lambda: defaultdict(list))
    for place, hashes in enumerate(map(_pieces, texts)):
        joined.append(same.setdefault(hashes.tobytes(), place))
        if joined[place] == place:
            for key in _keys(hashes):
                _join(joined, place, hashes, buckets[key])
                buckets[key][_head(joined, place)].append(hashes)
    groups: dict[int, list[int]] = defaultdict(list)
    for place in range(len(joined)):
        groups[_head(joined, place)].append(place)
    return list(groups.values())


def _join(joined: list[int], place: int, hashes: _Hashes, bucket: _Bucket) -> None:
    """Join a text's group with those in a bucket that it is like a text of."""
    for other, texts in bucket.items():
        head, own = _head(joined, other), _head(joined, place)
        if head != own and any(_similarity(hashes, one) >= SIMILAR for one in texts):
            joined[own] = head


def _head(joined: list[int], place: int) -> int:
    while joined[place] != place:
        joined[place] = place = joined[joined[place]]
    return place


def _pieces(text: str) -> _Hashes:
    """Return the hashes of a text's pieces, sorted, each once."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    letters = "".join(char for char in folded if char.isalnum()) or folded
    codes = np.frombuffer(letters.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    size = min(_PIECE, len(codes))
    hashes = np.zeros(len(codes) - size + 1, np.uint64)
    for offset in range(size):
        hashes = (hashes + codes[offset : offset + len(hashes)] + np.uint64(1)) * _BASE
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)


@cache
def _factors() -> tuple[_Hashes, _Hashes]:
    """Return what 64 hash functions multiply by and add."""
    draw = np.random.default_rng(0)
    factors, terms = draw.integers(0, 2**63, (2, _BANDS * _ROWS, 1), dtype=np.uint64)
    return factors * np.uint64(2) + np.uint64(1), terms


def _keys(hashes: _Hashes) -> Iterator[tuple[int, bytes]]:
    """Yield the keys of a text's bands: texts that share one are compared."""
    factors, terms = _factors()
    minima = ((hashes * factors + terms) >> np.uint64(32)).min(axis=1)
    for band in range(_BANDS):
        yield band, minima[band * _ROWS : (band + 1) * _ROWS].tobytes()


def _similarity(one: _Hashes, other: _Hashes) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
