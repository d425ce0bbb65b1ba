"""What probes hear from `guardrail serve`, from its first moment to its last."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .openai_calls import MESSAGES
from .openai_upstream import Asked, Said, Upstream, chat_stream

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
DOWN = (0, "nobody listens")


class Life:
    """A gateway in a process of its own, whose classifier takes long to load.

    Attributes:
        process: runs it.
        upstream: the fake behind it.
        loaded: once this file is there, the classifier is.
        told: set when a stream may go on.
    """

    def __init__(self, folder: Path) -> None:
        self.told = threading.Event()
        self.upstream = Upstream(self.reply)
        self.loaded = folder / "loaded"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.root = f"http://127.0.0.1:{listener.getsockname()[1]}"
        options = ["--upstream", self.upstream.url, "--port", self.root.rpartition(":")[2]]
        run = f"from guardrail.integrations.gateway.cli import main; main({options!r})"
        environment = {
            **os.environ,
            "XDG_STATE_HOME": str(folder),
            "GUARDRAIL_CLASSIFIER__KIND": "tests.ray.judges:Late",
            "GUARDRAIL_CLASSIFIER__UNTIL": str(self.loaded),
        }
        self.process = subprocess.Popen([sys.executable, "-c", run], env=environment)

    def probe(self, path: str) -> tuple[int, Any]:
        """Return what a probe hears."""
        try:
            answer = httpx.get(f"{self.root}{path}", timeout=10)
        except httpx.ConnectError:
            return DOWN
        return answer.status_code, answer.json()

    def wait_until_it_loads(self) -> None:
        """Wait until the classifier has begun to load."""
        while not self.loaded.with_suffix(".begun").exists():
            time.sleep(0.05)

    def wait_for(self, path: str, wanted: tuple[int, Any]) -> None:
        """Wait until a probe hears what it should."""
        deadline = time.monotonic() + 30
        while (heard := self.probe(path)) != wanted:
            assert time.monotonic() < deadline, heard
            time.sleep(0.05)

    def reply(self, asked: Asked) -> Said:
        """Say something, and its end only once it is told to."""
        if asked.method == "GET":
            return Said({})

        def events() -> Iterator[bytes]:
            *most, last = chat_stream(SAFE)
            yield from most
            self.told.wait(20)
            yield last

        return Said(events())

    def leave(self) -> None:
        """Have the upstream go."""
        self.upstream.__exit__()


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path)
    yield life
    life.told.set()
    life.process.kill()
    life.process.wait()
    life.leave()


def test_probes_tell_each_stage_of_a_gateway_s_life(life: Life) -> None:
    """Loading: nobody listens; then it is ready, or says what is missing; stopping: none again."""
    alive, ready = (200, {"status": "ok"}), (200, {"classifier": "ok", "upstream": "ok"})
    life.wait_until_it_loads()
    assert life.probe("/healthz") == DOWN

    life.loaded.touch()
    life.wait_for("/healthz", alive)
    assert life.probe("/readyz") == ready

    body = {"model": "m", "messages": MESSAGES, "stream": True}
    with httpx.stream("POST", f"{life.root}/v1/chat/completions", json=body, timeout=30) as stream:
        life.process.send_signal(signal.SIGTERM)
        life.wait_for("/healthz", DOWN)
        life.told.set()
        assert b"[DONE]" in stream.read()
    life.process.wait(20)


def test_without_its_upstream_a_gateway_lives_and_is_not_ready(life: Life) -> None:
    """The probe says which of the two is missing; restarting the gateway would not help."""
    life.loaded.touch()
    life.leave()
    life.wait_for("/healthz", (200, {"status": "ok"}))

    status, said = life.probe("/readyz")

    assert (status, said["classifier"]) == (503, "ok")
    assert said["upstream"] != "ok"
