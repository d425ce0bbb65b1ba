"""The trained network, in numpy: n-gram embeddings, a reader of sentences, a judge of the whole.

`training/reader.py` is the same network for training.
D: width of an embedding, H: of a hidden layer, S: sentences of the judged text.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from guardrail.classifiers.embedded.features import grams, sentences
from guardrail.errors import ClassifierUnavailable

__all__ = ["WEIGHTS", "Floats", "Network", "Text"]

WEIGHTS = Path(__file__).with_name("weights.npz")
"""The weights that ship with the package."""

Floats: TypeAlias = npt.NDArray[np.float32]

_FEW = 12  # sentences, up to which one matrix product is the quickest sum


@dataclass(frozen=True, slots=True)
class Text:
    """A text as the network sees it.

    Args:
        parts: (S, D) each sentence.
        whole: (D,) all sentences together.
    """

    parts: Floats
    whole: Floats


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
        found = grams(sentences(text) or [""])
        sizes = np.bincount(found.owner)
        rows = self.row_of[found.slots]
        known = np.flatnonzero(rows)
        sums = _summed(self.embedding[rows[known]], found.owner[known], len(sizes)) * self.step
        return Text(sums / _norm(sizes)[:, None], sums.sum(0) / _norm(sizes.sum()))

    def logits(self, user: Text, said: Text, *, alone: bool) -> Floats:
        """Return (7,): the logit of unsafe, and of each category should it be.

        Args:
            user: what the user said.
            said: the judged text: the reply, or again the user's text when it stands alone.
            alone: whether the user's text is judged by itself.
        """
        flag = np.array([alone], np.float32)
        context = np.concatenate([user.whole, said.whole, flag]) @ self.context
        mixed = np.concatenate([said.parts, said.parts * user.whole], axis=1)
        read = _positive(mixed @ self.sentence + self.sentence_bias + context)  # (S, H)
        both = [user.whole, said.whole]
        features = [read.max(0), read[-1], *both, user.whole * said.whole, flag]
        hidden = _positive(np.concatenate(features) @ self.together + self.together_bias)
        logits: Floats = hidden @ self.out + self.out_bias + np.concatenate(both) @ self.direct
        return logits


def _summed(embedded: npt.NDArray[np.int8], owner: npt.NDArray[np.intp], count: int) -> Floats:
    """Return (count, D): the sum of the rows of each owner, which come in a few sorted runs."""
    values = embedded.astype(np.float32)
    if count <= _FEW:
        member = (owner == np.arange(count)[:, None]).astype(np.float32)
        few: Floats = member @ values
        return few
    sums = np.zeros((count, embedded.shape[1]), np.float32)
    if len(owner):
        starts = np.concatenate([[0], np.flatnonzero(np.diff(owner)) + 1])
        np.add.at(sums, owner[starts], np.add.reduceat(values, starts))
    return sums


def _norm(count: npt.NDArray[np.intp] | np.intp) -> Floats:
    return np.sqrt(count + 1, dtype=np.float32)


def _positive(values: Floats) -> Floats:
    return np.maximum(values, 0)
