"""The page's questions about records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response, StreamingResponse

from guardrail.integrations.gateway.faults import Fault, json_response
from guardrail.integrations.gateway.page import shown
from guardrail.integrations.gateway.page.asked import Chosen, Listed, answering
from guardrail.integrations.records import RecordStore, Review, Stored

__all__ = ["Said", "activity"]

_Chosen = Annotated[Chosen, Query()]
_Listed = Annotated[Listed, Query()]


class Said(BaseModel):
    """What a person says about a decision; null takes it back."""

    model_config = ConfigDict(extra="forbid")

    review: Review | None


def activity(store: RecordStore) -> APIRouter:
    """Return the endpoints; they wait for the database, on threads of the framework's."""
    router = APIRouter()

    @router.get("/figures")
    def figures(chosen: _Chosen) -> Response:
        """Return what was decided over time, by category, and how fast."""
        with answering():
            return json_response(shown.figures(store, chosen, datetime.now(UTC)))

    @router.get("/records")
    def listed(chosen: _Listed) -> Response:
        """Return records, the newest first."""
        with answering():
            wanted = chosen.filter(datetime.now(UTC))
            page = store.records.page(wanted, limit=chosen.limit, after=chosen.after)
        records = [shown.record(one) for one in page.records]
        return json_response({"records": records, "next": page.next})

    @router.get("/records/{record_id}")
    def one(record_id: str) -> Response:
        """Return one record."""
        with answering():
            return _found(store.records.get(record_id))

    @router.put("/records/{record_id}/review")
    def review(record_id: str, said: Said) -> Response:
        """Note what a person says about a decision."""
        with answering():
            return _found(store.records.review(record_id, said.review))

    @router.get("/export")
    def export(chosen: _Chosen) -> Response:
        """Return the reviewed replies as JSONL, which `guardrail eval` reads."""
        lines = _lines(store, chosen)
        headers = {"content-disposition": 'attachment; filename="guardrail-reviews.jsonl"'}
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)

    return router


def _lines(store: RecordStore, chosen: Chosen) -> Iterator[bytes]:
    for line in store.records.export(chosen.filter(datetime.now(UTC))):
        yield f"{line}\n".encode()


def _found(one: Stored | None) -> Response:
    if one is None:
        raise Fault(404, "there is no such record; it may be kept no longer", code="no_record")
    return json_response(shown.record(one))
