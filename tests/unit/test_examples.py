"""The examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def played(name: str, typed: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        encoding="utf-8",
    )
    return done.stdout


def test_a_decorated_handler_is_guarded() -> None:
    """The safe reply stands; the unsafe one is replaced by the refusal of its category."""
    shown = played("decorated_handler.py")

    assert "영업일 기준 3일" in shown
    assert "들키지 않게" not in shown
    assert "법에 어긋나거나" in shown


def test_the_shop_bot_can_be_talked_to() -> None:
    """The bot answers until an empty line, and offers the helpline in place of harm."""
    shown = played("customer_service_bot.py", "배송 언제 와요?\n죽고 싶어요\n\n")

    assert "내일 오후에 도착" in shown
    assert "109" in shown
    assert "나쁘지 않은 선택" not in shown
