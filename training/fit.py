"""The training loop: a few minutes on one core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from training.encode import Encoded
from training.reader import Reader

__all__ = ["Plan", "fit"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Args:
        drawings: of the training set.
        passes: over the examples; each takes the next drawing.
        batch: turns per step.
        rate: the highest learning rate; it rises for a tenth of the steps, then falls to zero.
        decay: weight decay of the embedding.
        soften: what the labels are short of 0 and 1.
        category_share: weight of the category loss.
        hate_share: weight of a hate source's row in the category loss.
    """

    drawings: int = 8
    passes: int = 16
    batch: int = 1024
    rate: float = 6e-3
    decay: float = 0.3
    soften: float = 0.01
    category_share: float = 1.0
    hate_share: float = 0.02


def fit(
    reader: Reader, drawings: Sequence[Encoded], plan: Plan, report: Callable[[str], None]
) -> None:
    """Train the reader in place, the same way for the same seeds."""
    dice = np.random.default_rng(0)
    rounds = [drawings[i % len(drawings)] for i in range(plan.passes)]
    optimiser = _optimiser(reader, plan)
    steps = sum(len(drawing) // plan.batch for drawing in rounds)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.rate, total_steps=steps, pct_start=0.1
    )
    reader.train()
    for number, drawing in enumerate(rounds, 1):
        order = dice.permutation(len(drawing))
        losses = []
        for start in range(0, len(order) - plan.batch + 1, plan.batch):
            loss = _loss(reader, drawing, order[start : start + plan.batch], plan)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        report(f"pass {number} of {plan.passes}: loss {np.mean(losses):.4f}")
    reader.eval()


def _optimiser(reader: Reader, plan: Plan) -> torch.optim.Optimizer:
    embedding = list(reader.embed.parameters())
    rest = [value for name, value in reader.named_parameters() if not name.startswith("embed.")]
    groups = [{"params": embedding, "weight_decay": plan.decay}, {"params": rest}]
    return torch.optim.AdamW(groups, lr=plan.rate, weight_decay=0.0)


def _loss(
    reader: Reader, drawing: Encoded, chosen: np.ndarray[tuple[int], np.dtype[np.int64]], plan: Plan
) -> torch.Tensor:
    logits = reader(drawing.batch(chosen))
    unsafe = torch.from_numpy(drawing.unsafe[chosen])
    target = unsafe * (1 - 2 * plan.soften) + plan.soften
    danger = functional.binary_cross_entropy_with_logits(logits[:, 0], target)
    category = torch.from_numpy(drawing.category[chosen])
    each = functional.cross_entropy(logits[:, 1:], category, ignore_index=-1, reduction="none")
    hate = torch.from_numpy(drawing.hate[chosen])
    kind = (each * (1 - hate * (1 - plan.hate_share))).mean()
    return danger + plan.category_share * kind
