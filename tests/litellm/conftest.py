"""The tests of LiteLLM, which has an environment of its own: only where it is installed."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ..integrations.openai_calls import says
from ..integrations.openai_upstream import Asked, Said, Upstream

collect_ignore_glob = [] if find_spec("litellm") else ["test_*"]

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or the import asks for a price list
os.environ["LITELLM_TELEMETRY"] = "False"

MARKER = "나쁜말"
KEY = "sk-a-key-that-is-long-enough-for-it"
SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
UNSAFE = f"안녕하세요, 고객님. 그럼 {MARKER}부터 알려 드릴게요. 이어서 말씀드릴게요."

CONFIG = """
model_list:
  - model_name: good
    litellm_params: {{model: openai/good, api_base: "{url}", api_key: k, max_retries: 0}}
  - model_name: bad
    litellm_params: {{model: openai/bad, api_base: "{url}", api_key: k, max_retries: 0}}
guardrails:
  - guardrail_name: guardrail
    litellm_params: {{guardrail: stub_guard.StubGuardrail, mode: post_call, default_on: true}}
general_settings: {{master_key: {key}}}
"""
GUARD = """
from guardrail import Guard, Policy
from guardrail.integrations.litellm import LiteLLMGuardrail
from guardrail.testing import StubClassifier

class StubGuardrail(LiteLLMGuardrail):
    def __init__(self, **options):
        classifier = StubClassifier("나쁜말")
        super().__init__(Guard(classifier, Policy(check_input=True)), **options)
"""


def reply(asked: Asked) -> Said:
    """Say something good or bad, as the model's name asks."""
    return says(UNSAFE if asked.body.get("model") == "bad" else SAFE)(asked)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(reply) as server:
        yield server


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Upstream]]:
    """LiteLLM's own proxy on a socket, and the upstream behind it."""
    with Upstream(reply) as server:
        folder = tmp_path_factory.mktemp("proxy")
        url = serve(folder, server.url)
        try:
            yield next(url), server
        finally:
            next(url, None)


def serve(folder: Path, upstream: str) -> Iterator[str]:
    """Yield the address of a proxy in front of an upstream."""
    (folder / "config.yaml").write_text(CONFIG.format(url=upstream, key=KEY), "utf-8")
    (folder / "stub_guard.py").write_text(GUARD, "utf-8")
    os.environ["CONFIG_FILE_PATH"] = str(folder / "config.yaml")
    import uvicorn
    from litellm.proxy.proxy_server import app

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.05)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server.should_exit = True
    thread.join()
