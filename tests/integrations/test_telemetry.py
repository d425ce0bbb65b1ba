"""Figures and traces of decisions: the right ones, under the right names, and no text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from guardrail import Category, ClassifierError, ConfigError, Guard, Policy
from guardrail.errors import ClassifierTimeout
from guardrail.integrations.telemetry import (
    OpenTelemetryHook,
    PrometheusHook,
    StreamFigures,
    StreamMeter,
    TelemetryConfig,
)
from guardrail.testing import ListHook, StubClassifier
from tests.conftest import Mode

SECRET = "비밀 010-1234-5678 kim@example.com"


class Recorded:
    """An OpenTelemetry of one's own, and what came to it."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader])
        self.hook = OpenTelemetryHook(tracer_provider=self.tracers, meter_provider=self._meters)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    def points(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """Return the points of a metric by their attributes."""
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return {
            tuple(sorted((point.attributes or {}).items())): point
            for metric in found
            for point in metric.data.data_points
        }

    def everything(self) -> str:
        """Return all that was exported, as one text."""
        return f"{[span.to_json() for span in self.spans]}{self._reader.get_metrics_data()}"

    def close(self) -> None:
        self.tracers.shutdown()
        self._meters.shutdown()


@pytest.fixture
def otel() -> Iterator[Recorded]:
    """A fresh OpenTelemetry."""
    recorded = Recorded()
    yield recorded
    recorded.close()


def classifier(**values: Any) -> StubClassifier:
    return StubClassifier(unsafe="BAD", category=Category.O5, **values)


def blocked(hook: Any, mode: Mode = Mode.SYNC) -> Guard:
    guard = Guard(classifier(), hooks=[hook], record_text="text")
    mode.check(guard, f"BAD {SECRET}", user=SECRET)
    return guard


def value(hook: PrometheusHook, name: str, **labels: str) -> float | None:
    """Return what Prometheus would read of a series; None where there is none."""
    families = text_string_to_metric_families(hook.render().decode())
    samples = (sample for family in families for sample in family.samples)
    found = (
        one.value for one in samples if (one.name, one.labels) == (f"guardrail_{name}", labels)
    )
    return next(found, None)


# Prometheus


def test_decisions_are_counted(mode: Mode) -> None:
    """Requests by stage, verdicts by status and category, blocks, and how long they took."""
    hook = PrometheusHook()
    guard = Guard(classifier(), hooks=[hook])
    for reply in ("fine", "fine", "BAD"):
        mode.check(guard, reply)
    mode.check_input(guard, "hello")

    assert value(hook, "requests_total", stage="output") == 3
    assert value(hook, "requests_total", stage="input") == 1
    assert value(hook, "verdicts_total", stage="output", status="allowed", category="") == 2
    assert value(hook, "verdicts_total", stage="output", status="blocked", category="O5") == 1
    assert value(hook, "blocked_total", stage="output", category="O5") == 1
    assert value(hook, "blocked_total", stage="input", category="") == 0
    assert value(hook, "check_seconds_count", stage="output") == 3


def test_errors_let_through_are_no_verdicts(mode: Mode) -> None:
    """They have a series of their own, by what went wrong; blocked ones count as blocked."""
    hook = PrometheusHook()
    broken = classifier(error=ClassifierTimeout(SECRET))
    mode.check(Guard(broken, Policy(on_error="open"), hooks=[hook]), "fine")
    mode.check(Guard(broken, hooks=[hook]), "fine")

    assert value(hook, "errors_let_through_total", stage="output", error="ClassifierTimeout") == 1
    assert value(hook, "verdicts_total", stage="output", status="error_allowed", category="") == 1
    assert value(hook, "verdicts_total", stage="output", status="error_blocked", category="") == 1
    assert value(hook, "blocked_total", stage="output", category="") == 1


def test_prometheus_sees_no_text() -> None:
    """Neither what was said, nor what an error quoted."""
    hook = PrometheusHook()
    blocked(hook)
    broken = classifier(error=ClassifierError(SECRET))
    Guard(broken, hooks=[hook]).check(user=SECRET, assistant=SECRET)
    Guard(broken, Policy(on_error="open"), hooks=[hook]).check(user=SECRET, assistant=SECRET)

    shown = hook.render().decode()

    assert not any(part in shown for part in SECRET.split())


def test_streams_are_counted() -> None:
    """What was held, and what went out too early, which reads 0."""
    hook = PrometheusHook()
    assert value(hook, "released_before_verdict_characters_total") == 0
    hook.stream(StreamFigures(held=40, released_before_verdict=0))
    hook.stream(StreamFigures(held=60))

    assert value(hook, "held_characters_sum") == 100
    assert value(hook, "held_characters_count") == 2
    assert value(hook, "released_before_verdict_characters_total") == 0


def test_a_leak_shows() -> None:
    """The counter that must read 0 can read something else."""
    hook = PrometheusHook()
    hook.stream(StreamFigures(held=1, released_before_verdict=6))

    assert value(hook, "released_before_verdict_characters_total") == 6


def test_two_hooks_share_no_series() -> None:
    """Each has a registry of its own; one that is given takes one hook."""
    one, other = PrometheusHook(), PrometheusHook()
    Guard(classifier(), hooks=[one]).check(user="hi", assistant="fine")
    assert value(other, "requests_total", stage="output") == 0

    registry = CollectorRegistry()
    PrometheusHook(registry)
    with pytest.raises(ConfigError, match="one PrometheusHook"):
        PrometheusHook(registry)


def test_dropped_records_show() -> None:
    """What a store of records could not keep is seen where its figures are."""

    class Counts:
        written, waiting, dropped, failed = 5, 2, 1, 0

    hook = PrometheusHook()
    hook.watch(Counts)

    assert value(hook, "records_dropped_total") == 1
    assert value(hook, "records_waiting") == 2
    assert value(hook, "records_written_total") == 5


# OpenTelemetry


def test_a_decision_is_a_span(otel: Recorded, mode: Mode) -> None:
    """Under the current one, as long as the decision took, with what was decided."""
    guard = Guard(classifier(delay=0.05), hooks=[otel.hook])
    tracer = otel.tracers.get_tracer("app")
    with tracer.start_as_current_span("request"):
        mode.check(guard, "BAD")

    span, parent = otel.spans
    assert span.name == "guardrail.check"
    assert span.parent is not None
    assert span.parent.span_id == parent.context.span_id
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 0.05e9
    attributes = dict(span.attributes or {})
    assert attributes.pop("guardrail.record.id")
    assert attributes == {
        "guardrail.stage": "output",
        "guardrail.status": "blocked",
        "guardrail.action": "replace",
        "guardrail.classifier": "stub",
        "guardrail.category": "O5",
        "guardrail.score": 0.99,
        "guardrail.category_score.O5": 1.0,
    }


def test_a_verdict_is_an_evaluation(otel: Recorded) -> None:
    """In the names that the conventions for generative AI have for it."""
    blocked(otel.hook)

    (event,) = otel.spans[0].events
    assert event.name == "gen_ai.evaluation.result"
    assert dict(event.attributes or {}) == {
        "gen_ai.evaluation.name": "guardrail",
        "gen_ai.evaluation.score.value": 0.99,
        "gen_ai.evaluation.score.label": "blocked",
    }


def test_an_error_marks_its_span(otel: Recorded) -> None:
    """By its kind."""
    broken = classifier(error=ClassifierTimeout(SECRET))
    Guard(broken, hooks=[otel.hook]).check(user="hi", assistant="fine")

    (span,) = otel.spans
    assert (span.attributes or {})["error.type"] == "ClassifierTimeout"
    assert span.status.status_code is trace.StatusCode.ERROR
    assert not span.events


@pytest.mark.parametrize(
    ("attributes", "reasons"),
    [({"gen_ai.operation.name": "chat"}, ("content_filter",)), ({"http.route": "/"}, None)],
)
def test_a_blocked_reply_is_told_to_the_span_of_the_model_call(
    otel: Recorded, attributes: dict[str, str], reasons: tuple[str, ...] | None
) -> None:
    """As its finish reason; a span of anything else is left alone."""
    with otel.tracers.get_tracer("app").start_as_current_span("call", attributes=attributes):
        blocked(otel.hook)

    found = otel.spans[1].attributes or {}
    assert found.get("gen_ai.response.finish_reasons") == reasons


def test_decisions_are_measured(otel: Recorded, mode: Mode) -> None:
    """The same figures as Prometheus has."""
    guard = blocked(otel.hook, mode)
    mode.check(guard, "fine")
    broken = classifier(error=ClassifierTimeout("late"))
    mode.check(Guard(broken, Policy(on_error="open"), hooks=[otel.hook]), "fine")
    otel.hook.stream(StreamFigures(held=40, released_before_verdict=0))

    stage, category = ("guardrail.stage", "output"), ("guardrail.category", "O5")
    assert otel.points("guardrail.requests")[stage,].value == 3
    assert otel.points("guardrail.blocked")[category, stage].value == 1
    let_through = otel.points("guardrail.errors_let_through")
    assert let_through[("error.type", "ClassifierTimeout"), stage].value == 1
    verdicts = otel.points("guardrail.verdicts")
    assert verdicts[category, stage, ("guardrail.status", "blocked")].value == 1
    assert otel.points("guardrail.check.duration")[stage,].count == 3
    assert otel.points("guardrail.held_characters")[()].sum == 40
    assert otel.points("guardrail.released_before_verdict_characters")[()].value == 0


def test_opentelemetry_sees_no_text(otel: Recorded) -> None:
    """Neither in spans nor in measurements, even where records hold it."""
    blocked(otel.hook)
    broken = classifier(error=ClassifierError(SECRET))
    Guard(broken, hooks=[otel.hook], record_text="text").check(user=SECRET, assistant=SECRET)

    assert not any(part in otel.everything() for part in SECRET.split())


def test_without_a_provider_nothing_happens() -> None:
    """A program that has not set OpenTelemetry up pays next to nothing, and nothing fails."""
    hook = OpenTelemetryHook()
    kept = ListHook()
    Guard(classifier(), hooks=[hook, kept]).check(user="hi", assistant="BAD")

    hook(replace(kept.records[0], error="X: y"))
    hook.stream(StreamFigures(held=1, released_before_verdict=0))


# Streams


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=20))
def test_a_meter_of_an_honest_stream_reads_nought(chunks: list[tuple[int, int]]) -> None:
    """What is covered before it is shown is no leak; held is the most that waited at once."""
    meter, taken, held = StreamMeter(), {0: 0, 1: 0, 2: 0}, 0
    for lane, size in chunks:
        meter.took(size, lane)
        taken[lane] += size
        held = max(held, sum(taken.values()))
    for lane, size in taken.items():
        meter.passed(size, lane)
        meter.showed(size, lane)

    assert meter.figures().held == held
    assert meter.figures().released_before_verdict in (0, None)


