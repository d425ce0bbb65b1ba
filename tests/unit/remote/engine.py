"""A real inference engine for tests: llama.cpp's server, in this process, with a tiny Llama."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import torch
import xllamacpp

from guardrail.bench.models import tokenizer_like_llama3
from guardrail.classifiers import KoSafeGuard
from tests.unit.kosafeguard.llamas import lively_llama
from tests.unit.remote.gguf_llama import write_gguf

__all__ = ["NAME", "Engine", "running_engine", "specials", "with_context"]

NAME = "tiny-guard"
_LEVEL = 4.0  # what every token's first channel holds, so that the labels' can build on it
_LABEL = 40.0  # what the labels' rows make of it


@dataclass(frozen=True)
class Engine:
    """A running server, and the local engine on the same weights.

    Args:
        url: of its API.
        local: the local engine.
        tokenizer: path of the tokenizer's file.
    """

    url: str
    local: KoSafeGuard
    tokenizer: Path

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Ask the server something the API does not have."""
        request = Request(
            f"{self.url.removesuffix('/v1')}{path}",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urlopen(request, timeout=10) as response:
            return json.load(response)

    def ids(self, body: Mapping[str, Any]) -> Sequence[int]:
        """Return what the server reads of a request."""
        if "messages" in body:
            written = self.post("/apply-template", {"messages": body["messages"]})["prompt"]
        elif isinstance(body["prompt"], str):
            written = body["prompt"]
        else:
            ids: list[int] = body["prompt"]
            return ids
        settings = {"content": written, "add_special": True, "parse_special": True}
        read: list[int] = self.post("/tokenize", settings)["tokens"]
        return read


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Run a server with a tiny random Llama that answers with its labels."""
    tokenizer = tokenizer_like_llama3()
    model = labelling_llama(tokenizer)
    write_gguf(folder / "tiny.gguf", model, tokenizer)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    server = xllamacpp.Server(_settings(folder / "tiny.gguf"))
    local = KoSafeGuard.from_loaded(copy.deepcopy(model), tokenizer)
    try:
        yield Engine(f"{server.listening_address}/v1", local, folder / "tokenizer.json")
    finally:
        local.close()
        del server


def specials(engine: Engine, body: Mapping[str, Any]) -> list[int]:
    """Return the special tokens that the server reads in a request, in order."""
    special = set(tokenizer_like_llama3().all_special_ids) | {902, 903, 904}
    return [one for one in engine.ids(body) if one in special]


def with_context(local: KoSafeGuard, tokens: int) -> KoSafeGuard:
    """Return the local engine with a shorter context; it shares everything else."""
    narrow = copy.copy(local)
    narrow._prompts = copy.copy(local._prompts)
    narrow._prompts._limit = tokens
    return narrow


def labelling_llama(tokenizer: Any) -> Any:
    """Return a random Llama most of whose probability is on "safe" and "unsafe"."""
    model = lively_llama(context=2048)
    labels = [tokenizer.convert_tokens_to_ids(label) for label in ("safe", "unsafe")]
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = _LEVEL
        for layer in model.model.layers:  # nothing else writes to that channel
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[labels, 0] = _LABEL
    return model


def _settings(model: Path) -> Any:
    settings = xllamacpp.CommonParams()
    settings.model.path = str(model)
    settings.model_alias = {NAME}
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.n_ctx = 2 * 2048
    settings.n_parallel = 2
    settings.n_gpu_layers = 0
    settings.warmup = False
    # Its CPU kernel for batches below 64 tokens, as a cached prompt leaves them, is less exact.
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    return settings
