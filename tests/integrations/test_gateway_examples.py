"""The gateway's example runs as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "gateway.py"


def test_an_app_behind_the_gateway_is_guarded() -> None:
    """The safe reply stands, the unsafe one is replaced, and the app knows nothing of it."""
    command = [sys.executable, "-W", "error", str(EXAMPLE)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    assert "도착할 예정이에요. [stop]" in shown
    assert "[content_filter]" in shown
    assert "순서대로" not in shown
