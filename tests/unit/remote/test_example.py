"""The example runs as it stands, with no server anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "remote_with_fallback.py"


def test_without_its_server_the_example_is_degraded() -> None:
    """The safe reply stands, the unsafe one is replaced, and both say who judged."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        encoding="utf-8",
    )

    assert "영업일 기준 3일" in done.stdout
    assert "나쁘지 않은 선택" not in done.stdout
    assert done.stdout.count("judged by embedded (degraded)") == 2
