"""Examples as arrays: each sentence is taken apart once, batches are gathered from that."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from guardrail.classifiers.embedded.features import SLOT_BITS, grams, sentences
from guardrail.classifiers.embedded.normalise import readable
from training.examples import Example
from training.parts import CATEGORIES

__all__ = ["Batch", "Encoded", "Vocabulary"]

_SAID_TO_NOBODY = 1
_CHUNK = 2000  # sentences taken apart at a time
_HATE = ("comment", "curse2runo", "kosbi", "kotox")  # all O1: the category head learns little

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which slots have a row of their own: row_of[slot], 0 for none."""

    row_of: npt.NDArray[np.uint16]

    @classmethod
    def chosen(cls, drawings: Sequence[Encoded], rows: int) -> Vocabulary:
        """Give a row to the slots that occur most in distinct sentences.

        Sentences said to nobody count more: the composed ones outnumber them, and are less varied.
        """
        counts = np.zeros(1 << SLOT_BITS, np.int64)
        for each in drawings:
            counts += each.occurrences(each.users) + each.occurrences(each.saids)
            counts += _SAID_TO_NOBODY * each.occurrences(each.said_to_nobody())
        best = np.argsort(-counts, kind="stable")[: rows - 1]
        row_of = np.zeros(1 << SLOT_BITS, np.uint16)
        row_of[best] = np.arange(1, len(best) + 1)
        return cls(row_of)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some turns as tensors; see `Reader.forward`."""

    rows: torch.Tensor
    starts: torch.Tensor
    sizes: torch.Tensor
    user_sentence: torch.Tensor
    user_turn: torch.Tensor
    said_sentence: torch.Tensor
    said_turn: torch.Tensor
    last: torch.Tensor
    alone: torch.Tensor


class Encoded:
    """Examples, taken apart."""

    def __init__(self, examples: Sequence[Example]) -> None:
        number: dict[str, int] = {}
        texts: dict[str, list[int]] = {}

        def numbers(text: str) -> list[int]:
            if text not in texts:
                parts = sentences(readable(text)) or [""]
                texts[text] = [number.setdefault(part, len(number)) for part in parts]
            return texts[text]

        self.users = [numbers(e.user) for e in examples]
        self.saids = [numbers(e.user if e.reply is None else e.reply) for e in examples]
        self.source = np.array([e.source for e in examples])
        self.alone = np.array([e.reply is None for e in examples], np.float32)
        self.unasked = np.array([e.reply is not None and not e.user for e in examples])
        self.unsafe = np.array([e.unsafe for e in examples], np.float32)
        self.category = np.array([_category(e) for e in examples], np.int64)
        self.hate = np.isin(self.source, _HATE).astype(np.float32)
        self.slots, self.sizes = _taken_apart(list(number))
        self.rows = np.empty(0, np.uint16)
        self.row_starts = np.empty(0, np.int64)

    def indexed(self, vocabulary: Vocabulary) -> Encoded:
        """Return the same turns with the rows of the slots that have one."""
        rows, known = vocabulary.row_of[self.slots], copy.copy(self)
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)
        known.rows = rows[rows > 0]
        counts = np.bincount(owner[rows > 0], minlength=len(self.sizes))
        known.row_starts = np.concatenate([[0], np.cumsum(counts)])
        return known

    def without(self, source: str) -> Encoded:
        """Return the turns that are not from a source."""
        kept, rest = np.flatnonzero(self.source != source), copy.copy(self)
        for name in ("source", "alone", "unasked", "unsafe", "category", "hate"):
            setattr(rest, name, getattr(self, name)[kept])
        rest.users, rest.saids = [self.users[i] for i in kept], [self.saids[i] for i in kept]
        return rest

    def said_to_nobody(self) -> list[list[int]]:
        """Return the sentences of each reply that answers nothing."""
        return [self.saids[turn] for turn in np.flatnonzero(self.unasked)]

    def occurrences(self, texts: Sequence[Sequence[int]]) -> Ints:
        """Return how often each slot is in the distinct sentences of some texts."""
        used = np.zeros(len(self.sizes), np.bool_)
        used[[sentence for text in texts for sentence in text]] = True
        return np.bincount(self.slots[np.repeat(used, self.sizes)], minlength=1 << SLOT_BITS)

    def __len__(self) -> int:
        return len(self.users)

    def batch(self, chosen: Sequence[int] | Ints) -> Batch:
        """Return some of the turns as tensors."""
        users, saids = [self.users[i] for i in chosen], [self.saids[i] for i in chosen]
        user_sizes, said_sizes = [len(u) for u in users], [len(s) for s in saids]
        used = np.array([n for group in (users, saids) for turn in group for n in turn])
        unique, place = np.unique(used, return_inverse=True)
        rows, starts = self.gather(unique)
        user_place, said_place = np.split(place, [sum(user_sizes)])
        turns = np.arange(len(users))
        return Batch(
            torch.from_numpy(rows.astype(np.int64)),
            torch.from_numpy(starts),
            torch.from_numpy(self.sizes[unique].astype(np.float32)),
            torch.from_numpy(user_place),
            torch.from_numpy(np.repeat(turns, user_sizes)),
            torch.from_numpy(said_place),
            torch.from_numpy(np.repeat(turns, said_sizes)),
            torch.from_numpy(np.cumsum(said_sizes) - 1),
            torch.from_numpy(self.alone[np.asarray(chosen)]),
        )

    def gather(self, which: Ints) -> tuple[npt.NDArray[np.uint16], Ints]:
        """Return the rows of some sentences, one after the other, and where each begins."""
        first, after = self.row_starts[which], self.row_starts[which + 1]
        lengths = after - first
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        flat = np.arange(lengths.sum()) + np.repeat(first - starts, lengths)
        return self.rows[flat], starts


def _category(example: Example) -> int:
    return CATEGORIES.index(example.category) if example.category else -1


def _taken_apart(parts: list[str]) -> tuple[npt.NDArray[np.uint32], Ints]:
    slots, sizes = [], []
    for start in range(0, len(parts), _CHUNK):
        part = parts[start : start + _CHUNK]
        found = grams(part)
        slots.append(found.slots[np.argsort(found.owner, kind="stable")])
        sizes.append(np.bincount(found.owner, minlength=len(part)))
    return np.concatenate(slots), np.concatenate(sizes)
