"""Write a trained reader as the file that the package loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.calibrate import RAW, Calibration
from training.encode import Vocabulary
from training.reader import Reader

__all__ = ["export"]


def export(
    reader: Reader, vocabulary: Vocabulary, path: Path, calibration: Calibration = RAW
) -> None:
    """Round the embedding to 8 bits, the rest to single precision, and write both uncompressed."""
    weights = {name: value.detach().numpy() for name, value in reader.state_dict().items()}
    embedding = weights["embed.weight"]
    step = np.maximum(np.abs(embedding).max(0), 1e-6) / 127
    slope = np.ones(7, np.float32)
    slope[0] = calibration.slope
    shift = np.zeros(7, np.float32)
    shift[0] = calibration.shift
    np.savez(
        path,
        row_of=vocabulary.row_of,
        embedding=np.round(embedding / step).astype(np.int8),
        step=step.astype(np.float32),
        sentence=weights["sentence.weight"].T,
        sentence_bias=weights["sentence.bias"],
        context=weights["context.weight"].T,
        together=weights["together.weight"].T,
        together_bias=weights["together.bias"],
        out=weights["out.weight"].T * slope,
        out_bias=weights["out.bias"] * slope + shift,
        direct=weights["direct.weight"].T * slope,
        threshold=np.float32(calibration.threshold),
    )
