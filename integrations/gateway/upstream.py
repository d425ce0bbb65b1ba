"""The API behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
from yarl import URL

from guardrail.integrations.gateway.door import OWN_COOKIES, OWN_KEY, Headers, Keys
from guardrail.integrations.gateway.faults import Fault, translating
from guardrail.integrations.gateway.settings import GatewayConfig
from guardrail.integrations.openai_wire.headers import is_passed_on
from guardrail.integrations.openai_wire.reading import is_label
from guardrail.proxies import proxy_for

__all__ = ["Answer", "Asked", "Upstream"]

# What belongs to one connection and is not passed on, and what is said anew for the next.
_HOP = (
    *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te"),
    *(b"proxy-connection", b"trailer", b"transfer-encoding", b"upgrade"),
)
# What some servers take for the request itself: another path or method than was looked at here.
_DISGUISES = (
    *(b"x-http-method", b"x-http-method-override", b"x-method-override"),
    *(b"x-original-url", b"x-rewrite-url"),
)
_ASKED_ANEW = (*_HOP, *_DISGUISES, b"host", b"expect", b"content-length", OWN_KEY)
_SAID_ANEW = (*_HOP, b"date", b"server", b"content-type")
_OF_THE_BODY = (b"content-encoding", b"content-length")
_MOST_REPLY = 64 * 2**20  # bytes of a reply that is judged; none of text is near it
_MOST_FIELD = 32 * 2**10  # bytes of one header
_SSE = "text/event-stream"
_REDIRECTS = (300, 301, 302, 303, 305, 307, 308)
# Many servers close a connection that was idle for 5 s, just as the next request may be sent on it.
_KEPT_S = 3.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for the upstream.

    Args:
        method: as it came.
        path: below the API's base, without slashes around it.
        query: as it came, without the question mark.
        headers: as they came, names in lower case.
        body: all of it; or its pieces as they come, where nobody needs to read it here.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes | AsyncIterable[bytes]


class Answer:
    """The upstream's answer: its head, and its body still to come.

    Args:
        response: holds it; decompressed where it is to be read.
        most: bytes of the body, or None for no limit.
    """

    def __init__(self, response: aiohttp.ClientResponse, most: int | None) -> None:
        self.status_code = response.status
        self.headers = response.headers
        self._response = response
        self._most = most

    @property
    def is_success(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status_code < 300

    @property
    def kind(self) -> str:
        """The body's content type, as it was said."""
        return self.headers.get("content-type", "")

    @property
    def is_stream(self) -> bool:
        """Whether the body consists of events."""
        return self.kind.partition(";")[0].strip().lower() == _SSE

    def passed_on(self, *, body: bool) -> Headers:
        """Return the headers that are true of the gateway's own answer, too.

        Args:
            body: whether the body is passed on as it is, so that they include what describes it;
                otherwise only those pass that hold no words, which nobody would judge.
        """
        raw = [(name.lower(), value) for name, value in self._response.raw_headers]
        if body:
            return _without(_SAID_ANEW, raw)
        known = _without((*_SAID_ANEW, *_OF_THE_BODY), raw)
        return [
            (name, value)
            for name, value in known
            if is_passed_on(name.decode("latin-1"), value.decode("latin-1"))
        ]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = 0
        async for chunk in self._response.content.iter_any():
            came += len(chunk)
            if self._most is not None and came > self._most:
                message = f"the upstream's reply is larger than {self._most} bytes"
                raise Fault(502, message, code="upstream_reply_too_large")
            yield chunk

    async def aread(self) -> bytes:
        """Return the whole body."""
        return b"".join([chunk async for chunk in self])

    async def aclose(self) -> None:
        """Close the connection, unless the body came to its end."""
        self._response.close()


