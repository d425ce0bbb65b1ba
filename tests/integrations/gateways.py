"""A gateway on a real socket, for the tests of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import uvicorn

from guardrail import Guard
from guardrail.integrations.gateway import GatewayConfig, create_app
from guardrail.integrations.records import RecordStore
from guardrail.integrations.telemetry import PrometheusHook
from guardrail.testing import StubClassifier

from .openai_upstream import Reply, Upstream

MARKER = "나쁜말"


class Served:
    """A gateway before a fake upstream.

    Attributes:
        upstream: the fake.
        root: where the gateway is.
        server: runs it.
    """

    def __init__(self, upstream: Upstream, root: str, server: uvicorn.Server) -> None:
        self.upstream = upstream
        self.root = root
        self.server = server

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"{self.root}/v1"

    def client(self, **options: Any) -> openai.OpenAI:
        """Return a real client of it."""
        settings = {"api_key": "client-key", "base_url": self.url, "max_retries": 0, **options}
        return openai.OpenAI(**settings)


@contextmanager
def serving(
    reply: Reply,
    guard: Guard | None = None,
    *,
    url: str | None = None,
    records: RecordStore | None = None,
    **settings: Any,
) -> Iterator[Served]:
    """Run an upstream and a gateway before it."""
    with Upstream(reply) as upstream:
        config = GatewayConfig(upstream=upstream.url if url is None else url, **settings)
        figures = PrometheusHook()
        guard = guard or Guard(StubClassifier(MARKER), hooks=[figures])
        app = create_app(config, guard, figures=figures, records=records)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        try:
            yield Served(upstream, f"http://127.0.0.1:{listener.getsockname()[1]}", server)
        finally:
            server.should_exit = True
            thread.join()
            listener.close()
