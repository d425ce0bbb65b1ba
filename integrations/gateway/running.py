"""Runs a gateway from its settings until it is told to stop."""

from __future__ import annotations

import secrets
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import make_url
from starlette.types import ASGIApp

from guardrail.guard import Guard
from guardrail.integrations.gateway.app import create_app
from guardrail.integrations.gateway.serving import ServedConfig, ServingConfig
from guardrail.integrations.gateway.whence import is_loopback
from guardrail.integrations.telemetry import OpenTelemetryHook, PrometheusHook

__all__ = ["run"]

_TOKEN_BYTES = 24
_FAILED = 3  # as uvicorn's own command ends


def run(settings: ServingConfig) -> None:
    """Serve until the process is told to stop; what was recorded by then is written."""
    gateway, made = _with_token(settings.gateway)
    settings = settings.model_copy(update={"gateway": gateway})
    server = uvicorn.Server(_config(_app(settings), gateway))
    socket = server.config.bind_socket()
    print(_greeting(settings, socket.getsockname()[1], made), file=sys.stderr, flush=True)
    with suppress(KeyboardInterrupt):  # raised once it has come to its end
        server.run(sockets=[socket])
    if not server.started:
        sys.exit(_FAILED)


def _app(settings: ServingConfig) -> FastAPI:
    """Return the gateway; when it shuts down, its guard closes all that is opened here."""
    figures = PrometheusHook()
    store = settings.records.open() if settings.records else None
    sent = _otlp(settings)
    others = [hook for hook in (store, sent) if hook is not None]
    guard = Guard(
        settings.build_classifier(),
        settings.policy,
        hooks=[*settings.build_hooks(), figures, *others],
        record_text=settings.audit.text,
    )
    measures = [sent.stream] if sent else []
    if store is not None:
        figures.watch(lambda: store.counts)
    app = create_app(settings.gateway, guard, figures=figures, records=store, measures=measures)
    if sent is not None:
        _trace(app)
    return app


def _otlp(settings: ServingConfig) -> OpenTelemetryHook | None:
    if not settings.telemetry.opentelemetry:
        return None
    from guardrail.integrations.telemetry.otlp import OtlpHook

    return OtlpHook()


def _trace(app: FastAPI) -> None:
    from guardrail.integrations.telemetry.otlp import TraceContext

    app.add_middleware(TraceContext)


def _config(app: ASGIApp, gateway: ServedConfig) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=gateway.host,
        port=gateway.port,
        access_log=False,  # queries may hold keys
        log_level="info",
        server_header=False,
        timeout_keep_alive=75,  # longer than clients keep theirs, so that none is cut off
        timeout_graceful_shutdown=max(1, round(gateway.drain)),
        ws="none",
    )


def _with_token(gateway: ServedConfig) -> tuple[ServedConfig, str | None]:
    """Return the settings with a token for the page where it needs one, and the one made up."""
    is_local = gateway.host == "localhost" or is_loopback(gateway.host)
    is_needed = gateway.page and (gateway.keys or not is_local)
    if not is_needed or gateway.page_token is not None:
        return gateway, None
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    return gateway.model_copy(update={"page_token": SecretStr(token)}), token


def _greeting(settings: ServingConfig, port: int, made: str | None) -> str:
    """Return what is said at the start: where things are, and the token that was made up."""
    gateway = settings.gateway
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    root = f"http://{host}:{port}"
    lines = [("API", f"{root}/v1 -> {gateway.upstream or 'no upstream: it only judges'}")]
    if gateway.page:
        lines.append(("Page", f"{root}/#token={made}" if made else f"{root}/"))
    if made:
        lines.append(("", "this token ends with this process; GUARDRAIL_PAGE_TOKEN sets one"))
    lines.append(("Records", _kept(settings)))
    return "\n".join(f"{name:<9}{text}" for name, text in lines)


def _kept(settings: ServingConfig) -> str:
    if settings.records is None:
        return "none are kept"
    text = {"none": "without any text", "hash": "with hashes of texts", "text": "with masked texts"}
    return f"{make_url(settings.records.url)!r}, {text[settings.audit.text]}"
