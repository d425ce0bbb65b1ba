"""Records and figures as the page's API gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from guardrail.audit import Status
from guardrail.integrations.gateway.page.asked import Chosen
from guardrail.integrations.records import Agreement, Bucket, Filter, RecordStore, Stored

__all__ = ["agreement", "figures", "record"]


def record(one: Stored) -> dict[str, Any]:
    """Return a record as JSON has it."""
    return asdict(one.record) | {
        "time": one.record.time.isoformat(),
        "review": one.review,
        "reviewed": one.reviewed.isoformat() if one.reviewed else None,
    }


def figures(store: RecordStore, chosen: Chosen, now: datetime) -> dict[str, Any]:
    """Return all that the charts show."""
    records, wanted = store.records, chosen.filter(now)
    buckets = records.over_time(wanted, width=chosen.span.width, offset=chosen.zone)
    return {
        "width": chosen.span.width.total_seconds(),
        "buckets": [{"start": one.start.isoformat(), "counts": one.counts} for one in buckets],
        "totals": _totals(buckets),
        "categories": _categories(store, wanted),
        "latency": {stage: asdict(one) for stage, one in records.latency(wanted).items()},
        "agreement": agreement(records.agreement(wanted)),
        "kept": asdict(store.counts),
    }


def agreement(found: Agreement) -> dict[str, Any]:
    """Return how often people agreed."""
    return asdict(found) | {"total": found.total, "share": found.share}


def _totals(buckets: list[Bucket]) -> Mapping[Status, int]:
    return {status: sum(one.counts[status] for one in buckets) for status in Status}


def _categories(store: RecordStore, wanted: Filter) -> list[dict[str, Any]]:
    found = store.records.by_category(wanted)
    return [
        {"category": category, "counts": counts}
        for category, counts in sorted(found.items(), key=lambda item: item[0] or "~")
    ]
