"""What a fine-tuning run is asked to do, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from guardrail.errors import ConfigError
from guardrail.evaluation.card import MODEL

__all__ = ["Balance", "Duplicates", "Method", "Settings"]


class Method(StrEnum):
    """Which weights learn.

    FULL: all of them.
    LORA: small matrices beside the frozen ones.
    QLORA: the same, with the frozen ones in 4 bits, as KoSafeGuard loads them.
    """

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"


class Balance(StrEnum):
    """How the rarer of safe and unsafe is made to count as much as the other.

    WEIGHT: each of its rows counts for more in the loss.
    SAMPLE: its rows are repeated.
    NONE: not at all.
    """

    WEIGHT = "weight"
    SAMPLE = "sample"
    NONE = "none"


class Duplicates(StrEnum):
    """What becomes of training rows that nearly stand in an evaluation set too."""

    DROP = "drop"
    REFUSE = "refuse"


_LEARNING_RATES = {Method.FULL: 1e-5, Method.LORA: 2e-4, Method.QLORA: 2e-4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train.

    Args:
        base: name on the hub or folder of the model to start from.
        revision: of the base.
        method: which weights learn.
        epochs: passes over the training rows.
        every: epochs between checkpoints; each is saved, evaluated and plotted.
        learning_rate: the highest, after warming up; by method unless given.
        batch: rows per optimiser step, over all devices.
        micro_batch: rows that one device reads behind one head at a time.
        max_tokens: of a training prompt; longer rows are left out. The model's context otherwise.
        hold_out: share of the rows that is kept for evaluation where no set is given for that.
        balance: of safe and unsafe rows.
        duplicates: what becomes of training rows that nearly stand in an evaluation set.
        prefixes: beginnings of each unsafe reply to add, so many from before the point where it
            turns, labelled safe, and so many from after it.
        turn_column: column that says where a reply turns: how many of its characters are safe.
        category_prompts: also train the question about a single category: of each unsafe row with
            a known category, once about that and once about another.
        choose: the figure that the best checkpoint is highest in, or several with weights
            ("f1=2,recall=1,false_alarms=-1"); their mean over all sets.
        rank: of LoRA's matrices.
        bf16: compute in bfloat16; None where the device is a GPU that can.
        checkpointing: recompute activations in the backward pass: slower, in less memory.
        merge: store the chosen model with its adapter merged; None for all but QLORA, whose
            quantised base cannot take it.
        cpu: train on the CPU even where there is a GPU.
        seed: of everything drawn at random.

    Raises:
        ConfigError: a setting makes no sense; the message says what would.
    """

    base: str = MODEL
    revision: str | None = None
    method: Method = Method.LORA
    epochs: float = 1.0
    every: float = 0.25
    learning_rate: float | None = None
    batch: int = 32
    micro_batch: int = 8
    max_tokens: int | None = None
    hold_out: float = 0.1
    balance: Balance = Balance.WEIGHT
    duplicates: Duplicates = Duplicates.DROP
    prefixes: int = 0
    turn_column: str | None = None
    category_prompts: bool = False
    choose: str = "f1"
    rank: int = 16
    bf16: bool | None = None
    checkpointing: bool = False
    merge: bool | None = None
    cpu: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("method", Method), ("balance", Balance), ("duplicates", Duplicates)):
            object.__setattr__(self, name, _member(kind, getattr(self, name), name))
        _require(self.epochs > 0, "epochs", "more than 0")
        _require(self.every > 0, "every", "more than 0 epochs")
        _require(self.rate > 0, "learning_rate", "more than 0")
        _require(self.batch >= 1, "batch", "at least 1")
        _require(1 <= self.micro_batch <= self.batch, "micro_batch", "from 1 to batch")
        _require(self.batch % self.micro_batch == 0, "batch", "a multiple of micro-batch")
        _require(0 < self.hold_out < 1, "hold_out", "a share between 0 and 1")
        _require(self.prefixes >= 0, "prefixes", "0 or more")
        _require(
            self.prefixes >= 1 or self.turn_column is None,
            "prefixes",
            "at least 1 for a turn-column to be of use",
        )
        _require(self.rank >= 1, "rank", "at least 1")
        _require(
            not (self.merge and self.method is Method.QLORA),
            "merge",
            "False for qlora: its adapter was fitted to the quantised weights and belongs to them",
        )

    @property
    def rate(self) -> float:
        """The learning rate."""
        given = self.learning_rate
        return _LEARNING_RATES[self.method] if given is None else given

    @property
    def merged(self) -> bool:
        """Whether the chosen model is stored with its adapter merged."""
        return self.method is not Method.QLORA if self.merge is None else self.merge

    def as_dict(self) -> dict[str, Any]:
        """Return the settings for a file."""
        return asdict(self)


def _member(kind: type[StrEnum], value: str, name: str) -> StrEnum:
    if value not in list(kind):
        raise ConfigError(f"{name} must be one of {', '.join(kind)}, not {value!r}")
    return kind(value)


def _require(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise ConfigError(f"{name.replace('_', '-')} must be {what}")
