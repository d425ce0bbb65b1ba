"""A cluster of classifiers behind the gateway, on Ray Serve.

`serve run guardrail.integrations.ray_serve:app` runs the gateway and replicas of the configured
classifier, both as many as are needed. `classifier` is the part that judges, for Serve apps of
one's own, and `Replicas` asks it.
"""

from __future__ import annotations

from guardrail.errors import needing

with needing("ray"):
    from ray import serve  # noqa: F401

from guardrail.integrations.ray_serve.application import app, classifier
from guardrail.integrations.ray_serve.replicas import Replicas
from guardrail.integrations.ray_serve.settings import (
    ClusterConfig,
    GatewayScaling,
    RayConfig,
    Scaling,
)

__all__ = [
    "ClusterConfig",
    "GatewayScaling",
    "RayConfig",
    "Replicas",
    "Scaling",
    "app",
    "classifier",
]
