"""The paths of the page: its files, the way in, and its API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from guardrail.guard import Guard
from guardrail.integrations.gateway.faults import Fault, json_response
from guardrail.integrations.gateway.page.access import Access, Entry, refuse_from_elsewhere
from guardrail.integrations.gateway.page.activity import activity
from guardrail.integrations.gateway.page.asked import answering
from guardrail.integrations.gateway.page.bot import LINES
from guardrail.integrations.gateway.page.files import Files
from guardrail.integrations.gateway.page.originals import Originals
from guardrail.integrations.gateway.page.talk import Talk, TalkRequest
from guardrail.integrations.gateway.page.threshold import ThresholdRequest, changes
from guardrail.integrations.gateway.settings import GatewayConfig
from guardrail.integrations.gateway.upstream import Asked, Upstream
from guardrail.integrations.records import RecordStore
from guardrail.taxonomy import TITLES

__all__ = ["Login", "page"]

_API = "/page/api"


class Login(BaseModel):
    """A token to come in with."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: str = Field(max_length=1000)


def page(
    config: GatewayConfig,
    guard: Guard,
    upstream: Callable[[], Upstream],
    store: RecordStore | None,
) -> APIRouter:
    """Return all paths of the page.

    Args:
        config: of the gateway.
        guard: judges in the playground, as it does elsewhere.
        upstream: answers in the playground.
        store: keeps the records; None where none are kept.
    """
    access = Access(config.page_token, shut=bool(config.keys))
    inside = APIRouter(prefix=_API, dependencies=[Depends(access.admit)])
    inside.include_router(_playground(config, guard, upstream, store))
    if store is not None:
        inside.include_router(activity(store))
    router = APIRouter()
    router.include_router(_door(access))
    router.include_router(inside)
    return router


def _door(access: Access) -> APIRouter:
    """Return what everybody may ask for."""
    router = APIRouter()
    files = Files()

    @router.get("/")
    async def shell(request: Request) -> Response:
        """Return the page; it asks for the token where one is needed."""
        return files.shell(status=200 if access.entry(request) is Entry.OPEN else 401)

    @router.get("/page/{name}")
    async def file(name: str, request: Request) -> Response:
        """Return one of the page's files."""
        return files.file(name, request)

    @router.post(f"{_API}/login")
    async def log_in(asked: Login, request: Request) -> Response:
        """Take the token, and give a cookie for it."""
        refuse_from_elsewhere(request)
        response = Response(status_code=204)
        access.log_in(asked.token, request, response)
        return response

    @router.post(f"{_API}/logout")
    async def log_out(request: Request) -> Response:
        """Take the cookie back."""
        refuse_from_elsewhere(request)
        response = Response(status_code=204)
        access.log_out(response)
        return response

    return router


def _playground(
    config: GatewayConfig,
    guard: Guard,
    upstream: Callable[[], Upstream],
    store: RecordStore | None,
) -> APIRouter:
    router = APIRouter()
    originals = Originals()
    talk = Talk(guard, upstream, originals)

    @router.get("/state")
    async def state() -> Response:
        """Return how the gateway is set up, as far as the page shows it."""
        return json_response(_state(config, guard, store))

    @router.get("/models")
    async def models() -> Response:
        """Return the names of the upstream's models; none where it does not tell."""
        return json_response({"models": await _models(upstream)})

    @router.post("/talk")
    async def say(asked: TalkRequest) -> Response:
        """Have something said, and tell what comes through the guard."""
        unbuffered = {"x-accel-buffering": "no"}  # by a proxy on the way
        return StreamingResponse(
            talk.lines(asked), media_type="application/x-ndjson", headers=unbuffered
        )

    @router.get("/originals/{name}")
    async def original(name: str) -> Response:
        """Return what the model had said before the guard replaced it."""
        text = originals.get(name)
        if text is None:
            raise Fault(404, "it is kept for minutes only", code="no_original")
        return json_response({"text": text})

    @router.post("/threshold")
    def threshold(asked: ThresholdRequest) -> Response:
        """Return what another threshold would change."""
        with answering():
            recent = store and changes(store.records, guard.policy, asked.threshold)
        return json_response({"unsafe": asked.decided(guard.policy), "recent": recent})

    return router


def _state(config: GatewayConfig, guard: Guard, store: RecordStore | None) -> dict[str, Any]:
    return {
        "upstream": urlsplit(config.upstream).netloc.rpartition("@")[2] or None,
        "needs_key": config.upstream_key is None,
        "has_token": config.page_token is not None,
        "classifier": guard.classifier.name,
        "mode": guard.policy.mode,
        "on_error": guard.policy.on_error,
        "threshold": guard.policy.threshold,
        "records": store is not None,
        "text": guard.record_text,
        "categories": TITLES,
        "lines": {language: [user for user, _ in lines] for language, lines in LINES.items()},
    }


async def _models(upstream: Callable[[], Upstream]) -> list[str]:
    try:
        async with upstream().answering(Asked("GET", "models", "", [], b"")) as response:
            listed = (await response.aread()) if response.is_success else b""
    except Fault:
        return []
    return _names(listed)


def _names(listed: bytes) -> list[str]:
    try:
        data = json.loads(listed)["data"]
        return sorted(str(one["id"]) for one in data)[:500]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
