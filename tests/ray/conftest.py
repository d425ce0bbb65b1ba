"""A real Ray on this machine, and a gateway on it before two replicas."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import ray
from ray import serve

from guardrail.integrations.ray_serve import ClusterConfig, Replicas, app, classifier
from guardrail.types import exchange

from ..integrations.openai_upstream import Asked, Said, Upstream, chat, chat_stream

FILE = """
[classifier]
kind = "tests.ray.judges:Marked"
delay = 0.02
log = "{log}"

[policy]
timeout = 20.0

[gateway]
upstream = "{upstream}"

[ray.classifier]
min_replicas = 2
max_replicas = 2
num_cpus = 0

[ray.gateway]
max_replicas = 1
num_cpus = 0
"""


@pytest.fixture(scope="package")
def port() -> Iterator[int]:
    """The port of a Ray Serve that runs nothing yet."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        _system_config={"metrics_report_interval_ms": 500},  # otherwise every 10 s
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free: int = listener.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": free})
    yield free
    serve.shutdown()
    ray.shutdown()


class Cluster:
    """A gateway and two replicas, as `serve run` runs them.

    Attributes:
        root: where the gateway is.
        replicas: the classifier that asks them.
        upstream: the fake behind it, which says what it is told to say.
    """

    def __init__(self, root: str, upstream: Upstream, log: Path) -> None:
        self.root = root
        self.upstream = upstream
        self.replicas = Replicas(serve.get_deployment_handle("Classifier", "default"))
        self._log = log

    @property
    def judged(self) -> list[tuple[int, int, str]]:
        """The process, the size of the batch, and the text, of everything judged so far."""
        rows = (line.split("\t", 2) for line in self._log.read_text("utf-8").splitlines())
        return [(int(process), int(size), text) for process, size, text in rows]

    def judges(self) -> set[int]:
        """Return the processes of both replicas, once both are up."""
        talks = [exchange(str(number), "안녕") for number in range(12)]

        def found() -> set[int]:
            names = {self.replicas.classify(talk).classifier for talk in talks}
            return {int(name.removeprefix("process ")) for name in names}

        wait_for(lambda: len(found()) == 2)
        return found()

    def client(self) -> openai.AsyncOpenAI:
        """Return a real client of the gateway."""
        return openai.AsyncOpenAI(api_key="k", base_url=f"{self.root}/v1", max_retries=0)


def replicas(app: str, deployment: str) -> dict[str, int]:
    """Return how many replicas are in which state, as far as the cluster knows."""
    return dict(serve.status().applications[app].deployments[deployment].replica_states)


def wait_for(condition: Callable[[], Any], seconds: float = 40.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def echo(asked: Asked) -> Said:
    """Say what the user said, as often as is asked for."""
    if asked.method == "GET":
        return Said({"object": "list", "data": []})
    texts = [asked.body["messages"][-1]["content"]] * asked.body.get("n", 1)
    if asked.body.get("stream"):
        return Said(chat_stream(*texts), pause=0.005)
    return Said(chat(*texts))


@pytest.fixture(scope="package")
def cluster(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The application of `guardrail.integrations.ray_serve`, before an upstream that echoes."""
    folder = tmp_path_factory.mktemp("ray")
    log = folder / "judged.tsv"
    log.touch()
    with Upstream(echo) as upstream:
        config = folder / "guardrail.toml"
        config.write_text(FILE.format(log=log, upstream=upstream.url), "utf-8")
        serve.run(app({"config": config}))
        yield Cluster(f"http://127.0.0.1:{port}", upstream, log)
        serve.delete("default")


@pytest.fixture(scope="package")
def small(port: int) -> Iterator[Replicas]:  # noqa: ARG001 - Ray runs
    """One replica that takes one call at a time, and lets one wait."""
    scaling = {"max_replicas": 1, "max_ongoing_requests": 1, "max_queued_requests": 1}
    config = ClusterConfig.model_validate(
        {
            "classifier": {"kind": "tests.ray.judges:Marked"},
            "ray": {"classifier": {**scaling, "num_cpus": 0}},
        }
    )
    handle = serve.run(classifier(config), name="small", route_prefix=None)
    yield Replicas(handle)
    serve.delete("small")
