"""Counts for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from guardrail.audit import AuditRecord, Status
from guardrail.errors import ConfigError, needing
from guardrail.integrations.telemetry.series import CHARACTERS, SECONDS, error_type
from guardrail.integrations.telemetry.streams import StreamFigures
from guardrail.types import Action, Stage

with needing("telemetry"):
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        Counter,
        Histogram,
        generate_latest,
    )
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

__all__ = ["PrometheusHook"]


class _Counts(Protocol):
    """What became of stored records; see `guardrail.integrations.records`."""

    @property
    def written(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def failed(self) -> int: ...


class PrometheusHook:
    """A hook that counts decisions for Prometheus.

    Labels hold stages, statuses, categories and types of errors: a few dozen series, and no text.

    Args:
        registry: where the series are; one of the hook's own unless given.

    Raises:
        ConfigError: the registry has series of these names already.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        try:
            self._register(self.registry)
        except ValueError as error:
            raise ConfigError(f"one registry takes one PrometheusHook: {error}") from error

    def __call__(self, record: AuditRecord, /) -> None:
        """Count one decision."""
        stage, category = record.stage.value, record.category.value if record.category else ""
        self._requests.labels(stage).inc()
        self._verdicts.labels(stage, record.status.value, category).inc()
        self._seconds.labels(stage).observe(record.seconds)
        if record.action is Action.REPLACE:
            self._blocked.labels(stage, category).inc()
        if record.status is Status.ERROR_ALLOWED:
            self._let_through.labels(stage, error_type(record)).inc()

    def stream(self, figures: StreamFigures) -> None:
        """Count one guarded stream, at its end."""
        self._held.observe(figures.held)
        if figures.released_before_verdict is not None:
            self._released.inc(figures.released_before_verdict)

    def watch(self, counts: Callable[[], _Counts]) -> None:
        """Show also what became of stored records: `hook.watch(lambda: store.counts)`."""
        self.registry.register(_Watch(counts))

    def render(self) -> bytes:
        """Return all series as Prometheus reads them, of the hook's `content_type`."""
        return generate_latest(self.registry)

    def _register(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "guardrail_requests", "Texts that were to be judged.", ["stage"], registry=registry
        )
        self._verdicts = Counter(
            "guardrail_verdicts",
            "Decisions by status, and by the category they were made for.",
            ["stage", "status", "category"],
            registry=registry,
        )
        self._blocked = Counter(
            "guardrail_blocked", "Texts replaced.", ["stage", "category"], registry=registry
        )
        self._let_through = Counter(
            "guardrail_errors_let_through",
            "Texts shown though the classifier gave no verdict.",
            ["stage", "error"],
            registry=registry,
        )
        self._seconds = Histogram(
            "guardrail_check_seconds",
            "Time from the question to the decision.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._held = Histogram(
            "guardrail_held_characters",
            "Characters of a stream held back, at the moment there were most.",
            buckets=CHARACTERS,
            registry=registry,
        )
        self._released = Counter(
            "guardrail_released_before_verdict_characters",
            "Characters shown before a passing verdict covered them; must be 0.",
            registry=registry,
        )
        for stage in Stage:  # a rate needs a series that began at nought
            self._requests.labels(stage.value)
            self._blocked.labels(stage.value, "")


class _Watch(Collector):
    """Asks for the counts of stored records whenever Prometheus does."""

    def __init__(self, counts: Callable[[], _Counts]) -> None:
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are known without asking."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield the counts as they are now."""
        counts = self._counts()
        yield _counter("written", "Records in the database.", counts.written)
        yield _counter("dropped", "Records that found the queue full.", counts.dropped)
        yield _counter("failed", "Records that could not be written.", counts.failed)
        yield GaugeMetricFamily(
            "guardrail_records_waiting", "Records in the queue.", value=counts.waiting
        )


def _counter(name: str, text: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(f"guardrail_records_{name}", text, value=value)