def test_a_meter_sees_a_leak() -> None:
    """Text beyond the last passing verdict counts, once, in its own lane."""
    meter = StreamMeter()
    meter.took(10)
    meter.took(10, "other")
    meter.passed(4)
    meter.showed(6)
    meter.showed(2)
    meter.passed(10)
    meter.showed(2)

    assert meter.figures() == StreamFigures(held=20, released_before_verdict=4)


def test_a_meter_that_heard_of_no_verdict_claims_nothing() -> None:
    """Not knowing is not nought."""
    meter = StreamMeter()
    meter.took(3)
    meter.showed(3)

    assert meter.figures().released_before_verdict is None


# Configuration


def test_settings_make_the_hooks() -> None:
    """As a file asks for them."""
    assert TelemetryConfig().hooks() == []
    kinds = [type(hook) for hook in TelemetryConfig(prometheus=True, opentelemetry=True).hooks()]
    assert kinds == [PrometheusHook, OpenTelemetryHook]
    with pytest.raises(ValidationError):
        TelemetryConfig.model_validate({"prom": True})


@pytest.mark.parametrize(
    ("library", "hook"),
    [("prometheus_client", "PrometheusHook"), ("opentelemetry", "OpenTelemetryHook")],
)
def test_a_missing_library_is_named(library: str, hook: str) -> None:
    """With what to install; the other hook works without it."""
    code = f"""
import sys
sys.modules[{library!r}] = None
from guardrail.integrations import telemetry
for name in ("PrometheusHook", "OpenTelemetryHook"):
    if name != {hook!r}:
        getattr(telemetry, name)()
getattr(telemetry, {hook!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "MissingExtraError" in done.stderr
    assert "guardrail-ko[telemetry]" in done.stderr
