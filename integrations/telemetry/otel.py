"""Spans and measurements for OpenTelemetry.

The conventions for generative AI have no guardrails yet; they have evaluations, whose event is
used (`gen_ai.evaluation.result`). All else has names under `guardrail.`, which stay as they are.
"""

from __future__ import annotations

import time
from importlib.metadata import version

from guardrail.audit import AuditRecord, Status
from guardrail.errors import needing
from guardrail.integrations.telemetry.series import CHARACTERS, SECONDS, error_type
from guardrail.integrations.telemetry.streams import StreamFigures
from guardrail.types import Action, Stage

with needing("telemetry"):
    from opentelemetry import metrics, trace
    from opentelemetry.util.types import AttributeValue

__all__ = ["OpenTelemetryHook"]

_FINISH_REASONS = "gen_ai.response.finish_reasons"

_Attributes = dict[str, AttributeValue]


class OpenTelemetryHook:
    """A hook that makes a span and measurements of each decision, without any text.

    The span `guardrail.check` is a child of the current one; where that is a span of a model's
    call, a blocked reply sets its finish reason to `content_filter`.

    Args:
        tracer_provider: where spans go; the program's unless given.
        meter_provider: where measurements go; the program's unless given.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        release = version("guardrail-ko")
        self._tracer = trace.get_tracer("guardrail", release, tracer_provider)
        meter = metrics.get_meter("guardrail", release, meter_provider)
        self._requests = meter.create_counter(
            "guardrail.requests", "{text}", "Texts that were to be judged."
        )
        self._verdicts = meter.create_counter(
            "guardrail.verdicts", "{text}", "Decisions by status and category."
        )
        self._blocked = meter.create_counter("guardrail.blocked", "{text}", "Texts replaced.")
        self._let_through = meter.create_counter(
            "guardrail.errors_let_through", "{text}", "Texts shown without a verdict."
        )
        self._seconds = meter.create_histogram(
            "guardrail.check.duration",
            "s",
            "Time from the question to the decision.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._held = meter.create_histogram(
            "guardrail.held_characters",
            "{character}",
            "Characters of a stream held back, at the moment there were most.",
            explicit_bucket_boundaries_advisory=CHARACTERS,
        )
        self._released = meter.create_counter(
            "guardrail.released_before_verdict_characters",
            "{character}",
            "Characters shown before a passing verdict covered them; must be 0.",
        )

    def __call__(self, record: AuditRecord, /) -> None:
        """Make a span and measurements of one decision."""
        self._measure(record)
        self._trace(record)

    def stream(self, figures: StreamFigures) -> None:
        """Measure one guarded stream, at its end."""
        self._held.record(figures.held)
        if figures.released_before_verdict is not None:
            self._released.add(figures.released_before_verdict)

    def _measure(self, record: AuditRecord) -> None:
        stage: _Attributes = {"guardrail.stage": record.stage.value}
        category: _Attributes = (
            {"guardrail.category": record.category.value} if record.category else {}
        )
        self._requests.add(1, stage)
        self._verdicts.add(1, stage | category | {"guardrail.status": record.status.value})
        self._seconds.record(record.seconds, stage)
        if record.action is Action.REPLACE:
            self._blocked.add(1, stage | category)
        if record.status is Status.ERROR_ALLOWED:
            self._let_through.add(1, stage | _error(record))

    def _trace(self, record: AuditRecord) -> None:
        end = time.time_ns()
        parent = trace.get_current_span()
        span = self._tracer.start_span(
            "guardrail.check",
            start_time=end - round(record.seconds * 1e9),
            attributes=_described(record),
        )
        if record.score is not None:
            span.add_event("gen_ai.evaluation.result", _evaluated(record, record.score), end)
        if record.error is not None:
            span.set_status(trace.StatusCode.ERROR, error_type(record))
        span.end(end)
        if record.action is Action.REPLACE and record.stage is Stage.OUTPUT:
            _note_finish(parent)


def _described(record: AuditRecord) -> _Attributes:
    described: _Attributes = {
        "guardrail.record.id": record.id,
        "guardrail.stage": record.stage.value,
        "guardrail.status": record.status.value,
        "guardrail.action": record.action.value,
    }
    if record.classifier:
        described["guardrail.classifier"] = record.classifier
    if record.category:
        described["guardrail.category"] = record.category.value
    if record.score is not None:
        described["guardrail.score"] = record.score
    for category, score in record.categories.items():
        described[f"guardrail.category_score.{category.value}"] = score
    return described | _error(record)


def _evaluated(record: AuditRecord, score: float) -> _Attributes:
    """Return the attributes of an evaluation, as the conventions name them."""
    return {
        "gen_ai.evaluation.name": "guardrail",
        "gen_ai.evaluation.score.value": score,
        "gen_ai.evaluation.score.label": record.status.value,
    }


def _error(record: AuditRecord) -> _Attributes:
    return {} if record.error is None else {"error.type": error_type(record)}


def _note_finish(parent: trace.Span) -> None:
    """Tell the span of a model's call how the reply ended; leave other spans alone."""
    known = getattr(parent, "attributes", None) or {}
    if parent.is_recording() and any(name.startswith("gen_ai.") for name in known):
        parent.set_attribute(_FINISH_REASONS, ["content_filter"])
