"""Whether the gateway lives, whether it can work, and its figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.responses import Response

from guardrail.guard import Guard
from guardrail.integrations.gateway.faults import json_response
from guardrail.integrations.gateway.upstream import Upstream
from guardrail.integrations.telemetry.prometheus import PrometheusHook
from guardrail.types import exchange

__all__ = ["health"]

_PROBE_S = 3.0
_REMEMBERED_S = 5.0  # many probes make one question


def health(
    guard: Guard, upstream: Callable[[], Upstream | None], figures: PrometheusHook
) -> APIRouter:
    """Return the endpoints for whoever runs the gateway.

    Args:
        guard: judges.
        upstream: is to be reached; None where there is none to reach.
        figures: of what was judged.
    """
    router = APIRouter()
    judges = _Remembered(lambda: _judges(guard))
    reaches = _Remembered(lambda: _reaches(upstream()))

    @router.get("/healthz")
    async def healthz() -> Response:
        """Say that the process answers."""
        return json_response({"status": "ok"})

    @router.get("/readyz", responses={503: {"description": "Something is missing."}})
    async def readyz() -> Response:
        """Say whether replies can be judged, and whether the upstream can be reached."""
        wrong = {"classifier": await judges(), "upstream": await reaches()}
        said = {name: why or "ok" for name, why in wrong.items()}
        return json_response(said, 503 if any(wrong.values()) else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        """Return all figures, for Prometheus."""
        return Response(figures.render(), media_type=figures.content_type)

    return router


async def _judges(guard: Guard) -> str | None:
    """Return why nothing can be judged, None if it can; this is not recorded."""
    try:
        async with asyncio.timeout(guard.policy.timeout):
            await guard.classifier.aclassify(exchange("", "ok"))
    except Exception as error:  # a classifier may raise anything
        return type(error).__name__
    return None


async def _reaches(upstream: Upstream | None) -> str | None:
    """Return why the upstream cannot be reached; None if it can, or if there is none."""
    return None if upstream is None else await upstream.reach(_PROBE_S)


class _Remembered:
    """Asks again only after some seconds, and once for all who ask meanwhile."""

    def __init__(self, ask: Callable[[], Awaitable[str | None]]) -> None:
        self._ask = ask
        self._lock = asyncio.Lock()
        self._answer: str | None = None
        self._until = 0.0

    async def __call__(self) -> str | None:
        async with self._lock:
            if time.monotonic() >= self._until:
                self._answer = await self._ask()
                self._until = time.monotonic() + _REMEMBERED_S
            return self._answer
