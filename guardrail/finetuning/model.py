"""The model that learns: loaded, given its adapter, and stored so that others can load it."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from guardrail.classifiers.kosafeguard.failures import while_loading
from guardrail.classifiers.kosafeguard.load import (
    is_out_of_reach,
    load,
    load_tokenizer,
    refuse_unpackable,
)
from guardrail.classifiers.kosafeguard.places import Place, base_of, place_of
from guardrail.errors import ConfigError, needing
from guardrail.finetuning.packing import prepare
from guardrail.finetuning.settings import Method, Settings

__all__ = ["Learner", "Shape", "base_place", "learner", "store"]

_DROPOUT = 0.05
_BESIDE = ["tokenizer*", "special_tokens_map.json", "chat_template*"]
_CONFIGURATIONS = ["config.json", "generation_config.json"]
_OPTIMISER_BYTES = 8  # two float32 moments for each number that learns


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """A model that is ready to learn.

    Args:
        model: with its adapter, if it has one.
        checkpoint_bytes: of the weights of one checkpoint.
        resuming_bytes: of what going on from one needs beside them.
        final_bytes: of what is stored at the end.
    """

    model: Any
    checkpoint_bytes: int
    resuming_bytes: int
    final_bytes: int


def base_place(settings: Settings) -> Place:
    """Return where the model to start from is.

    Raises:
        ConfigError: it is an adapter.
        ClassifierUnavailable: there is no such revision of a folder.
    """
    place = place_of(settings.base, settings.revision)
    if base_of(place) != place:
        raise ConfigError(
            f"{place.name!r} is an adapter; merge it first, or start from its base "
            f"{base_of(place).name!r}"
        )
    folder = Path(place.name)
    return Place(str(folder.resolve())) if folder.is_dir() else place


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's configuration says of it.

    Args:
        context: tokens that it reads at most.
        dtype: that its weights are stored in.
    """

    context: int
    dtype: torch.dtype

    @classmethod
    def of(cls, place: Place) -> Shape:
        """Return the shape of the model at a place.

        Raises:
            ClassifierUnavailable: it cannot be had.
        """
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(
                place.name, revision=place.revision, local_files_only=is_out_of_reach(place)
            )
            dtype = config.dtype
            context = int(config.max_position_embeddings)
        except Exception as error:  # the hub, the files, the network: whatever went wrong is told
            raise while_loading(error, place.name) from error
        return cls(context, dtype if isinstance(dtype, torch.dtype) else torch.float32)


def learner(settings: Settings, place: Place, *, device: str) -> Learner:
    """Load the base and make it ready to learn.

    Weights that learn are float32, whatever they are stored in: bfloat16 would swallow small steps.

    Raises:
        ClassifierUnavailable: it cannot be had, or not be run; the message says what to do.
        MissingExtraError: peft is not installed.
    """
    frozen = torch.bfloat16 if settings.bf16 else torch.float32
    model = load(
        place.name,
        revision=place.revision,
        quantization="4bit" if settings.method is Method.QLORA else None,
        device=device,
        dtype=torch.float32 if settings.method is Method.FULL else frozen,
    ).model
    refuse_unpackable(model)
    prepare(model)
    numbers = model.num_parameters()
    if settings.method is not Method.FULL:
        model = _with_lora(model, settings, place)
    learning = sum(each.numel() for each in model.parameters() if each.requires_grad)
    whole = numbers * Shape.of(place).dtype.itemsize
    return Learner(
        model,
        checkpoint_bytes=learning * 4,
        resuming_bytes=learning * _OPTIMISER_BYTES,
        final_bytes=whole if settings.merged else learning * 4,
    )


def _with_lora(model: Any, settings: Settings, place: Place) -> Any:
    with needing("train"):
        from peft import LoraConfig, get_peft_model
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=2 * settings.rank,
        lora_dropout=_DROPOUT,
        target_modules="all-linear",
        revision=place.revision,
    )
    model.requires_grad_(False)
    with warnings.catch_warnings():  # peft asks transformers by an older name
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, config)


def store(checkpoint: Path, folder: Path, settings: Settings, place: Place) -> None:
    """Store a checkpoint in a folder that transformers, vLLM and `KoSafeGuard` load.

    What stands beside the weights (configurations, tokenizer, chat template) is the base's own,
    byte for byte: what serves the base serves this.

    Args:
        checkpoint: as the Trainer saved it.
        folder: gets the model, or its adapter.
        settings: of the run.
        place: of the base.
    """
    beside = _BESIDE + (_CONFIGURATIONS if settings.merged else [])
    if settings.merged:
        loaded = load(checkpoint, quantization=None, device="cpu", dtype=Shape.of(place).dtype)
        loaded.model.save_pretrained(folder)
    else:
        for path in checkpoint.glob("adapter_*"):
            shutil.copy2(path, folder / path.name)
    load_tokenizer(place.name, revision=place.revision).save_pretrained(folder)
    source = _files_of(place, beside)
    for path in (one for pattern in beside for one in source.glob(pattern)):
        shutil.copy2(path, folder / path.name)


def _files_of(place: Place, patterns: list[str]) -> Path:
    """Return a folder with such files of a model."""
    if Path(place.name).is_dir():
        return Path(place.name)
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            place.name,
            revision=place.revision,
            allow_patterns=patterns,
            local_files_only=is_out_of_reach(place),
        )
    )
