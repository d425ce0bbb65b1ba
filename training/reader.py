"""The network in torch, for training; `guardrail.classifiers.embedded.network` runs it in numpy.

D: width of an embedding, H: of a hidden layer, T: turns, S: reply sentences, R: n-gram rows.
"""

from __future__ import annotations

import torch
from torch import nn

from training.encode import Batch

__all__ = ["Reader"]


class Reader(nn.Module):
    """Reads each sentence of a reply in the light of the question, then all of them together."""

    def __init__(self, rows: int, width: int = 31, hidden: int = 64, drop: float = 0.5) -> None:
        super().__init__()
        self.embed = nn.EmbeddingBag(rows, width, mode="sum")
        nn.init.normal_(self.embed.weight, std=0.1)
        with torch.no_grad():
            self.embed.weight[0] = 0
        self.drop_grams = drop
        self.sentence = nn.Linear(2 * width, hidden)
        self.context = nn.Linear(2 * width + 1, hidden, bias=False)
        self.together = nn.Linear(2 * hidden + 3 * width + 1, hidden)
        self.out = nn.Linear(hidden, 7)
        self.direct = nn.Linear(2 * width, 7, bias=False)
        self.dropout = nn.Dropout(drop)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return (T, 7): the logit of unsafe, and of each category should it be."""
        sums = self._sums(batch)  # (unique sentences, D)
        turns = len(batch.alone)
        user = _pooled(sums, batch.sizes, batch.user_sentence, batch.user_turn, turns)  # (T, D)
        whole = _pooled(sums, batch.sizes, batch.said_sentence, batch.said_turn, turns)
        part = _scaled(sums[batch.said_sentence], batch.sizes[batch.said_sentence])  # (S, D)
        alone = batch.alone[:, None]
        context = self.context(torch.cat([user, whole, alone], 1))  # (T, H)
        mixed = torch.cat([part, part * user[batch.said_turn]], 1)
        read = torch.relu(self.sentence(mixed) + context[batch.said_turn])  # (S, H)
        worst = torch.zeros(turns, read.shape[1]).scatter_reduce(
            0, batch.said_turn[:, None].expand_as(read), read, "amax"
        )
        features = torch.cat([worst, read[batch.last], user, whole, user * whole, alone], 1)
        hidden = torch.relu(self.together(self.dropout(features)))
        logits: torch.Tensor = self.out(self.dropout(hidden)) + self.direct(
            torch.cat([user, whole], 1)
        )
        return logits

    def _sums(self, batch: Batch) -> torch.Tensor:
        weights = None
        if self.training and self.drop_grams:
            keep = torch.rand(len(batch.rows)) >= self.drop_grams
            weights = keep.float() / (1 - self.drop_grams)
        sums: torch.Tensor = self.embed(batch.rows, batch.starts, per_sample_weights=weights)
        return sums


def _scaled(sums: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    return sums / torch.sqrt(sizes + 1)[:, None]


def _pooled(
    sums: torch.Tensor, sizes: torch.Tensor, sentence: torch.Tensor, turn: torch.Tensor, turns: int
) -> torch.Tensor:
    total = torch.zeros(turns, sums.shape[1]).index_add(0, turn, sums[sentence])
    size = torch.zeros(turns).index_add(0, turn, sizes[sentence])
    return _scaled(total, size)
