"""The whole run: read, load, train, choose, store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import set_seed
from transformers.trainer_callback import ProgressCallback

from guardrail.classifiers.kosafeguard.encode import Encoder
from guardrail.classifiers.kosafeguard.load import load_tokenizer
from guardrail.classifiers.kosafeguard.places import Place
from guardrail.classifiers.kosafeguard.prompts import Prompts, label_ids
from guardrail.errors import ClassifierError, ConfigError
from guardrail.evaluation.candidates import Candidate
from guardrail.evaluation.columns import Columns
from guardrail.evaluation.data import Dataset
from guardrail.evaluation.rows import Row
from guardrail.finetuning.choice import Choice, Line, Rule, best, lines_of
from guardrail.finetuning.data import Data, gather
from guardrail.finetuning.examples import examples_of
from guardrail.finetuning.model import Learner, Shape, base_place, learner, store
from guardrail.finetuning.output import Output, require_room, translated
from guardrail.finetuning.packing import Sample
from guardrail.finetuning.report import PLOT, card, plot, table
from guardrail.finetuning.samples import Learned, learned, measured
from guardrail.finetuning.settings import Settings
from guardrail.finetuning.trainer import (
    Bars,
    Labels,
    LabelTrainer,
    Quarters,
    Samples,
    arguments,
    due,
)
from guardrail.finetuning.turning import Turning, seen_by, told_by
from guardrail.prompt import render
from guardrail.taxonomy import KOSAFEGUARD, Taxonomy

__all__ = ["Trained", "train"]

_Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run has made.

    Args:
        folder: holds the chosen model, and every checkpoint as a revision.
        lines: the table of all checkpoints on all sets.
        choice: which was chosen, and why.
    """

    folder: Path
    lines: Sequence[Line]
    choice: Choice


def train(
    data: Sequence[str | Path | Dataset],
    out: str | Path,
    *,
    sets: Sequence[str | Path | Dataset] = (),
    settings: Settings | None = None,
    columns: Columns | None = None,
    taxonomy: Taxonomy = KOSAFEGUARD,
    teacher: Candidate | None = None,
    resume: bool = False,
    tell: _Tell | None = None,
) -> Trained:
    """Fine-tune a model of KoSafeGuard's kind on labelled turns.

    Under `accelerate launch` every process makes this call; they share the work.

    Args:
        data: rows to learn from: files, hub ids or `Dataset`s, as for an evaluation.
        out: folder for everything that the run makes.
        sets: rows to be measured on; a share of `data` is held out where there are none.
        settings: how to train.
        columns: which column of the data is what.
        taxonomy: the policy that the prompt states.
        teacher: finds where unsafe replies turn, for `Settings.prefixes`; loaded when it is asked.
        resume: go on from the last complete checkpoint in `out`, if there is one.
        tell: is told in words how it goes.

    Raises:
        ConfigError: a setting, the data or the folder is wrong; nothing expensive has begun.
        ClassifierUnavailable: the base cannot be had or run.
        GuardrailError: the disk or the memory was full in the middle of it.
        MissingExtraError: a library is not installed.
    """
    chosen = settings or Settings()
    state = PartialState(cpu=chosen.cpu)
    job = _Job(
        out=Output(Path(out)),
        settings=_resolved(chosen, state.num_processes),
        taxonomy=taxonomy,
        rule=Rule.parse(chosen.choose),
        state=state,
        tell=tell if tell and state.is_main_process else _quiet,
    )
    return job.run(data, sets, columns, teacher, resume=resume)