class Upstream:
    """Sends requests on; made on a running event loop, and needs to be closed."""

    def __init__(self, config: GatewayConfig, keys: Keys) -> None:
        self._base = config.upstream
        self._keys = keys
        own = config.upstream_key
        self._authorization = f"Bearer {own.get_secret_value()}".encode() if own else None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                sock_connect=config.connect_timeout, sock_read=config.upstream_timeout
            ),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            proxy=proxy_for(config.upstream),
            max_field_size=_MOST_FIELD,
        )

    @asynccontextmanager
    async def answering(self, asked: Asked, *, judged: bool = True) -> AsyncIterator[Answer]:
        """Send a request and give the answer, its body still to come; close it at the end.

        Args:
            asked: the request.
            judged: whether the answer is read here; otherwise its body is given as it comes,
                compressed if it is.

        Raises:
            Fault: the upstream fails.
        """
        with translating():
            response = await self._send(asked, judged)
            try:
                _refuse_strange(response)
                yield Answer(response, _MOST_REPLY if judged else None)
            finally:
                response.close()

    async def reach(self, seconds: float) -> str | None:
        """Return why the upstream cannot be reached; None if it can."""
        headers = [("authorization", self._authorization.decode())] if self._authorization else None
        timeout = aiohttp.ClientTimeout(seconds)
        try:
            async with self._session.get(
                f"{self._base}/models", headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return type(error).__name__
        return f"status {status}" if status >= 500 else None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def _send(self, asked: Asked, judged: bool) -> aiohttp.ClientResponse:
        query = f"?{asked.query}" if asked.query else ""
        url = f"{self._base}/{quote(asked.path, safe='/:@!$&()*+,;=~')}{query}"
        headers = [
            (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
            for name, value in self._headers(asked, judged)
        ]
        try:
            return await self._session.request(
                asked.method,
                URL(url, encoded=True),
                headers=headers,
                data=asked.body or None,
                allow_redirects=False,
                auto_decompress=judged,
            )
        except ValueError as error:  # of the address or a header
            message = f"the request cannot be sent upstream ({type(error).__name__})"
            raise Fault(502, message, code="upstream_failed") from error

    def _headers(self, asked: Asked, judged: bool) -> Headers:
        headers = _without_cookies(_without(_ASKED_ANEW, self._keys.without(asked.headers)))
        if judged:  # it is read here, not there
            headers = _without((b"accept-encoding",), headers)
            headers.append((b"accept-encoding", b"identity"))
        if not isinstance(asked.body, bytes):
            headers += [header for header in asked.headers if header[0] == b"content-length"]
        if self._authorization is None:
            return headers
        own = (b"authorization", self._authorization)
        return [*_without((b"authorization", b"api-key"), headers), own]


def _refuse_strange(response: aiohttp.ClientResponse) -> None:
    """Refuse what would lead the client past the gateway.

    Raises:
        Fault: the response is a redirect, or no answer at all.
    """
    if response.status < 200:
        message = f"the upstream answered with status {response.status}, which is no answer"
        raise Fault(502, message, code="upstream_failed")
    if response.status in _REDIRECTS:
        place = response.headers.get("location", "")
        raise Fault(
            502,
            f"the upstream redirects{f' to {place!r}' if is_label(place) else ''}, and redirects "
            "are not followed: give --upstream its real address",
            code="upstream_redirects",
        )


def _without_cookies(headers: Headers) -> Headers:
    """Leave out the page's own cookies, which open it; a browser sends them to all paths."""
    kept = [(name, _others(value) if name == b"cookie" else value) for name, value in headers]
    return [header for header in kept if header != (b"cookie", b"")]


def _others(cookies: bytes) -> bytes:
    pairs = (pair.strip() for pair in cookies.split(b";"))
    return b"; ".join(pair for pair in pairs if not pair.startswith(OWN_COOKIES.encode()))


def _without(names: Iterable[bytes], headers: Headers) -> Headers:
    named = b",".join(value for name, value in headers if name == b"connection")
    gone = {*names, *(name.strip().lower() for name in named.split(b","))}
    return [header for header in headers if header[0] not in gone]
