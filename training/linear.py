"""What each n-gram says by itself: a linear judge of replies, added to the network.

The network learns a source's style by heart sooner than a regularised linear judge does; their sum
is better than either on hate from a source that neither has seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from training.encode import Encoded

__all__ = ["linear_judge"]

_OTHERS = 10  # of the replies to something, one in so many
_FREEDOM = 4.0  # inverse of the regularisation

Floats = npt.NDArray[np.float32]


def linear_judge(drawings: Sequence[Encoded], rows: int) -> Floats:
    """Return the weight of each n-gram row in the judgement of a reply, (rows,).

    It learns from replies to nothing, and from some of the others.
    """
    counts = sparse.vstack([_counts(drawing, _chosen(drawing), rows) for drawing in drawings])
    unsafe = np.concatenate([drawing.unsafe[_chosen(drawing)] for drawing in drawings])
    judge = LogisticRegression(C=_FREEDOM, solver="liblinear", tol=0.01).fit(counts, unsafe)
    weights: Floats = judge.coef_[0].astype(np.float32)
    return weights


def _chosen(drawing: Encoded) -> npt.NDArray[np.intp]:
    """Return the turns to learn from, no reply twice."""
    some = np.arange(len(drawing)) % _OTHERS == 0
    wanted = np.flatnonzero(drawing.unasked | (some & (drawing.alone == 0)))
    replies = {tuple(drawing.saids[turn]): turn for turn in wanted}
    return np.array(list(replies.values()))


def _counts(drawing: Encoded, turns: npt.NDArray[np.intp], rows: int) -> sparse.csr_matrix:
    """Return how often each n-gram is in each reply, scaled as the network scales it."""
    parts = np.concatenate([drawing.saids[turn] for turn in turns])
    lengths = np.array([len(drawing.saids[turn]) for turn in turns])
    turn_starts = np.cumsum(lengths) - lengths
    columns, _ = drawing.gather(parts)
    known = np.add.reduceat(drawing.row_starts[parts + 1] - drawing.row_starts[parts], turn_starts)
    sizes = np.add.reduceat(drawing.sizes[parts], turn_starts)
    values = np.repeat(1 / np.sqrt(sizes + 1), known).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(known)])
    return sparse.csr_matrix((values, columns.astype(np.int32), starts), (len(turns), rows))
