"""What `serve run` and `serve deploy` are given: the gateway, and the replicas that it asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle

from guardrail.audit import Hook
from guardrail.guard import Guard
from guardrail.integrations.gateway.app import create_app
from guardrail.integrations.ray_serve.figures import ClusterFigures
from guardrail.integrations.ray_serve.replica import Judge
from guardrail.integrations.ray_serve.replicas import Replicas
from guardrail.integrations.ray_serve.routing import ConversationRouter
from guardrail.integrations.ray_serve.settings import ClusterConfig
from guardrail.integrations.telemetry.prometheus import PrometheusHook

__all__ = ["Gateway", "app", "classifier"]

_LOGGING = {"enable_access_log": False}  # one line per call, and there are many


def app(args: Mapping[str, Any]) -> Application:
    """Return the gateway before its classifiers: `serve run ...ray_serve:app config=FILE`.

    Args:
        args: see `ClusterConfig.from_arguments`. The file is read where this runs; the replicas
            are told what it says.

    Raises:
        ConfigError: a setting is wrong.
    """
    config = ClusterConfig.from_arguments(args)
    deployed = serve.deployment(
        name="Gateway",
        graceful_shutdown_timeout_s=config.gateway.drain,
        logging_config=_LOGGING,
        **config.ray.gateway.options(),
    )
    return deployed(serve.ingress()(Gateway)).bind(config, classifier(config))


def classifier(config: ClusterConfig) -> Application:
    """Return the replicas of the configured classifier, to be bound into a Serve app.

    `Replicas` asks through the handle that the app gets for it.
    """
    deployed = serve.deployment(
        name="Classifier",
        logging_config=_LOGGING,
        request_router_config={"request_router_class": ConversationRouter},
        **config.ray.classifier.options(),
    )
    return deployed(Judge).bind(config.classifier)


class Gateway:
    """The gateway in a replica.

    Args:
        config: of all.
        classifiers: whom it asks.
    """

    def __init__(self, config: ClusterConfig, classifiers: DeploymentHandle[Judge]) -> None:
        self._config = config
        self._classifiers = classifiers

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the gateway; Serve asks for it once the replica is made."""
        config, counts, figures = self._config, ClusterFigures(), PrometheusHook()
        guard = Guard(
            Replicas(self._classifiers, name=f"ray({config.classifier.kind})"),
            config.policy,
            hooks=[*config.build_hooks(), *_kept(config), counts, figures],
            record_text=config.audit.text,
        )
        # The page remembers who is logged in, which only works while there is one process.
        settings = config.gateway.model_copy(update={"page": False})
        return create_app(settings, guard, figures=figures, measures=[counts.stream])


def _kept(config: ClusterConfig) -> list[Hook]:
    """Return what keeps or sends decisions: only to where all replicas can."""
    hooks: list[Hook] = []
    if config.records is not None and "url" in config.records.model_fields_set:
        hooks.append(config.records.open())
    if config.telemetry.opentelemetry:
        from guardrail.integrations.telemetry.otlp import OtlpHook

        hooks.append(OtlpHook())
    return hooks
