"""What the tests of the remote classifier share: one real engine, started once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.remote.engine import Engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run llama.cpp's server with a tiny Llama."""
    for library in ("torch", "transformers", "gguf", "xllamacpp"):
        pytest.importorskip(library)
    from tests.unit.remote.engine import running_engine

    with running_engine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine
