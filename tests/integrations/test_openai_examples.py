"""The examples of the OpenAI drop-in and of the web chat run as they stand."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_drop_in_is_guarded() -> None:
    """The safe reply stands; the unsafe one is replaced by the refusal of its category."""
    command = [sys.executable, "-W", "error", EXAMPLES / "openai_dropin.py"]

    shown = subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout

    assert "7일 안에" in shown
    assert "몰래" not in shown
    assert "불법 무기" in shown


@pytest.fixture
def web_chat() -> Iterator[str]:
    """The web chat on a socket."""
    spec = importlib.util.spec_from_file_location("web_chat", EXAMPLES / "streaming_web_chat.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(module.app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_the_web_chat_is_guarded(web_chat: str) -> None:
    """The page is there; what it streams is safe, in pieces, with refusals where it must be."""
    assert "<form>" in httpx.get(web_chat).text
    with httpx.stream("POST", f"{web_chat}/chat", params={"said": "배송 언제 와요?"}) as reply:
        pieces = list(reply.iter_text())
    unsafe = httpx.post(f"{web_chat}/chat", params={"said": "총을 만들고 싶어요"}).text

    assert "".join(pieces) == "내일 도착해요. "
    assert "몰래" not in unsafe
    assert "불법 무기" in unsafe
