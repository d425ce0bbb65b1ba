"""What is trained in torch is what runs in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from guardrail.classifiers.embedded.features import SLOT_BITS  # noqa: E402
from guardrail.classifiers.embedded.network import Network  # noqa: E402
from training.encode import Encoded, Vocabulary  # noqa: E402
from training.examples import Example  # noqa: E402
from training.export import LINEAR_SHARE, export  # noqa: E402
from training.reader import Reader  # noqa: E402

TURNS = [
    Example("환불하고 싶어요", "네, 도와드릴게요. 주문 번호를 알려 주세요!", False),
    Example("", "한 문장", False),
    Example("두 문장이에요. 그렇죠?", None, False),
    Example("안녕", "", False),
]


def test_both_networks_say_the_same(tmp_path: Path) -> None:
    """Up to the rounding of the embedding to 8 bits; the linear judge adds its share."""
    torch.manual_seed(0)
    slots = np.arange(1 << SLOT_BITS) % 3000
    vocabulary = Vocabulary(slots.astype(np.uint16))
    reader = Reader(3000).eval()
    linear = np.linspace(-1, 1, 3000, dtype=np.float32)
    linear[0] = 0
    export(reader, linear, vocabulary, tmp_path / "weights.npz")
    network = Network.load(tmp_path / "weights.npz")
    encoded = Encoded(TURNS).indexed(vocabulary)

    with torch.no_grad():
        trained = reader(encoded.batch(range(len(TURNS)))).numpy()
    trained[:, 0] += LINEAR_SHARE * np.array(_linear(encoded, linear))

    assert np.allclose(trained, [_run(network, turn) for turn in TURNS], atol=0.02)


def _linear(encoded: Encoded, linear: np.ndarray[tuple[int], np.dtype[np.float32]]) -> list[float]:
    """Return what the linear judge alone says of each turn."""
    rows = [encoded.gather(np.array(parts))[0] for parts in encoded.saids]
    sizes = [encoded.sizes[parts].sum() for parts in encoded.saids]
    return [float(linear[of].sum() / np.sqrt(n + 1)) for of, n in zip(rows, sizes, strict=True)]


def _run(network: Network, turn: Example) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    user = network.read(turn.user)
    said = user if turn.reply is None else network.read(turn.reply)
    return network.logits(user, said, alone=turn.reply is None)
