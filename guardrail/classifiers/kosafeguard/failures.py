"""What torch and transformers raise, as the one error that says what to do."""

from __future__ import annotations

import torch

from guardrail.errors import ClassifierError, ClassifierUnavailable, causes, first_line

__all__ = ["is_device_lost", "is_out_of_memory", "while_loading", "while_reading"]

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")
_DEVICE_WORDS = ("cuda error", "hip error", "device-side assert", "cublas_status", "cudnn_status")

_LOADING_ADVICE = {
    "GatedRepoError": "its authors let in only who asked: ask on its page, then log in with "
    "'hf auth login'",
    "RevisionNotFoundError": "there is no such revision; the model's page lists them",
    "RepositoryNotFoundError": "there is no such model, or it is private: check the name, or log "
    "in with 'hf auth login'",
    "LocalEntryNotFoundError": "it is not on this machine and could not be fetched; check the "
    "network, or pass the path of a folder that holds it",
    "OfflineModeIsEnabled": "it is not on this machine and HF_HUB_OFFLINE forbids to fetch it",
    "SafetensorError": "a weight file is damaged or cut short; delete it and download it again",
}  # by the name of the hub's or safetensors' error, so that neither is imported before
_FOLDER_ADVICE = (
    "if it is a folder, it must hold config.json, the weights and tokenizer.json; if it is on "
    "the hub, check the name and the network"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device or the machine had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _MEMORY_WORDS
    )


def is_device_lost(error: BaseException) -> bool:
    """Whether the device failed in a way that only a new process mends."""
    return (
        isinstance(error, RuntimeError)
        and not is_out_of_memory(error)
        and any(words in str(error).lower() for words in _DEVICE_WORDS)
    )


def while_reading(error: Exception) -> ClassifierError:
    """Return what to raise for an error of a forward, with its cause."""
    failure: ClassifierError
    if is_out_of_memory(error):
        failure = ClassifierUnavailable(
            "the device has no memory left even for one prompt; lower cache_tokens or "
            "context_tokens, or load the model with quantization='4bit'"
        )
    elif is_device_lost(error):
        failure = ClassifierUnavailable(
            "the device failed and this process cannot use it any more; restart it "
            f"({first_line(error)})"
        )
    else:
        failure = ClassifierError(f"the model failed: {type(error).__name__}: {first_line(error)}")
    failure.__cause__ = error
    return failure


def while_loading(error: Exception, model: str) -> ClassifierUnavailable:
    """Return what to raise for an error of loading, with its cause."""
    failure = ClassifierUnavailable(f"cannot load {model!r}: {_loading_advice(error)}")
    failure.__cause__ = error
    return failure


def _loading_advice(error: Exception) -> str:
    if is_out_of_memory(error):
        return (
            "no memory left; use quantization='4bit', or a device with more: "
            "'guardrail doctor' says how much is needed"
        )
    for cause in causes(error):
        for kind in type(cause).__mro__:
            if kind.__name__ in _LOADING_ADVICE:
                return _LOADING_ADVICE[_why(kind.__name__)]
    if isinstance(error, OSError | ValueError):
        return f"{_FOLDER_ADVICE} ({first_line(error)})"
    return f"{type(error).__name__}: {first_line(error)}"


def _why(kind: str) -> str:
    """Return the name of the error that says why, where the hub's says only that it is not here."""
    from huggingface_hub import is_offline_mode

    is_missing = kind == "LocalEntryNotFoundError"
    return "OfflineModeIsEnabled" if is_missing and is_offline_mode() else kind
