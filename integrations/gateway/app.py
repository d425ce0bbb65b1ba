"""The ASGI app: which paths there are, and what is behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from guardrail.guard import Guard
from guardrail.integrations.gateway.bodies import wrong_field
from guardrail.integrations.gateway.door import Door, Keys
from guardrail.integrations.gateway.faults import Fault
from guardrail.integrations.gateway.health import health
from guardrail.integrations.gateway.judging import judging
from guardrail.integrations.gateway.page import PageHeaders, page
from guardrail.integrations.gateway.passage import Passage
from guardrail.integrations.gateway.sending import ClientGone, Incoming, until_gone
from guardrail.integrations.gateway.settings import GatewayConfig
from guardrail.integrations.gateway.stopping import Stopping
from guardrail.integrations.gateway.upstream import Asked, Upstream
from guardrail.integrations.records import RecordStore
from guardrail.integrations.telemetry.prometheus import PrometheusHook
from guardrail.integrations.telemetry.streams import StreamFigures

__all__ = ["create_app"]

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_STRANGE = frozenset("%\\?#;")  # in a decoded path: somebody may decode it once more
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


def create_app(
    config: GatewayConfig,
    guard: Guard,
    *,
    figures: PrometheusHook | None = None,
    records: RecordStore | None = None,
    measures: Sequence[Callable[[StreamFigures], None]] = (),
) -> FastAPI:
    """Return the gateway as an ASGI app.

    Args:
        config: how it is set up.
        guard: judges; closed when the app shuts down, and its hooks with it.
        figures: shown at `/metrics`; give the hook that the guard has.
        records: shown on the page; give the hook that the guard has.
        measures: take the figures of each stream, besides `figures`.
    """
    figures = figures or PrometheusHook()
    return _Gateway(config, guard, figures, records, (figures.stream, *measures)).app()


class _Gateway:
    """What the endpoints share."""

    def __init__(
        self,
        config: GatewayConfig,
        guard: Guard,
        figures: PrometheusHook,
        records: RecordStore | None,
        measures: Sequence[Callable[[StreamFigures], None]],
    ) -> None:
        self._config = config
        self._guard = guard
        self._figures = figures
        self._records = records
        self._measures = measures
        self._keys = Keys(config.keys)
        self._upstream: Upstream | None = None

    def app(self) -> FastAPI:
        app = FastAPI(
            title="Guardrail gateway",
            docs_url=None,  # the framework's pages load scripts from elsewhere
            redoc_url=None,
            lifespan=self._lifespan,
        )
        app.add_middleware(Door, keys=self._keys, max_body=self._config.max_body)
        app.add_middleware(Stopping)
        app.add_exception_handler(HTTPException, _as_fault)
        app.add_exception_handler(RequestValidationError, _as_fault)
        app.add_exception_handler(Exception, _as_fault)
        for name in ("chat/completions", "responses"):
            app.add_api_route(
                f"/v1/{name}",
                self._endpoint(name),
                methods=["POST"],
                summary=f"Forward a call of {name}, and judge the reply.",
                openapi_extra=_BODY,
            )
        app.include_router(judging(self._guard))
        app.include_router(health(self._guard, self._probed, self._figures))
        if self._config.page:
            app.add_middleware(PageHeaders)
            app.include_router(
                page(self._config, self._guard, self._reached, self._records),
                include_in_schema=False,
            )
        app.add_api_route(
            "/v1/{path:path}", self._any_path, methods=_METHODS, include_in_schema=False
        )
        return app

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self._upstream = Upstream(self._config, self._keys)
        try:
            yield
        finally:
            await self._upstream.aclose()
            await asyncio.to_thread(self._guard.close)

    def _probed(self) -> Upstream | None:
        return self._reached() if self._config.upstream else None

    def _reached(self) -> Upstream:
        assert self._upstream is not None, "the server has started the app"
        if not self._config.upstream:
            message = "there is no upstream: start the gateway with --upstream https://host/v1"
            raise Fault(503, message, code="no_upstream")
        return self._upstream

    def _passage(self) -> Passage:
        return Passage(
            self._reached(),
            self._guard,
            keep_alive=self._config.keep_alive,
            measured=self._measured,
        )

    def _measured(self, figures: StreamFigures) -> None:
        for measure in self._measures:
            measure(figures)

    def _endpoint(self, path: str) -> Callable[[], Any]:
        async def forward() -> Response:
            return _Forwarded(self._passage(), path)

        return forward

    async def _any_path(self, path: str) -> Response:
        # Slashes too many as well: what is answered here under its own name is never sent on.
        if not path.isprintable() or _STRANGE & set(path) or {"", ".", ".."} & set(path.split("/")):
            raise Fault(404, f"there is no path {path!r:.100}", code="unknown_path")
        return _Forwarded(self._passage(), path)


class _Forwarded(Response):
    """The response to a call that goes upstream: all is done as it is sent."""

    background = None

    def __init__(self, passage: Passage, path: str) -> None:
        self._passage = passage
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientGone):
            query = scope["query_string"].decode("latin-1")
            asked = Asked(scope["method"], self._path, query, scope["headers"], b"")
            incoming = Incoming(receive)
            await until_gone(incoming, send, partial(self._passage.serve, asked, incoming))


async def _as_fault(_: Request, error: Exception) -> Response:
    """Return any error as OpenAI words it; what the request held is not repeated."""
    match error:
        case Fault():
            fault = error
        case RequestValidationError():
            fault = wrong_field(error)
        case HTTPException():
            headers = error.headers or {}
            fault = Fault(error.status_code, str(error.detail), code=None, headers=headers)
        case _:
            fault = Fault(500, "the gateway failed", code="gateway_failed")
    return fault.response()
