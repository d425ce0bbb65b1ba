"""Counts for the cluster: Ray collects them from every replica, on whatever machine it is."""

from __future__ import annotations

from ray.serve.metrics import Counter, Histogram

from guardrail.audit import AuditRecord, Status
from guardrail.integrations.telemetry.series import CHARACTERS, SECONDS, error_type
from guardrail.integrations.telemetry.streams import StreamFigures

__all__ = ["ClusterFigures"]


class ClusterFigures:
    """A hook that counts decisions where Ray's own metrics go, under the names of `PrometheusHook`.

    Ray puts `ray_` before them, and says in labels which replica counted.
    """

    def __init__(self) -> None:
        self._verdicts = Counter(
            "guardrail_verdicts",
            "Decisions by status, and by the category they were made for.",
            tag_keys=("stage", "status", "category"),  # type: ignore[arg-type]  # Ray's says one
        )
        self._let_through = Counter(
            "guardrail_errors_let_through",
            "Texts shown though the classifier gave no verdict.",
            tag_keys=("stage", "error"),  # type: ignore[arg-type]  # Ray's says one
        )
        self._seconds = Histogram(
            "guardrail_check_seconds",
            "Time from the question to the decision.",
            boundaries=list(SECONDS),
            tag_keys=("stage",),
        )
        self._held = Histogram(
            "guardrail_held_characters",
            "Characters of a stream held back, at the moment there were most.",
            boundaries=list(CHARACTERS[1:]),  # Ray's begin above nought
        )
        self._released = Counter(
            "guardrail_released_before_verdict_characters",
            "Characters shown before a passing verdict covered them; must be 0.",
        )

    def __call__(self, record: AuditRecord, /) -> None:
        """Count one decision."""
        stage, category = record.stage.value, record.category.value if record.category else ""
        self._seconds.observe(record.seconds, {"stage": stage})
        self._verdicts.inc(
            tags={"stage": stage, "status": record.status.value, "category": category}
        )
        if record.status is Status.ERROR_ALLOWED:
            self._let_through.inc(tags={"stage": stage, "error": error_type(record)})

    def stream(self, figures: StreamFigures) -> None:
        """Count one guarded stream, at its end."""
        self._held.observe(figures.held)
        if figures.released_before_verdict:
            self._released.inc(figures.released_before_verdict)
