"""What the model has read before: keys and values by token prefix, bounded in tokens.

A prompt is a head (the constant policy) and the tokens after it. Heads stay. Of the rest, the
longest common prefix with any entry of the same head is reused, and the entry that was used
longest ago makes room. An entry owns its tensor: no entry, and no caller, sees another's memory.
Only the engine's worker touches this, so there are no locks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from guardrail.classifiers.kosafeguard.encode import Tokens

__all__ = ["Cache", "common_prefix"]


def common_prefix(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Return how many tokens two sequences share from the start."""
    size = min(len(one), len(other))
    differs = one[:size] != other[:size]
    return int(differs.argmax()) if differs.any() else size


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    head: Tokens
    ids: NDArray[np.int64]
    keys_values: Tensor  # (layers, 2, len(ids), KV, D)


class Cache:
    """Keys and values of heads and of what followed them.

    Args:
        limit: tokens in all, heads included. Heads are never dropped, so that many stay in any
            case; with less room than heads need, nothing else is kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heads: dict[Tokens, Tensor] = {}
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # the last was used last
        self._numbers = count()
        self.tokens = 0
        """Tokens held now."""

    def head(self, ids: Tokens) -> Tensor | None:
        """Return the keys and values of a head, if it was put."""
        return self._heads.get(ids)

    def put_head(self, ids: Tokens, keys_values: Tensor) -> None:
        """Keep a head for good."""
        if ids not in self._heads:
            self.tokens += len(ids)
            self._heads[ids] = keys_values
        self._make_room()

    def longest(self, head: Tokens, ids: Sequence[int]) -> Tensor | None:
        """Return keys and values of the longest cached prefix of `ids`, short of all of them.

        The last token is always left to be read, since its logits are what is asked for.
        """
        wanted = np.asarray(ids[:-1], dtype=np.int64)
        shared = {
            number: common_prefix(entry.ids, wanted)
            for number, entry in self._entries.items()
            if entry.head == head
        }
        best = max(shared, key=shared.__getitem__, default=None)
        if best is None or not shared[best]:
            return None
        self._entries.move_to_end(best)
        return self._entries[best].keys_values[:, :, : shared[best]]

    def put(self, head: Tokens, ids: Sequence[int], keys_values: Tensor) -> None:
        """Keep what followed a head; entries that it begins with are part of it and go.

        Args:
            head: tokens before.
            ids: tokens read after it.
            keys_values: theirs (layers, 2, at least len(ids), KV, D); the first are copied.
        """
        new = np.asarray(ids, dtype=np.int64)
        if not len(new) or len(new) > self._limit:
            return
        for number, entry in list(self._entries.items()):
            if entry.head == head:
                shared = common_prefix(entry.ids, new)
                if shared == len(new):  # already held, as the beginning of another
                    self._entries.move_to_end(number)
                    return
                if shared == len(entry.ids):
                    self._drop(number)
        copied = keys_values[:, :, : len(new)].clone()
        self._entries[next(self._numbers)] = _Entry(head, new, copied)
        self.tokens += len(new)
        self._make_room()

    def clear(self) -> bool:
        """Forget everything but the heads; whether there was any."""
        held = list(self._entries)
        for number in held:
            self._drop(number)
        return bool(held)

    def _drop(self, number: int) -> None:
        self.tokens -= len(self._entries.pop(number).ids)

    def _make_room(self) -> None:
        while self.tokens > self._limit and self._entries:
            self._drop(next(iter(self._entries)))
