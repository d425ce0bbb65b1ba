"""The trained network, in numpy: n-gram embeddings, a reader of sentences, a judge of the whole.

`training/reader.py` is the same network for training.
D: width of an embedding, H: of a hidden layer, S: sentences of the judged text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from guardrail.classifiers.embedded.features import grams, sentences
from guardrail.errors import ClassifierUnavailable

__all__ = ["WEIGHTS", "Asked", "Floats", "Network", "Rows", "Text"]

WEIGHTS = Path(__file__).with_name("weights.npz")
"""The weights that ship with the package."""

Floats: TypeAlias = npt.NDArray[np.float32]

Rows: TypeAlias = npt.NDArray[np.uint16]

_AT_A_TIME = 2048  # characters: what is computed of so many fits into a cache
_BLOCK = 32  # n-grams that are added up at a time
_ONES = np.ones(_BLOCK, np.float32)


@dataclass(frozen=True, slots=True)
class Text:
    """A text as the network sees it.

    Args:
        parts: (S, D) each sentence.
        whole: (D,) all sentences together.
    """

    parts: Floats
    whole: Floats


Asked: TypeAlias = tuple[Text, Text, bool]
"""What the user said, the judged text, and whether that is the user's own: see `logits`."""


@dataclass(frozen=True, slots=True)
class Network:
    """The weights, by the names they have in the file, and what is computed with them.

    Args:
        row_of: (slots,) row of the embedding, 0 for slots that have none.
        embedding: (rows, D) int8; row 0 is zero.
        step: (D,) what one unit of the embedding is worth.
        sentence, sentence_bias: (2 D, H), (H,).
        context: (2 D + 1, H).
        together, together_bias: (2 H + 3 D + 1, H), (H,).
        out, out_bias: (H, 7), (7,).
        direct: (2 D, 7).
        threshold: (), the score from which a turn is unsafe.
    """

    row_of: npt.NDArray[np.uint16]
    embedding: npt.NDArray[np.int8]
    step: Floats
    sentence: Floats
    sentence_bias: Floats
    context: Floats
    together: Floats
    together_bias: Floats
    out: Floats
    out_bias: Floats
    direct: Floats
    threshold: Floats

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Self:
        """Return the network that a file holds.

        Raises:
            ClassifierUnavailable: the file is missing or holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(**{field.name: stored[field.name] for field in fields(cls)})
        except (OSError, KeyError, ValueError) as error:
            raise ClassifierUnavailable(
                f"cannot read the embedded classifier's weights from {str(path)!r}: {error}; "
                "reinstall the package, or run: python -m training.train_embedded"
            ) from error

    def read(self, text: str) -> Text:
        """Return a normalised text's embeddings; a blank text has one blank sentence."""
        return self.read_many([text])[0]

    def read_many(self, texts: Sequence[str]) -> list[Text]:
        """Return each text's embeddings: those that `read` gives, to the bit."""
        return [text for group in _groups(texts) for text in self._read(group)]

    def _read(self, texts: Sequence[str]) -> list[Text]:
        parts = [sentences(text) or [""] for text in texts]
        found = grams([part for one in parts for part in one])
        sizes = np.bincount(found.owner)
        sums = _summed(self.embedding, self.row_of.take(found.slots), sizes)
        ends = np.cumsum([len(one) for one in parts])
        starts = np.concatenate([[0], ends[:-1]])
        each = sums * self.step / _norm(sizes)
        sums, sizes = np.add.reduceat(sums, starts), np.add.reduceat(sizes, starts)
        whole = sums * self.step / _norm(sizes)
        bounds = zip(starts.tolist(), ends.tolist(), whole, strict=True)
        return [Text(each[start:end], one) for start, end, one in bounds]

    def logits(self, user: Text, said: Text, *, alone: bool) -> Floats:
        """Return (7,): the logit of unsafe, and of each category should it be.

        Args:
            user: what the user said.
            said: the judged text: the reply, or again the user's text when it stands alone.
            alone: whether the user's text is judged by itself.
        """
        logits: Floats = self.logits_many([(user, said, alone)])[0]
        return logits

    def logits_many(self, asked: Sequence[Asked]) -> Floats:
        """Return (B, 7): what `logits` gives for each, to the bit."""
        user = np.stack([user.whole for user, _, _ in asked])
        said = np.stack([said.whole for _, said, _ in asked])
        flag = np.array([[alone] for _, _, alone in asked], np.float32)
        parts = np.concatenate([said.parts for _, said, _ in asked])
        sizes = np.array([len(said.parts) for _, said, _ in asked])
        owner, ends = np.repeat(np.arange(len(sizes)), sizes), np.cumsum(sizes)
        context = _each(np.concatenate([user, said, flag], axis=1), self.context)
        mixed = np.concatenate([parts, parts * user[owner]], axis=1)
        read = _positive(_each(mixed, self.sentence) + self.sentence_bias + context[owner])
        worst = np.maximum.reduceat(read, ends - sizes)
        features = np.concatenate([worst, read[ends - 1], user, said, user * said, flag], axis=1)
        hidden = _positive(_each(features, self.together) + self.together_bias)
        direct = _each(np.concatenate([user, said], axis=1), self.direct)
        logits: Floats = _each(hidden, self.out) + self.out_bias + direct
        return logits


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts, a few at a time."""
    group: list[str] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text)
        if size >= _AT_A_TIME:
            yield group
            group, size = [], 0
    if group:
        yield group


def _summed(embedding: npt.NDArray[np.int8], rows: Rows, counts: npt.NDArray[np.intp]) -> Floats:
    """Return (S, D): the sum of the embeddings of each sentence's rows, at least one for each.

    The summands are small integers, so neither their order nor blocks of them change anything.
    """
    width = embedding.shape[1]
    blocks = -(-counts // _BLOCK)
    first = np.cumsum(blocks) - blocks
    shift = first * _BLOCK - (np.cumsum(counts) - counts)
    padded = np.zeros(blocks.sum() * _BLOCK, rows.dtype)  # row 0 is zero
    padded[np.arange(len(rows)) + np.repeat(shift, counts)] = rows
    values = embedding.view(f"V{width}")[:, 0].take(padded)  # whole rows: far quicker than cells
    floats = values.view(np.int8).reshape(-1, _BLOCK, width).astype(np.float32)
    sums: Floats = np.add.reduceat(_ONES @ floats, first)
    return sums


def _each(values: Floats, weights: Floats) -> Floats:
    """Multiply row by row: a product of all rows at once rounds otherwise in batches."""
    product: Floats = (values[:, None] @ weights)[:, 0]
    return product


def _norm(counts: npt.NDArray[np.intp]) -> Floats:
    return np.sqrt(counts + 1, dtype=np.float32)[:, None]


def _positive(values: Floats) -> Floats:
    return np.maximum(values, 0)
