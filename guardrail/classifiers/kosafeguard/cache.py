"""What the model has read before: keys and values by token prefix, bounded in tokens.

A prompt is a head (the constant policy) and the tokens after it. Heads stay. Of the rest, the
longest common prefix with any entry of the same head is reused, and the entry that was used
longest ago makes room. An entry owns its tensor: no entry, and no caller, sees another's memory.
Only the engine's worker touches this, so there are no locks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from torch import Tensor

from guardrail.classifiers.kosafeguard.encode import Tokens

__all__ = ["Cache"]


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    head: Tokens
    ids: Tokens
    keys_values: Tensor  # (layers, 2, len(ids), KV, D)


@dataclass(slots=True, eq=False)
class _Node:
    """A place in the tree of all entries' tokens.

    Args:
        next: the places one token further.
        through: numbers of the entries that come by here; never empty but at a root.
        ends: the number of the entry that ends here.
    """

    next: dict[int, _Node] = field(default_factory=dict)
    through: set[int] = field(default_factory=set)
    ends: int | None = None


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
        self._roots: dict[Tokens, _Node] = {}
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
        path = self._path(head, ids[:-1])
        if not path:
            return None
        number = next(iter(path[-1].through))
        self._entries.move_to_end(number)
        return self._entries[number].keys_values[:, :, : len(path)]

    def put(self, head: Tokens, ids: Sequence[int], keys_values: Tensor) -> None:
        """Keep what followed a head; entries that it begins with are part of it and go.

        Args:
            head: tokens before.
            ids: tokens read after it.
            keys_values: theirs (layers, 2, at least len(ids), KV, D); the first are copied.
        """
        if len(ids) > self._limit - sum(map(len, self._heads)):
            return  # it would push out everything, and itself
        path = self._path(head, ids)
        if len(path) == len(ids):  # held already, as an entry or the beginning of one
            if path:
                self._entries.move_to_end(next(iter(path[-1].through)))
            return
        for number in [node.ends for node in path if node.ends is not None]:
            self._drop(number)
        copied = keys_values[:, :, : len(ids)].clone()
        self._add(_Entry(head, tuple(ids), copied))
        self._make_room()

    def clear(self) -> bool:
        """Forget everything but the heads; whether there was any."""
        held = list(self._entries)
        for number in held:
            self._drop(number)
        return bool(held)

    def _path(self, head: Tokens, ids: Sequence[int]) -> list[_Node]:
        """Return the places that tokens lead to, as far as any entry goes."""
        node = self._roots.get(head)
        path: list[_Node] = []
        for token in ids:
            node = None if node is None else node.next.get(token)
            if node is None:
                break
            path.append(node)
        return path

    def _add(self, entry: _Entry) -> None:
        number = next(self._numbers)
        node = self._roots.setdefault(entry.head, _Node())
        for token in entry.ids:
            node = node.next.setdefault(token, _Node())
            node.through.add(number)
        node.ends = number
        self._entries[number] = entry
        self.tokens += len(entry.ids)

    def _drop(self, number: int) -> None:
        entry = self._entries.pop(number)
        self.tokens -= len(entry.ids)
        node = self._roots[entry.head]
        for token in entry.ids:
            further = node.next[token]
            further.through.discard(number)
            if not further.through:
                del node.next[token]  # and all beyond, where only this entry went
                return
            node = further
        node.ends = None

    def _make_room(self) -> None:
        while self.tokens > self._limit and self._entries:
            self._drop(next(iter(self._entries)))
