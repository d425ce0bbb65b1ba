"""Write a trained reader as the file that the package loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.encode import Vocabulary
from training.reader import Reader

__all__ = ["export"]


def export(reader: Reader, vocabulary: Vocabulary, threshold: float, path: Path) -> None:
    """Round the embedding to 8 bits, the rest to single precision, and write both uncompressed."""
    weights = {name: value.detach().numpy() for name, value in reader.state_dict().items()}
    embedding = weights["embed.weight"]
    step = np.maximum(np.abs(embedding).max(0), 1e-6) / 127
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
        out=weights["out.weight"].T,
        out_bias=weights["out.bias"],
        direct=weights["direct.weight"].T,
        threshold=np.float32(threshold),
    )
