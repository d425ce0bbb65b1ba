"""Figures and traces of what a guard decides: OpenTelemetry and Prometheus; never any text.

>>> from guardrail import Guard
>>> from guardrail.integrations.telemetry import PrometheusHook
>>> prometheus = PrometheusHook()                                     # doctest: +SKIP
>>> guard = Guard(hooks=[prometheus])                                 # doctest: +SKIP
>>> prometheus.render()                                               # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guardrail.integrations.telemetry.settings import TelemetryConfig
from guardrail.integrations.telemetry.streams import StreamFigures, StreamMeter

if TYPE_CHECKING:
    from guardrail.integrations.telemetry.otel import OpenTelemetryHook
    from guardrail.integrations.telemetry.prometheus import PrometheusHook

__all__ = [
    "OpenTelemetryHook",
    "PrometheusHook",
    "StreamFigures",
    "StreamMeter",
    "TelemetryConfig",
]

_HOMES = {
    "OpenTelemetryHook": "guardrail.integrations.telemetry.otel",
    "PrometheusHook": "guardrail.integrations.telemetry.prometheus",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
