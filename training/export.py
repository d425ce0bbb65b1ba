"""Write a trained reader as the file that the package loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.calibrate import RAW, Calibration
from training.encode import Vocabulary
from training.reader import Reader

__all__ = ["LINEAR_SHARE", "export"]

LINEAR_SHARE = 0.5
"""How much the linear judge counts beside the network."""

Floats = npt.NDArray[np.float32]


def export(
    reader: Reader,
    linear: Floats,
    vocabulary: Vocabulary,
    path: Path,
    calibration: Calibration = RAW,
) -> None:
    """Round the embedding to 8 bits, the rest to single precision, and write both uncompressed.

    The linear judge is the last column of the embedding, which only `direct` reads.
    """
    weights = {name: value.detach().numpy() for name, value in reader.state_dict().items()}
    embedding = np.column_stack([weights["embed.weight"], linear])
    step = np.maximum(np.abs(embedding).max(0), 1e-6) / 127
    width, hidden = reader.embed.embedding_dim, reader.out.in_features
    direct = _widened(weights["direct.weight"], width, before=0)
    direct[-1, 0] = LINEAR_SHARE
    slope = np.ones(7, np.float32)
    slope[0] = calibration.slope
    shift = np.zeros(7, np.float32)
    shift[0] = calibration.shift
    np.savez(
        path,
        row_of=vocabulary.row_of,
        embedding=np.round(embedding / step).astype(np.int8),
        step=step.astype(np.float32),
        sentence=_widened(weights["sentence.weight"], width, before=0),
        sentence_bias=weights["sentence.bias"],
        context=_widened(weights["context.weight"], width, before=0),
        together=_widened(weights["together.weight"], width, before=2 * hidden),
        together_bias=weights["together.bias"],
        out=weights["out.weight"].T * slope,
        out_bias=weights["out.bias"] * slope + shift,
        direct=direct * slope,
        threshold=np.float32(calibration.threshold),
    )


def _widened(weights: Floats, width: int, *, before: int) -> Floats:
    """Return the transposed weights, with a row of zeros after each block of an embedding.

    Args:
        weights: (out, before + one or more blocks + at most a flag).
        width: of a block.
        before: width of what stands before the first block.
    """
    blocks = (weights.shape[1] - before) // width
    ends = before + width * np.arange(1, blocks + 1)
    widened: Floats = np.insert(weights.T, ends, 0, axis=0)
    return widened