def _resolved(settings: Settings, processes: int) -> Settings:
    """Return the settings with what depends on the machine decided."""
    if settings.batch % (settings.micro_batch * processes):
        raise ConfigError(
            f"batch must be a multiple of micro-batch times the {processes} processes"
        )
    able = torch.cuda.is_available() and torch.cuda.is_bf16_supported() and not settings.cpu
    return replace(settings, bf16=able if settings.bf16 is None else settings.bf16)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is learnt from and measured on, as tokens."""

    learned: Learned
    sets: Mapping[str, Sequence[Sample]]
    labels: Labels


@dataclass(frozen=True)
class _Job:
    """One run in one process."""

    out: Output
    settings: Settings
    taxonomy: Taxonomy
    rule: Rule
    state: PartialState
    tell: _Tell

    def run(
        self,
        data: Sequence[str | Path | Dataset],
        sets: Sequence[str | Path | Dataset],
        columns: Columns | None,
        teacher: Candidate | None,
        *,
        resume: bool,
    ) -> Trained:
        with self.state.main_process_first():
            if self.state.is_main_process:
                self.out.inspect(resume=resume)
        self._require_turning(teacher)
        place = base_place(self.settings)
        rows = gather(data, sets, self.settings, columns)
        self.rule.require({name: [row.unsafe for row in one] for name, one in rows.sets.items()})
        encoder = Encoder(load_tokenizer(place.name, revision=place.revision))
        labels, shape = label_ids(encoder, ("safe", "unsafe")), Shape.of(place)
        with self.state.main_process_first():
            if self.state.is_main_process:
                self.out.begin(self._record(place, rows, teacher))
            turnings = self._turnings(rows.train, teacher)
        asked = self._asked(rows, turnings, encoder, shape, labels)
        self._tell_of(rows, asked)
        with translated():
            history = self._learn(place, asked, resume=resume)
            self.state.wait_for_everyone()
            return self._finished(place, rows, asked, history)

    def _require_turning(self, teacher: Candidate | None) -> None:
        known = self.settings.turn_column is not None or teacher is not None
        if teacher is not None:
            teacher.check()
        if self.settings.prefixes and not known:
            raise ConfigError(
                "prefixes need to know where a reply turns unsafe: name --turn-column or --teacher"
            )

    def _record(self, place: Place, rows: Data, teacher: Candidate | None) -> dict[str, Any]:
        """Return what makes this run the same as another."""
        return {
            "settings": {**self.settings.as_dict(), "base": place.name},
            "data": {source.name: source.digest for source in rows.sources},
            "policy": [asdict(clause) for clause in self.taxonomy.clauses],
            "teacher": teacher.described if teacher else None,
            "processes": self.state.num_processes,
        }

    def _turnings(self, rows: Sequence[Row], teacher: Candidate | None) -> Sequence[Turning | None]:
        """Return where rows turn unsafe; a teacher is asked once, and its answers kept."""
        if not self.settings.prefixes:
            return [None] * len(rows)
        if self.settings.turn_column is not None:
            return told_by(rows, self.settings.turn_column)
        assert teacher is not None  # required before
        path = self.out.turnings
        if not path.exists():
            with teacher.opened() as classifier:
                found = seen_by(classifier, rows)
            stored = [None if one is None else [one.safe, one.unsafe] for one in found]
            path.write_text(json.dumps(stored), encoding="utf-8")
        return [None if one is None else Turning(*one) for one in json.loads(path.read_text())]

    def _asked(
        self,
        rows: Data,
        turnings: Sequence[Turning | None],
        encoder: Encoder,
        shape: Shape,
        labels: Labels,
    ) -> _Asked:
        limit = min(self.settings.max_tokens or shape.context, shape.context)
        examples = examples_of(rows.train, turnings, self.taxonomy, self.settings)
        short = Prompts(encoder, render, limit=limit)
        as_served = Prompts(encoder, render, limit=shape.context)
        try:
            to_learn = learned(examples, short, self.settings)
        except ClassifierError as error:  # it speaks of the engine's setting
            told = str(error).rpartition(";")[0]
            raise ConfigError(f"{told}; raise --max-tokens, or choose another base") from error
        return _Asked(to_learn, measured(rows.sets, as_served, self.taxonomy), labels)

    def _tell_of(self, rows: Data, asked: _Asked) -> None:
        for name, count in rows.dropped.items():
            self.tell(f"left out {count} training rows that nearly stand in {name}")
        if asked.learned.too_long:
            self.tell(f"left out {asked.learned.too_long} examples that are too long")
        sizes = ", ".join(f"{name} {len(one)}" for name, one in rows.sets.items())
        self.tell(f"{len(asked.learned.samples)} examples to learn from; measured on {sizes}")

    def _learn(self, place: Place, asked: _Asked, *, resume: bool) -> Sequence[Mapping[str, Any]]:
        """Train, and return all that was logged."""
        set_seed(self.settings.seed)  # LoRA's first weights are drawn
        ready = learner(self.settings, place, device=str(self.state.device))
        last = self.out.last() if resume else None
        steps = -(-len(asked.learned.samples) // self.settings.batch)
        self._require_room(ready, round(steps * self.settings.epochs))
        trainer = LabelTrainer(
            labels=asked.labels,
            rows_per_step=self.settings.batch // self.state.num_processes,
            model=ready.model,
            args=arguments(
                self.settings, self.out.path, processes=self.state.num_processes, steps=steps
            ),
            train_dataset=Samples(asked.learned.samples),
            eval_dataset={name: Samples(one) for name, one in asked.sets.items()},
            processing_class=load_tokenizer(place.name, revision=place.revision),
            callbacks=[Quarters(self.settings, partial(self._saved, list(asked.sets)))],
        )
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(Bars())
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
        history: list[dict[str, float]] = trainer.state.log_history
        return history

    def _require_room(self, ready: Learner, steps: int) -> None:
        planned = due(steps, self.settings.epochs, self.settings.every)
        missing = [one for one in planned if not self.out.checkpoint(one).exists()]
        require_room(
            self.out.path,
            checkpoint=ready.checkpoint_bytes,
            resuming=ready.resuming_bytes,
            count=len(missing),
            final=ready.final_bytes,
        )

    def _saved(self, sets: Sequence[str], history: Sequence[Mapping[str, Any]]) -> None:
        """_Tell and plot what a checkpoint does, and keep the folder small."""
        lines = lines_of(history, sets)
        latest = max(line.steps for line in lines)
        for line in lines:
            if line.steps == latest:
                self.tell(_said(line))
        plot(history, lines, self.out.path / PLOT)
        self.out.slim()

    def _finished(
        self, place: Place, rows: Data, asked: _Asked, history: Sequence[Mapping[str, Any]]
    ) -> Trained:
        """Choose, store and tell."""
        lines = lines_of(history, rows.sets)
        choice = best(lines, self.rule)
        folder = self.out.path
        if self.state.is_main_process:
            store(self.out.checkpoint(choice.steps), folder, self.settings, place)
            plot(history, lines, folder / PLOT)
            examples = len(asked.learned.samples)
            text = card(self.settings, rows, examples, lines, choice, name=folder.name)
            (folder / "README.md").write_text(text, encoding="utf-8")
            said = "\n".join(filter(None, [choice.reason, choice.warning]))
            self.tell(f"\n{table(lines, choice.steps)}\n\n{said}\nstored in {folder}")
        return Trained(folder, lines, choice)


def _said(line: Line) -> str:
    shown = ("accuracy", "f1", "precision", "recall")
    figures = ", ".join(
        f"{name} {line.figures[name]:.3f}" for name in shown if name in line.figures
    )
    return f"step {line.steps} (epoch {line.epoch:.2f}), {line.data}: {figures}"


def _quiet(text: str) -> None:
    """_Tell nobody."""
