"""One thread for torch, and a base to start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from guardrail.bench.models import tokenizer_like_llama3
from tests.unit.kosafeguard.llamas import lively_llama


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama as the hub stores one."""
    from tests.unit.finetuning.helpers import stored

    return stored(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="package")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose answer depends on every token it reads."""
    place = tmp_path_factory.mktemp("lively")
    lively_llama().save_pretrained(place)
    tokenizer_like_llama3().save_pretrained(place)
    return place
