"""transformers' Trainer, told what the loss is, what to measure, and when to save."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import (
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import ProgressCallback

from guardrail.errors import GuardrailError
from guardrail.evaluation.figures import NAMES
from guardrail.evaluation.measures import Judgement, measure
from guardrail.finetuning.packing import Sample, packed
from guardrail.finetuning.settings import Settings

__all__ = [
    "LEAST_MASS",
    "Bars",
    "LabelTrainer",
    "Labels",
    "Quarters",
    "Samples",
    "arguments",
    "due",
    "figures",
]

Labels = tuple[int, int]
"""Token ids of safe and unsafe."""

LEAST_MASS = 0.5
"""Probability that both labels must have together: `KoSafeGuard`'s own `min_label_mass`."""

_WARM_UP = 0.03  # of all steps
_LEAST_EVAL_BATCH = 16
_LOGS_PER_QUARTER = 10


class Samples(Dataset[Sample]):
    """Samples as torch's data loader takes them."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._samples)

    def __getitem__(self, place: int) -> Sample:
        """Return one."""
        return self._samples[place]


class LabelTrainer(Trainer):
    """Trains on the label token alone.

    Args:
        labels: token ids of safe and unsafe.
        rows_per_step: of one process in one optimiser step. The loss is divided by it, also where
            an epoch's last step has fewer, so that every row counts the same.
        settings: of `Trainer`.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *, labels: Labels, rows_per_step: int, **settings: Any) -> None:
        super().__init__(data_collator=packed, compute_metrics=figures, **settings)
        self._label_ids = torch.tensor(labels)
        self._rows_per_step = rows_per_step

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the weighted cross entropy of the answers, over the whole vocabulary."""
        logits = _logits(model, inputs)
        answers = self._label_ids.to(logits.device)[inputs["labels"]]
        losses = cross_entropy(logits, answers, reduction="none") * inputs["weights"]
        return losses.sum() / self._rows_per_step

    def prediction_step(
        self,
        model: Any,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, Tensor, Tensor]:
        """Return the labels' log-probabilities (B, 2), and answers with their rows (B, 2)."""
        inputs = self._prepare_inputs(inputs)
        with torch.inference_mode(), self.compute_loss_context_manager():
            logits = _logits(model, inputs)
        answers = torch.stack([inputs["labels"], inputs["rows"]], dim=1)
        return None, logits.log_softmax(-1)[:, self._label_ids.to(logits.device)], answers


def _logits(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """Return the logits after each prompt (B, vocabulary)."""
    ours = ("labels", "weights", "rows")
    asked = {name: value for name, value in inputs.items() if name not in ours}
    logits: Tensor = model(**asked, use_cache=False).logits
    return logits.flatten(0, 1).float()  # packed (1, B, V); padded (B, 1, V)


def figures(prediction: EvalPrediction) -> dict[str, float]:
    """Return the figures of one set, a row judged by its worst window, as the engine does.

    A row that the engine would refuse, since the labels have too little probability in one of its
    windows, counts as judged wrongly.

    Raises:
        GuardrailError: the model has come apart.
    """
    readings, answers = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    if np.isnan(readings).any():
        raise GuardrailError("the model answers with no numbers any more; lower --learning-rate")
    rows, places = np.unique(answers[:, 1], return_inverse=True)
    score = np.zeros(len(rows))
    odds = np.clip(readings[:, 0] - readings[:, 1], -700, 700)  # of safe; beyond, exp overflows
    np.maximum.at(score, places, 1 / (1 + np.exp(odds)))
    unsafe = np.zeros(len(rows), bool)
    unsafe[places] = answers[:, 0] == 1
    mass = np.ones(len(rows))
    np.minimum.at(mass, places, np.exp(readings).sum(axis=1))
    refused = mass < LEAST_MASS
    score = np.where(refused, ~unsafe, score)
    judged = Judgement(unsafe, score >= 0.5, score, np.full(len(rows), -1, np.int8))
    measured = measure(judged, resamples=0)
    known = {name: measured.get(name) for name in NAMES}
    right = readings[np.arange(len(answers)), answers[:, 0]]
    return {
        **{name: figure.value for name, figure in known.items() if figure is not None},
        "loss": float(-right.mean()),
        "label_mass": float(mass.min()),
        "refused": float(refused.mean()),
    }


def due(steps: int, epochs: float, every: float) -> frozenset[int]:
    """Return after which steps to save and evaluate: every so much of an epoch, and at the end."""
    count = math.floor(epochs / every + 1e-9)
    return frozenset(
        {max(1, round(number * every / epochs * steps)) for number in range(1, count + 1)} | {steps}
    )


class Quarters(TrainerCallback):
    """Saves and evaluates when it is due, and tells what came out.

    Args:
        settings: of the run.
        saved: called after each save with all that was logged so far.
    """

    def __init__(
        self, settings: Settings, saved: Callable[[Sequence[Mapping[str, Any]]], None]
    ) -> None:
        self._settings = settings
        self._saved = saved

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **rest: Any,
    ) -> None:
        """Ask for what is due; the log too, so that a run that goes on from here logs the same."""
        if state.global_step in due(state.max_steps, self._settings.epochs, self._settings.every):
            control.should_log = control.should_evaluate = control.should_save = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **rest: Any,
    ) -> None:
        """Tell what came out."""
        if state.is_world_process_zero:
            self._saved(state.log_history)


class Bars(ProgressCallback):
    """The Trainer's progress bars, without every log entry between them."""

    def on_log(self, *args: Any, **rest: Any) -> None:
        """Say nothing; TensorBoard has it."""


def arguments(settings: Settings, folder: Path, *, processes: int, steps: int) -> TrainingArguments:
    """Return the Trainer's arguments.

    Args:
        settings: of the run.
        folder: it writes into.
        processes: that train together.
        steps: of an epoch.
    """
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.micro_batch,
        per_device_eval_batch_size=max(settings.micro_batch, _LEAST_EVAL_BATCH),
        gradient_accumulation_steps=settings.batch // settings.micro_batch // processes,
        num_train_epochs=settings.epochs,
        learning_rate=settings.rate,
        warmup_steps=_WARM_UP,
        bf16=bool(settings.bf16),
        activation_checkpointing=settings.checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        ddp_find_unused_parameters=False,
        use_cpu=settings.cpu,
        seed=settings.seed,
        eval_strategy="no",  # `Quarters` says when
        save_strategy="no",
        logging_steps=max(1, round(steps * settings.every / _LOGS_PER_QUARTER)),
        report_to=["tensorboard"],
        remove_unused_columns=False,
        dataloader_pin_memory=not settings.cpu and torch.cuda.is_available(),
    )
