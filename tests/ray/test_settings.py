"""What `serve run` is told, and what becomes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import guardrail
from guardrail import ConfigError
from guardrail.config import Config
from guardrail.integrations.gateway.serving import ServingConfig
from guardrail.integrations.ray_serve import ClusterConfig, Scaling

FILE = """
[gateway]
upstream = "http://llm/v1"
port = 9000

[ray.classifier]
min_replicas = 2
max_replicas = 8
num_gpus = 0.5
"""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    for name in os.environ:
        if name.upper().startswith("GUARDRAIL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "guardrail.toml"
    path.write_text(FILE)
    return path


def test_one_file_serves_one_machine_and_a_cluster(file: Path) -> None:
    """`guardrail check` and `guardrail serve` read it, too."""
    assert ServingConfig.load(file).gateway == ClusterConfig.load(file).gateway
    assert Config.load(file).policy == ClusterConfig.load(file).policy


def test_the_table_becomes_the_deployment_s_options(file: Path) -> None:
    """Under Serve's own names."""
    options = ClusterConfig.from_arguments({"config": file}).ray.classifier.options()

    assert options["autoscaling_config"]["max_replicas"] == 8
    assert options["ray_actor_options"] == {"num_cpus": 1.0, "num_gpus": 0.5}


def test_replicas_that_are_as_few_as_they_are_many_do_not_scale() -> None:
    """Serve takes a number, or limits; not both."""
    options = Scaling(min_replicas=3, max_replicas=3).options()

    assert options["num_replicas"] == 3
    assert "autoscaling_config" not in options


def test_the_gateway_s_variables_count_here_too(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above all its keys: a door that is closed on one machine is closed on many."""
    monkeypatch.setenv("GUARDRAIL_KEYS", "first second")
    monkeypatch.setenv("GUARDRAIL_UPSTREAM_KEY", "upstreams")
    gateway = ClusterConfig.from_arguments({"config": file}).gateway

    assert [key.get_secret_value() for key in gateway.keys] == ["first", "second"]
    assert gateway.upstream_key is not None
    assert gateway.upstream == "http://llm/v1"


def test_arguments_go_before_everything(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve run …:app upstream=…` is what was meant last."""
    monkeypatch.setenv("GUARDRAIL_CONFIG", str(file))
    monkeypatch.setenv("GUARDRAIL_UPSTREAM", "http://variable/v1")
    told = ClusterConfig.from_arguments({"upstream": "http://argument/v1"})

    assert told.gateway.upstream == "http://argument/v1"


def test_a_wrong_setting_is_named(file: Path) -> None:
    """With its table and what would be right, before anything starts."""
    file.write_text("[ray.classifier]\nreplicas = 2\n")

    with pytest.raises(ConfigError, match=r"unknown key 'ray.classifier.replicas'; .*max_replicas"):
        ClusterConfig.from_arguments({"config": file})


def test_limits_are_in_order(file: Path) -> None:
    """Serve would say so too, after a minute."""
    file.write_text("[ray.gateway]\nmin_replicas = 5\nmax_replicas = 2\n")

    with pytest.raises(ConfigError, match="max_replicas should not be below min_replicas"):
        ClusterConfig.from_arguments({"config": file})


def test_what_the_guide_shows_is_understood(file: Path) -> None:
    """It can be copied as it stands."""
    guide = Path(guardrail.__file__).parents[1] / "docs" / "scaling.md"
    file.write_text(guide.read_text("utf-8").split("```toml\n")[1].split("```")[0], "utf-8")
    config = ClusterConfig.load(file)

    assert config.ray.classifier.options()["ray_actor_options"]["num_gpus"] == 1
    assert config.ray.gateway.max_ongoing_requests == 1000
