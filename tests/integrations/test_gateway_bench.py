"""The gateway's benchmark runs, and what it counts is right; its times are not looked at here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardrail.integrations.gateway.bench import main
from guardrail.integrations.gateway.bench.measure import leaked
from guardrail.integrations.gateway.bench.servers import MARKER, UNSAFE


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("", 0),
        (UNSAFE.partition(MARKER)[0] + "죄송합니다", 0),
        (UNSAFE.partition(MARKER)[0] + MARKER, 1),
        (UNSAFE, len(UNSAFE) - UNSAFE.index(MARKER) - len(MARKER) + 1),
    ],
)
def test_leaks_are_counted(text: str, characters: int) -> None:
    """From the character that makes the unsafe passage whole."""
    assert leaked(text) == characters


def test_it_measures_side_by_side(tmp_path: Path) -> None:
    """In one run, with real clients: no error, and nothing leaked."""
    file = tmp_path / "figures.json"
    few = ["--clients", "4", "--pause", "0.01", "--calls", "8", "--streams", "0"]
    with pytest.raises(SystemExit):
        main([*few, "--json", str(file)])
    rows = {row["name"].strip(): row["value"] for row in json.loads(file.read_text())}

    assert (rows["4 streams at once: errors"], rows["characters leaked"]) == (0, 0)
    assert rows["first text, gateway, median ms"] > 0
