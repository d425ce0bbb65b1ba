"""Loading a model and its tokenizer, quantised or not, and refusing what cannot be run exactly."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from guardrail.classifiers.kosafeguard.failures import while_loading
from guardrail.classifiers.kosafeguard.places import Place, base_of, place_of, with_adapter
from guardrail.errors import ClassifierUnavailable, ConfigError, GuardrailError, MissingExtraError

__all__ = [
    "MODEL",
    "Loaded",
    "Quantization",
    "best_device",
    "context_of",
    "is_out_of_reach",
    "load",
    "load_tokenizer",
    "refuse_unpackable",
]

MODEL = "heegyu/KoSafeGuard-8b-0503"

_SERVER_FAILS = 500
Quantization = Literal["4bit", "8bit", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A causal language model of transformers, on one device, and its fast tokenizer."""

    model: Any
    tokenizer: Any


def best_device() -> str:
    """Return the device that models are loaded on unless told otherwise."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def load(
    model: str | Path,
    *,
    revision: str | None = None,
    quantization: Quantization | None = "4bit",
    device: str | None = None,
    dtype: str | torch.dtype = "auto",
) -> Loaded:
    """Load a model by its hub name or from a local folder.

    Args:
        model: hub name, or path of a folder: of a model, or of an adapter, which is merged unless
            the weights are quantised.
        revision: branch, tag or commit on the hub; of a folder, the name of one in it.
        quantization: of the weights while loading; None keeps them as they are stored, and so does
            "none", for configuration files, which have no None.
        device: such as "cuda", "cuda:1" or "cpu"; the first GPU if there is one.
        dtype: of weights that are not quantised, and of all computing; "auto" is the stored one.

    Raises:
        ClassifierUnavailable: it cannot be had, or not be run; the message says what to do.
        MissingExtraError: a library is not installed.
    """
    quantization = None if quantization == "none" else quantization
    config = _quantization_config(quantization, dtype)
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(model, revision=revision)
    place = place_of(model, revision)
    base = base_of(place)
    models: Any = AutoModelForCausalLM  # its types know no loading info
    try:
        loaded, found = models.from_pretrained(
            base.name,
            revision=base.revision,
            local_files_only=is_out_of_reach(base),
            dtype=dtype,
            device_map={"": device or best_device()},
            quantization_config=config,
            output_loading_info=True,
        )
        _refuse_gaps(found["missing_keys"], base)
        if base != place:
            loaded = with_adapter(loaded, place, merge=quantization is None)
    except GuardrailError:
        raise
    except Exception as error:  # the hub, the files, the device: whatever went wrong is told
        raise while_loading(error, base.name) from error
    return Loaded(loaded, tokenizer)


def _refuse_gaps(missing: Collection[str], place: Place) -> None:
    """Raise where weights are missing; transformers would draw them at random."""
    if missing:
        raise ClassifierUnavailable(
            f"{place.name!r} lacks {len(missing)} of its weights, such as {min(missing)!r}; "
            "download it again, and check that config.json belongs to it"
        )


def load_tokenizer(model: str | Path, *, revision: str | None = None) -> Any:
    """Load a model's tokenizer; see `load`."""
    from transformers import AutoTokenizer

    place = place_of(model, revision)
    try:
        return AutoTokenizer.from_pretrained(
            place.name, revision=place.revision, local_files_only=is_out_of_reach(place)
        )
    except Exception as error:  # as above
        raise while_loading(error, place.name) from error


def is_out_of_reach(place: Place) -> bool:
    """Whether the hub cannot be asked for a model, so that what is on this machine must do.

    Asked once, with the user's own endpoint, token and time limit. Otherwise each file of a model
    that is not here would be asked for six times, with pauses that grow.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, is_offline_mode
    from huggingface_hub.errors import HfHubHTTPError

    if Path(place.name).is_dir() or is_offline_mode():
        return False  # nobody is asked
    url = hf_hub_url(place.name, "config.json", revision=place.revision)
    try:
        get_hf_file_metadata(url)
    except HfHubHTTPError as error:
        return error.response.status_code >= _SERVER_FAILS  # anything else is an answer
    except Exception:  # no name, no route, no time left, a proxy's or a certificate's fault
        return True
    return False


def _quantization_config(quantization: Quantization | None, dtype: str | torch.dtype) -> Any:
    for library in ("transformers", "accelerate", *(["bitsandbytes"] if quantization else [])):
        if find_spec(library) is None:
            raise MissingExtraError(library=library, extra="kosafeguard")
    from transformers import BitsAndBytesConfig

    match quantization:
        case None:
            return None
        case "4bit":
            # fp4 is what the card's load_in_4bit=True means. Computing in the weights' own dtype,
            # not in bitsandbytes' default float32, is what makes it fast on a GPU.
            compute = torch.bfloat16 if dtype == "auto" else dtype
            return BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # it has no types
                load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_compute_dtype=compute
            )
        case "8bit":
            return BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
    raise ConfigError(f"quantization is {quantization!r}; it must be '4bit', '8bit' or None")


def refuse_unpackable(model: Any) -> None:
    """Raise unless packed attention gives this model's own answers.

    Raises:
        ClassifierUnavailable: its attention is of another kind than full and causal, or it is
            spread over several devices.
    """
    config = model.config
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    reasons = {
        "is not a decoder": getattr(config, "is_encoder_decoder", False),
        "has sliding windows": _slides(config),
        "caps its attention scores": getattr(config, "attn_logit_softcapping", None) is not None,
        "has positions that depend on the length": rope in ("dynamic", "longrope"),
        "has an attention of its own": not getattr(model, "_supports_attention_backend", False),
        "is spread over several devices": len({p.device for p in model.parameters()}) > 1,
    }
    for reason, holds in reasons.items():
        if holds:
            raise ClassifierUnavailable(
                f"{type(model).__name__} {reason}; use a model like Llama 3, on one device"
            )


def _slides(config: Any) -> bool:
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    used = window is not None and getattr(config, "use_sliding_window", True)
    return kinds != {"full_attention"} or (used and not hasattr(config, "layer_types"))


def context_of(model: Any) -> int:
    """Return how many tokens the model reads at most."""
    return int(model.config.max_position_embeddings)
