"""Sends spans and measurements to a collector, for programs that have not set this up themselves.

Where to, how often and under which name is said by OpenTelemetry's own variables, such as
`OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_SERVICE_NAME`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from guardrail.errors import needing
from guardrail.integrations.telemetry.otel import OpenTelemetryHook

with needing("telemetry"):
    from opentelemetry.context import attach, detach
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.propagate import extract
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

__all__ = ["OtlpHook", "TraceContext"]

_Scope: TypeAlias = MutableMapping[str, Any]
_App: TypeAlias = Callable[[_Scope, Any, Any], Awaitable[None]]


class OtlpHook(OpenTelemetryHook):
    """A hook with providers of its own, that send to a collector over HTTP.

    `close` sends what is left.
    """

    def __init__(self) -> None:
        known = OTELResourceDetector().detect()  # what the variables say goes before
        resource = Resource.create({SERVICE_NAME: "guardrail"}).merge(known)
        self._tracers = TracerProvider(resource=resource)
        self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        self._meters = MeterProvider([reader], resource=resource)
        super().__init__(tracer_provider=self._tracers, meter_provider=self._meters)

    def close(self) -> None:
        """Send what is left."""
        self._tracers.shutdown()
        self._meters.shutdown()


class TraceContext:
    """An ASGI app around another: what it does belongs to the trace that the caller names."""

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        pairs = scope.get("headers", ())
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        token = attach(extract(named))
        try:
            await self._app(scope, receive, send)
        finally:
            detach(token)
