"""Which figures are kept, as a configuration file says it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from guardrail.audit import Hook

__all__ = ["TelemetryConfig"]


class TelemetryConfig(BaseModel):
    """Where figures go.

    Args:
        prometheus: count for Prometheus, to be shown by whoever serves `PrometheusHook.render`.
        opentelemetry: make spans and measurements for the providers that the program has set up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prometheus: bool = False
    opentelemetry: bool = False

    def hooks(self) -> list[Hook]:
        """Return the hooks.

        Raises:
            MissingExtraError: a library is not installed.
        """
        hooks: list[Hook] = []
        if self.prometheus:
            from guardrail.integrations.telemetry.prometheus import PrometheusHook

            hooks.append(PrometheusHook())
        if self.opentelemetry:
            from guardrail.integrations.telemetry.otel import OpenTelemetryHook

            hooks.append(OpenTelemetryHook())
        return hooks
