"""The API behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from guardrail.integrations.gateway.door import OWN_KEY, Headers, Keys
from guardrail.integrations.gateway.faults import Fault, translating
from guardrail.integrations.gateway.settings import GatewayConfig

__all__ = ["Asked", "Upstream", "UpstreamBytes", "reply_headers"]

# What belongs to one connection and is not passed on, and what is said anew for the next.
_HOP = (
    *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te"),
    *(b"proxy-connection", b"trailer", b"transfer-encoding", b"upgrade", b"content-length"),
)
_ASKED_ANEW = (*_HOP, b"host", b"accept-encoding", b"expect", OWN_KEY)
_SAID_ANEW = (*_HOP, b"content-encoding", b"content-type", b"date", b"server")
# Many servers close a connection that was idle for 5 s, just as the next request may be sent on it.
_CONNECTIONS = httpx.Limits(
    max_connections=None, max_keepalive_connections=256, keepalive_expiry=3.0
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for the upstream.

    Args:
        method: as it came.
        path: below the API's base, without slashes around it.
        query: as it came, without the question mark.
        headers: as they came, names in lower case.
        body: all of it.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes


class Upstream:
    """Sends requests on; needs to be closed."""

    def __init__(self, config: GatewayConfig, keys: Keys) -> None:
        self._base = config.upstream
        self._keys = keys
        own = config.upstream_key
        self._authorization = f"Bearer {own.get_secret_value()}".encode() if own else None
        seconds = config.upstream_timeout
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(seconds, connect=config.connect_timeout),
            limits=_CONNECTIONS,
        )

    @asynccontextmanager
    async def answering(self, asked: Asked) -> AsyncIterator[httpx.Response]:
        """Send a request and give the response, its body still to come; close it at the end.

        Raises:
            Fault: the upstream fails.
        """
        with translating():
            response = await self._client.send(self._request(asked), stream=True)
            try:
                if response.is_redirect:
                    raise Fault(
                        502,
                        f"the upstream redirects to {response.headers['location']!r}, and "
                        "redirects are not followed: give --upstream its real address",
                        code="upstream_redirects",
                    )
                yield response
            finally:
                await response.aclose()

    async def reach(self, seconds: float) -> str | None:
        """Return why the upstream cannot be reached; None if it can."""
        headers = [(b"authorization", self._authorization)] if self._authorization else None
        try:
            response = await self._client.get(
                f"{self._base}/models", headers=headers, timeout=seconds
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
        return f"status {response.status_code}" if response.status_code >= 500 else None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _request(self, asked: Asked) -> httpx.Request:
        query = f"?{asked.query}" if asked.query else ""
        url = f"{self._base}/{quote(asked.path, safe='/:@!$&()*+,;=~')}{query}"
        headers = self._headers(asked.headers)
        return self._client.build_request(
            asked.method, url, headers=headers, content=asked.body or None
        )

    def _headers(self, given: Headers) -> Headers:
        headers = _without(_ASKED_ANEW, self._keys.without(given))
        headers.append((b"accept-encoding", b"identity"))  # it is read here, not there
        if self._authorization is None:
            return headers
        own = (b"authorization", self._authorization)
        return [*_without((b"authorization", b"api-key"), headers), own]


def reply_headers(response: httpx.Response) -> Headers:
    """Return the headers of an upstream's response that are true of ours, too."""
    return _without(_SAID_ANEW, [(name.lower(), value) for name, value in response.headers.raw])


def _without(names: Iterable[bytes], headers: Headers) -> Headers:
    named = b",".join(value for name, value in headers if name == b"connection")
    gone = {*names, *(name.strip().lower() for name in named.split(b","))}
    return [header for header in headers if header[0] not in gone]


class UpstreamBytes:
    """The body of an upstream's response, as it comes."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.aiter_bytes()

    async def aclose(self) -> None:
        """Close the response."""
        await self._response.aclose()
