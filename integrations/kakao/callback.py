"""Late answers: one call to an address of the platform's."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Collection, Mapping
from typing import Any

from guardrail.audit import json_line
from guardrail.errors import needing

with needing("kakao"):
    import httpx

__all__ = ["Callbacks"]

_logger = logging.getLogger("guardrail")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Callbacks:
    """Calls addresses of the platform's, and no others.

    Args:
        hosts: domains that may be called, with all their subdomains.
    """

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = frozenset(hosts)
        self._tls: ssl.SSLContext | None = None  # takes some time to make, and serves every call

    def allows(self, url: str) -> bool:
        """Whether an address may be called: over TLS, or on this machine where it is listed."""
        try:
            address = httpx.URL(url)
            host = address.host  # decoded only now
        except (httpx.InvalidURL, ValueError):
            return False
        listed = any(host == one or host.endswith(f".{one}") for one in self._hosts)
        safe = address.scheme == "https" or (address.scheme == "http" and host in _LOOPBACK)
        return listed and safe and not address.userinfo

    async def call(self, url: str, response: Mapping[str, Any], seconds: float) -> None:
        """Send a response to an address, once: it takes no second call."""
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx.create_ssl_context)
        try:
            async with httpx.AsyncClient(verify=self._tls, timeout=seconds) as client:
                answer = await client.post(
                    url,
                    content=json_line(response).encode(),
                    headers={"content-type": "application/json; charset=utf-8"},
                )
            if not answer.is_success:
                _logger.error("a callback to KakaoTalk was answered with %d", answer.status_code)
        except httpx.HTTPError as error:
            _logger.error("a callback to KakaoTalk failed: %s", type(error).__name__)
