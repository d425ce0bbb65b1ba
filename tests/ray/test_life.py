"""An application from its first moment to its last, as probes and clients see it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import ray
from ray import serve

from guardrail.integrations.ray_serve import app

from ..integrations.openai_upstream import Asked, Said, Upstream, chat_stream
from .conftest import replicas, wait_for
from .judges import MARKER

FILE = """
classifier = {{ kind = "tests.ray.judges:Late", until = "{file}" }}
policy = {{ timeout = 0.5, contact = "{contact}" }}
gateway = {{ upstream = "{upstream}" }}

[ray]
classifier = {{ max_replicas = 1, num_cpus = 0 }}
gateway = {{ max_replicas = 1, num_cpus = 0 }}
"""
SAFE = "환불은 영업일로 사흘쯤 걸려요. 배송은 내일 오후에 도착할 예정이에요."


class Life:
    """An application whose classifier takes long to load.

    Attributes:
        root: where it is.
        loaded: once this file is there, the classifier is.
        sending: set when a stream has begun.
        told: set when it may go on.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self.root = f"http://127.0.0.1:{port}/life"
        self.loaded = folder / "loaded"
        self.sending, self.told = threading.Event(), threading.Event()
        self.upstream = Upstream(self.reply)
        self._config = folder / "guardrail.toml"

    def deploy(self, contact: str) -> None:
        """Have the application run, or run with another setting."""
        text = FILE.format(file=self.loaded, upstream=self.upstream.url, contact=contact)
        self._config.write_text(text, "utf-8")
        serve.run(app({"config": self._config}), name="life", route_prefix="/life")

    def refusal(self) -> str:
        """Return what is said in place of an unsafe reply."""
        judged = {"user": "q", "assistant": MARKER}
        text: str = httpx.post(f"{self.root}/v1/guard/check", json=judged).json()["text"]
        return text

    def probe(self, path: str) -> tuple[int, object]:
        """Return a probe's answer."""
        try:
            answer = httpx.get(f"{self.root}{path}", timeout=2)
        except httpx.TimeoutException:
            return 0, "no answer"
        is_json = answer.headers.get("content-type") == "application/json"
        return answer.status_code, answer.json() if is_json else answer.text

    def reply(self, asked: Asked) -> Said:
        """Say something slowly."""
        if asked.method == "GET":
            return Said({})

        def events() -> Iterator[bytes]:
            first, *rest = chat_stream(SAFE)
            yield first
            self.sending.set()
            self.told.wait(20)
            yield from rest

        return Said(events())


@pytest.fixture(scope="module")
def life(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    life = Life(port, tmp_path_factory.mktemp("life"))
    with life.upstream:
        with ThreadPoolExecutor() as threads:
            threads.submit(life.deploy, "02-120")
            yield life
            life.loaded.touch()
        serve.delete("life")


def test_while_the_classifier_loads_it_lives_and_is_not_ready(life: Life) -> None:
    """A balancer sends nothing yet, and nobody restarts it."""
    wait_for(lambda: life.probe("/healthz") == (200, {"status": "ok"}))

    assert life.probe("/readyz") == (503, {"classifier": "TimeoutError", "upstream": "ok"})


def test_once_it_has_loaded_it_is_ready(life: Life) -> None:
    """By itself."""
    life.loaded.touch()

    wait_for(lambda: life.probe("/readyz") == (200, {"classifier": "ok", "upstream": "ok"}))


def test_decisions_are_counted_where_ray_s_own_figures_are(life: Life) -> None:
    """Those of all replicas, for one Prometheus."""
    assert "02-120" in life.refusal()
    node = ray.nodes()[0]
    place = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    wanted = re.compile(r'ray_guardrail_verdicts\w*{.*category="O3".*status="blocked".*} 1')

    wait_for(lambda: wanted.search(httpx.get(place, timeout=10).text))


def test_a_stream_under_way_survives_a_new_version(life: Life) -> None:
    """New settings are taken over by a new replica; the old one first ends what it began."""
    shown: list[str] = []

    def read() -> None:
        message: Any = {"role": "user", "content": "q"}
        with openai.OpenAI(api_key="k", base_url=f"{life.root}/v1", max_retries=0) as client:
            for event in client.chat.completions.create(model="m", messages=[message], stream=True):
                shown.extend(choice.delta.content or "" for choice in event.choices)

    with ThreadPoolExecutor() as threads:
        reading = threads.submit(read)
        assert life.sending.wait(10)
        updating = threads.submit(life.deploy, contact="1588-0000")
        wait_for(lambda: replicas("life", "Gateway").get("STOPPING"))
        life.told.set()
        reading.result()
        updating.result()

    assert "".join(shown) == SAFE
    assert "1588-0000" in life.refusal()
