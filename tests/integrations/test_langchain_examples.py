"""The examples run as they stand, and a missing library is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("langchain")

ROOT = Path(__file__).parents[2]


def run(*args: str | Path) -> str:
    """Return what a program prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *args],
        capture_output=True,
        check=True,
        timeout=60,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.stdout


@pytest.mark.parametrize(
    ("name", "safe"),
    [("langchain_chain.py", "영업일 기준 3일"), ("langchain_agent.py", "배송 중이에요")],
)
def test_the_examples_are_guarded(name: str, safe: str) -> None:
    """The safe reply stands; of the unsafe one nothing but its refusal is shown."""
    shown = run(ROOT / "examples" / name)

    assert safe in shown
    assert "들키지 않게" not in shown
    assert "법에 어긋나거나" in shown


@pytest.mark.parametrize(
    ("library", "asked"),
    [("langchain_core", "guard_model"), ("langchain", "GuardrailMiddleware")],
)
def test_a_missing_library_is_named(library: str, asked: str) -> None:
    """Without the extra the error says what to install."""
    program = f"""
import sys
sys.modules[{library!r}] = None
try:
    from guardrail.integrations.langchain import {asked}
except ImportError as error:
    print(type(error).__name__, error)
"""

    shown = run("-c", program)

    assert "MissingExtraError" in shown
    assert "guardrail-ko[langchain]" in shown
