"""Loading, quantised or not, and what is said when it fails."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import errors as hub
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, LlamaForCausalLM

from guardrail.bench.models import Size, tokenizer_like_llama3
from guardrail.bench.recipe import Recipe
from guardrail.classifiers import KoSafeGuard
from guardrail.classifiers.kosafeguard import card_examples
from guardrail.classifiers.kosafeguard.encode import Encoder
from guardrail.classifiers.kosafeguard.failures import while_loading
from guardrail.classifiers.kosafeguard.load import load, refuse_unpackable
from guardrail.classifiers.kosafeguard.prompts import label_ids
from guardrail.errors import ClassifierUnavailable, ConfigError
from tests.unit.kosafeguard.llamas import lively_llama

EXAMPLES = [conversation for conversation, _ in card_examples()]
QUANTISABLE = Size(128, 2, 4, 2, 256, 1024)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and its tokenizer, saved as the hub stores them."""
    place = tmp_path_factory.mktemp("model")
    lively_llama(QUANTISABLE).save_pretrained(place)
    tokenizer_like_llama3().save_pretrained(place)
    return place


def scores(guard: KoSafeGuard) -> list[float]:
    return [verdict.score for verdict in guard.classify_many(EXAMPLES)]


def plain_scores(model: Any, guard: KoSafeGuard) -> list[float]:
    recipe = Recipe(model, tokenizer_like_llama3(), guard.engine.labels)
    return recipe.one_by_one(EXAMPLES)


def plainly_loaded(folder: Path, **how: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, device_map={"": "cpu"}, **how)


@pytest.mark.parametrize(("dtype", "close"), [("auto", 1e-4), ("bfloat16", 0.05)])
def test_from_a_folder(folder: Path, dtype: str, close: float) -> None:
    """A local folder loads in the dtype asked for, and scores what the recipe does with it."""
    guard = KoSafeGuard(folder, quantization=None, dtype=dtype, device="cpu", min_label_mass=0.0)
    model = plainly_loaded(folder, dtype=dtype)

    assert plain_scores(model, guard) == pytest.approx(scores(guard), abs=close)


def test_4bit_equals_4bit(folder: Path) -> None:
    """With 4-bit weights the packed forward scores what a plain 4-bit forward does."""
    guard = KoSafeGuard(
        folder, quantization="4bit", dtype="float32", device="cpu", min_label_mass=0.0
    )
    config = BitsAndBytesConfig(load_in_4bit=True)
    model = plainly_loaded(folder, dtype=torch.float32, quantization_config=config)

    assert plain_scores(model, guard) == pytest.approx(scores(guard), abs=1e-3)


def test_8bit_is_close_to_8bit(folder: Path) -> None:
    """With 8-bit weights the scores are near the recipe's.

    Not equal: which columns count as outliers depends on what is read together.
    """
    guard = KoSafeGuard(
        folder, quantization="8bit", dtype="float32", device="cpu", min_label_mass=0.0
    )
    config = BitsAndBytesConfig(load_in_8bit=True)
    model = plainly_loaded(folder, dtype=torch.float32, quantization_config=config)

    assert plain_scores(model, guard) == pytest.approx(scores(guard), abs=0.1)


def test_quantised_scores_differ_from_plain_ones(folder: Path) -> None:
    """Quantising does something, or the tests of equal scores would prove nothing."""
    how: dict[str, Any] = {"dtype": "float32", "device": "cpu", "min_label_mass": 0.0}
    plain = KoSafeGuard(folder, quantization=None, **how)
    quantised = KoSafeGuard(folder, quantization="4bit", **how)

    assert scores(plain) != pytest.approx(scores(quantised), abs=1e-3)


def test_an_unknown_quantization(folder: Path) -> None:
    """A quantization that does not exist is a setting's error."""
    with pytest.raises(ConfigError, match="'4bit'"):
        load(folder, quantization="2bit")  # type: ignore[arg-type]  # what is tested


def test_an_empty_folder(tmp_path: Path) -> None:
    """A folder without a model says what belongs into it."""
    with pytest.raises(ClassifierUnavailable, match=r"config\.json"):
        load(tmp_path, quantization=None, device="cpu")


def test_a_damaged_weight_file(folder: Path, tmp_path: Path) -> None:
    """Weights that were cut short say to be downloaded again."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(
            file.read_bytes()[: 10_000_000 if "token" in file.name else 2000]
        )

    with pytest.raises(ClassifierUnavailable, match="download"):
        load(tmp_path, quantization=None, device="cpu")


def hub_error(kind: type[Exception]) -> Exception:
    """Return an error of the hub as transformers passes it on."""
    outer = OSError("transformers' long words\nin many lines")
    outer.__cause__ = kind.__new__(kind)
    return outer


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (hub_error(hub.GatedRepoError), "hf auth login"),
        (hub_error(hub.RepositoryNotFoundError), "check the name"),
        (hub_error(hub.RevisionNotFoundError), "revision"),
        (hub_error(hub.LocalEntryNotFoundError), "network"),
        (hub_error(hub.OfflineModeIsEnabled), "HF_HUB_OFFLINE"),
        (torch.OutOfMemoryError("CUDA out of memory"), "quantization='4bit'"),
        (OSError("no file named x"), "no file named x"),
        (KeyError("llama9"), "llama9"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_why_a_model_cannot_be_loaded(error: Exception, advice: str) -> None:
    """Each cause is one sentence with the model's name and what to do, the cause kept."""
    failure = while_loading(error, "some/model")

    assert "'some/model'" in str(failure)
    assert advice in str(failure)
    assert "\n" not in str(failure)
    assert failure.__cause__ is error


