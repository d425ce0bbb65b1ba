"""Random Llamas and a tokenizer of Llama 3's form, built on the spot: nothing is downloaded.

Speed does not depend on what the weights say, so a random Llama of a model's shape stands in for
the model. The tokenizer is trained on the policy prompt itself, with as few merges as make the
prompt about as many tokens as it is for Llama 3's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from guardrail.classifiers.kosafeguard import card_examples
from guardrail.prompt import render

__all__ = [
    "SIZES",
    "Size",
    "quantised",
    "random_llama",
    "tokenizer_like_llama3",
    "trained_tokenizer",
]

_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)  # Llama 3's pre-tokenizer
_SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
_TEMPLATE = (
    "{% for message in messages %}"
    "{{ (bos_token if loop.first else '') + '<|start_header_id|>' + message['role'] "
    "+ '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}"
)  # Llama 3's chat template


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a Llama."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    intermediate: int
    vocabulary: int


SIZES = {
    "tiny": Size(64, 2, 4, 2, 128, 1024),
    "100m": Size(768, 12, 12, 4, 3072, 8192),
    "1b": Size(2048, 16, 32, 8, 8192, 128256),
    "8b": Size(4096, 32, 32, 8, 14336, 128256),
}
"""Sizes by name; "1b" is Llama 3.2's, "8b" is Llama 3's and KoSafeGuard's."""


@cache
def tokenizer_like_llama3(vocabulary: int = 900) -> Any:
    """Return a tokenizer of Llama 3's form that knows little but the policy prompt."""
    return trained_tokenizer([], vocabulary)


def trained_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """Return a byte-level BPE tokenizer with Llama 3's pre-tokenizer, specials and template.

    Args:
        texts: to learn from, beside the policy prompt and the two labels.
        vocabulary: how many tokens it has at most, specials aside.
    """
    backend = Tokenizer(models.BPE(ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    examples = [render(conversation) for conversation, _ in card_examples()]
    labels = ["safe\nunsafe"] * max(99, len(texts))  # often enough to become tokens
    backend.train_from_iterator([*examples, *texts, *labels], trainer)
    backend.add_special_tokens(list(_SPECIALS))
    bos = _SPECIALS[0]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
    )
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # it has no types
        tokenizer_object=backend, bos_token=bos, eos_token="<|eot_id|>", pad_token="<|end_of_text|>"
    )
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def random_llama(
    size: Size,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    context: int = 8192,
    seed: int = 0,
) -> Any:
    """Return a Llama with random weights, made on its device."""
    config = LlamaConfig(
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads,
        intermediate_size=size.intermediate,
        vocab_size=size.vocabulary,
        max_position_embeddings=context,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        tie_word_embeddings=False,
        dtype=dtype,
    )
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model: Any = LlamaForCausalLM(config)
            return model.eval()
    finally:
        torch.set_default_dtype(before)


def quantised(model: Any) -> Any:
    """Return the model with its layers' weights in 4 bits, as `load` makes them; in place."""
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    for parent in [module for module in model.model.modules() if not _is_leaf(module)]:
        for name, layer in parent.named_children():
            if isinstance(layer, torch.nn.Linear):
                packed = Linear4bit(  # type: ignore[no-untyped-call]  # it has no types
                    layer.in_features,
                    layer.out_features,
                    bias=False,
                    compute_dtype=layer.weight.dtype,
                    quant_type="fp4",
                    device="meta",
                )
                packed.weight = Params4bit(layer.weight.data, requires_grad=False, quant_type="fp4")
                setattr(parent, name, packed.to(layer.weight.device))
    return model.eval()  # the new layers too: while training they compute otherwise


def _is_leaf(module: torch.nn.Module) -> bool:
    return not any(True for _ in module.children())