def with_config(**changes: Any) -> Any:
    model = lively_llama()
    for name, value in changes.items():
        setattr(model.config, name, value)
    return model


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: with_config(sliding_window=512), "sliding"),
        (lambda: with_config(layer_types=["full_attention", "sliding_attention"]), "sliding"),
        (lambda: with_config(attn_logit_softcapping=30.0), "caps"),
        (lambda: with_config(rope_parameters={"rope_type": "dynamic"}), "positions"),
        (lambda: with_config(is_encoder_decoder=True), "decoder"),
    ],
)
def test_models_that_packing_would_change(build: Callable[[], Any], why: str) -> None:
    """A model whose answers packing would change is refused, not run wrongly."""
    with pytest.raises(ClassifierUnavailable, match=why):
        refuse_unpackable(build())


def test_same_labels() -> None:
    """Two labels that are one token are refused when loading."""
    with pytest.raises(ClassifierUnavailable, match="same token"):
        label_ids(Encoder(tokenizer_like_llama3()), ("safe", "safe"))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"threshold": value} for value in (50, 2.0, -0.1, math.nan, True, "0.5")),
        *({"min_label_mass": value} for value in (7, math.nan, False)),
        *({"labels": value} for value in (("safe", "safe"), ("safe",), "no", (1, 2))),
        *({"max_batch_tokens": value} for value in (0, -5, 1.5)),
        *({"context_tokens": value} for value in (0, -3)),
        {"cache_tokens": -1},
    ],
    ids=str,
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    """A setting out of its range is told before anything is loaded, by its name."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        KoSafeGuard("/nowhere", **wrong)


def changed_weights(folder: Path, place: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Return a copy of a folder with other weights."""
    shutil.copytree(folder, place, dirs_exist_ok=True)
    weights = load_file(place / "model.safetensors")
    change(weights)
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    return place


@pytest.mark.parametrize("quantization", [None, "4bit", "8bit"])
def test_missing_weights(folder: Path, tmp_path: Path, quantization: Any) -> None:
    """Weights that lack a tensor are refused by its name, never made up at random."""
    gone = "model.layers.1.mlp.up_proj.weight"
    place = changed_weights(folder, tmp_path, lambda weights: weights.pop(gone))

    with pytest.raises(ClassifierUnavailable, match=gone):
        load(place, quantization=quantization, device="cpu")


def test_tied_weights_are_not_missing(tmp_path: Path) -> None:
    """An output layer that is the embedding is stored once, and found."""
    config = copy.deepcopy(lively_llama(QUANTISABLE).config)
    config.tie_word_embeddings = True
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer_like_llama3().save_pretrained(tmp_path)
    model = load(tmp_path, quantization=None, device="cpu").model

    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_weights_that_are_no_numbers(folder: Path, tmp_path: Path) -> None:
    """Damaged weights are refused when loading, with what to do."""
    name = "model.layers.1.mlp.up_proj.weight"
    place = changed_weights(folder, tmp_path, lambda weights: weights[name].fill_(math.nan))

    with pytest.raises(ClassifierUnavailable, match="no numbers"):
        KoSafeGuard(place, quantization=None, device="cpu")


def other_model(kind: str, **settings: Any) -> Any:
    """Return a random model of another architecture."""
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes = {"intermediate_size": 128, "vocab_size": 1024, "max_position_embeddings": 4096}
    config = AutoConfig.for_model(kind, **shape, **sizes, **settings)
    model = AutoModelForCausalLM.from_config(config).eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2)
    return model


@pytest.mark.parametrize("kind", ["diffllama", "bloom"])
def test_models_that_answer_otherwise_when_packed(kind: str) -> None:
    """Whatever its configuration says, a model that packing changes is refused when loading."""
    with pytest.raises(ClassifierUnavailable, match="Llama 3"):
        KoSafeGuard.from_loaded(other_model(kind), tokenizer_like_llama3())


def test_a_model_with_other_names() -> None:
    """A model whose layers are named otherwise than Llama's gives its own answers too."""
    model = other_model("gpt_neox")
    plain = copy.deepcopy(model)
    guard = KoSafeGuard.from_loaded(model, tokenizer_like_llama3(), min_label_mass=0.0)

    assert plain_scores(plain, guard) == pytest.approx(scores(guard), abs=1e-4)


def test_a_model_that_was_used_before() -> None:
    """A second classifier on the same model gives the same answers."""
    model = lively_llama()
    first = KoSafeGuard.from_loaded(
        copy.deepcopy(model), tokenizer_like_llama3(), min_label_mass=0.0
    )
    KoSafeGuard.from_loaded(model, tokenizer_like_llama3(), min_label_mass=0.0)
    again = KoSafeGuard.from_loaded(model, tokenizer_like_llama3(), min_label_mass=0.0)

    assert scores(again) == pytest.approx(scores(first), abs=1e-4)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's
def test_an_adapter_that_lacks_weights(folder: Path, tmp_path: Path) -> None:
    """An adapter with a part missing is refused, not applied as if that part had learnt nothing."""
    peft = pytest.importorskip("peft")
    base = AutoModelForCausalLM.from_pretrained(folder)
    peft.get_peft_model(base, peft.LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path)
    tokenizer_like_llama3().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    weights.pop(max(weights))
    save_file(weights, tmp_path / "adapter_model.safetensors", {"format": "pt"})

    with pytest.raises(ClassifierUnavailable, match="missing adapter keys"):
        load(tmp_path, quantization=None, device="cpu")
