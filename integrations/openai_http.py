"""The transport of a guarded client: every reply is judged below the SDK, where none gets past it.

It works for httpx (openai 2) and httpx2 (openai 3) alike, and imports neither: what it needs of
them, it takes from the HTTP client it is given.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

from guardrail.errors import UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.openai_wire import (
    Call,
    GuardedAsyncBytes,
    GuardedBytes,
    UnguardedPath,
    aanswer,
    afailed,
    answer,
    arefusal,
    failed,
    read_call,
    refusal,
    refused,
)
from guardrail.integrations.openai_wire.headers import is_passed_on
from guardrail.types import Outcome

__all__ = ["guard_http", "unguarded"]

_LIBRARIES = ("httpx", "httpx2")
_SSE = "text/event-stream"
_JSON = "application/json"
_OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding", "content-type")
_EXTENSIONS = ("http_version",)  # others are the server's own words, and the socket itself
_MARK = "_guardrail_unguarded"  # on a guarded HTTP client: the one it was made from


def unguarded(http: Any) -> Any:
    """Return the HTTP client that a guarded one was made from; any other is returned as it is."""
    return getattr(http, _MARK, http)


def guard_http(
    http: Any, guard: Guard, base: Callable[[], str], error: Callable[[str], Exception]
) -> Any:
    """Return an HTTP client like the given one, with its connections, whose replies are judged.

    Args:
        http: a client of httpx or httpx2, sync or async.
        guard: judges.
        base: returns the path of the API's base.
        error: makes what is raised for a call that cannot be guarded.
    """
    library = _library_of(http)
    wire = _Wire(library, guard, base, error)
    wrap = _AsyncTransport if isinstance(http, library.AsyncClient) else _Transport
    guarded = copy.copy(http)
    kind: Any = type(http)
    guarded.__class__ = _borrowing(kind)
    setattr(guarded, _MARK, http)
    guarded._transport = wrap(http._transport, wire)
    guarded._mounts = {
        pattern: None if mount is None else wrap(mount, wire)
        for pattern, mount in http._mounts.items()
    }
    return guarded


def _library_of(http: Any) -> Any:
    for base in type(http).__mro__:
        library = base.__module__.partition(".")[0]
        if library in _LIBRARIES:
            return sys.modules[library]
    raise UnguardedCall(f"{type(http)!r} is no HTTP client of {' or '.join(_LIBRARIES)}")


@lru_cache(maxsize=64)
def _borrowing(kind: type[Any]) -> type[Any]:
    """Return the class of a client that shares the connections of another: both close together."""

    def close(self: Any) -> None:
        kind.close(self)
        vars(self)[_MARK].close()

    async def aclose(self: Any) -> None:
        await kind.aclose(self)
        await vars(self)[_MARK].aclose()

    def forget(_: Any) -> None:
        """Leave the connections to the client that they belong to."""

    closing = {"aclose": aclose} if hasattr(kind, "aclose") else {"close": close}
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), {**names, **closing, "__del__": forget})


class _Wire:
    """What both transports do: read calls, and make the responses that the caller sees."""

    def __init__(
        self,
        library: Any,
        guard: Guard,
        base: Callable[[], str],
        error: Callable[[str], Exception],
    ) -> None:
        self.guard = guard
        self._library = library
        self._base = base
        self._error = error

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Raise what cannot be guarded as an error that the SDK lets through, and never retries."""
        try:
            yield
        except UnguardedCall as refusal:
            raise self._error(str(refusal)) from None

    def call(self, request: Any) -> Call | None:
        """Return the call that a request makes; None if its answer carries no reply."""
        try:
            return read_call(request.method, self._path(request), lambda: self._content(request))
        except UnguardedPath as error:
            raise UnguardedCall(
                f"{error} Make such calls through a client without a guard."
            ) from None

    def refused(self, call: Call, outcome: Outcome) -> Any:
        """Return the response to a call that never went upstream."""
        kind = _SSE if call.streamed else _JSON
        return self._library.Response(
            200, headers={"content-type": kind}, content=refused(call, outcome)
        )

    def whole(self, response: Any, body: bytes) -> Any:
        """Return a response with another body."""
        return self._response(response, _JSON, content=body)

    def streamed(self, response: Any, body: GuardedBytes | GuardedAsyncBytes) -> Any:
        """Return a response that streams another body."""
        kind = (
            self._library.SyncByteStream
            if isinstance(body, GuardedBytes)
            else self._library.AsyncByteStream
        )
        return self._response(response, _SSE, stream=_streamed(kind)(body, self.refusing))

    def _response(self, response: Any, kind: str, **body: Any) -> Any:
        headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name.lower() not in _OF_THE_BODY and is_passed_on(name, value)
        ]
        return self._library.Response(
            response.status_code,
            headers=[*headers, ("content-type", kind)],
            extensions={
                name: value for name, value in response.extensions.items() if name in _EXTENSIONS
            },
            **body,
        )

    def _path(self, request: Any) -> str:
        root = self._base().partition("/deployments/")[0].rstrip("/") + "/"
        path = str(request.url.path)
        if not path.startswith(root):
            raise UnguardedCall(f"{path!r} is not below {root!r}, so it is not guarded")
        return path.removeprefix(root).strip("/")

    def _content(self, request: Any) -> bytes:
        try:
            content: bytes = request.content
        except self._library.RequestNotRead:
            raise UnguardedCall("the request's body is a stream, so it cannot be read") from None
        return content


class _Streamed:
    """A guarded body, under the methods of either library."""

    def __init__(self, body: Any, refusing: Callable[[], AbstractContextManager[None]]) -> None:
        self._body = body
        self._refusing = refusing

    def __iter__(self) -> Iterator[bytes]:
        with self._refusing():
            yield from self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._refusing():
            async for piece in self._body:
                yield piece

    def close(self) -> None:
        self._body.close()

    async def aclose(self) -> None:
        await self._body.aclose()


@lru_cache(maxsize=8)
def _streamed(kind: type[Any]) -> type[Any]:
    """Return the class of guarded bodies that a library takes for streams of its own kind."""
    return type("GuardedByteStream", (_Streamed, kind), {})


class _Source:
    """The body of an upstream's response, decompressed."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        chunks: Iterator[bytes] = self._response.iter_bytes()
        return chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        chunks: AsyncIterator[bytes] = self._response.aiter_bytes()
        return chunks

    def close(self) -> None:
        self._response.close()

    async def aclose(self) -> None:
        await self._response.aclose()


class _Transport:
    """Sends requests on, and hands out what is judged of their responses."""

    def __init__(self, inner: Any, wire: _Wire) -> None:
        self._inner = inner
        self._wire = wire

    def handle_request(self, request: Any) -> Any:
        with self._wire.refusing():
            call = self._wire.call(request)
            if call is None:
                return self._inner.handle_request(request)
            outcome = refusal(call, self._wire.guard)
            if outcome is not None:
                return self._wire.refused(call, outcome)
            response = self._inner.handle_request(request)
            try:
                return self._judged(call, response)
            except BaseException:
                response.close()
                raise

    def _judged(self, call: Call, response: Any) -> Any:
        if not response.is_success:
            said = failed(response.status_code, response.read(), self._wire.guard)
            return self._wire.whole(response, said)
        if _is_stream(response):
            body = GuardedBytes(call, _Source(response), self._wire.guard)
            return self._wire.streamed(response, body)
        return self._wire.whole(response, answer(call, response.read(), self._wire.guard))

    def close(self) -> None:
        """Leave the connections to the client that they belong to."""


class _AsyncTransport:
    """Does what `_Transport` does, on an event loop."""

    def __init__(self, inner: Any, wire: _Wire) -> None:
        self._inner = inner
        self._wire = wire

    async def handle_async_request(self, request: Any) -> Any:
        with self._wire.refusing():
            call = self._wire.call(request)
            if call is None:
                return await self._inner.handle_async_request(request)
            outcome = await arefusal(call, self._wire.guard)
            if outcome is not None:
                return self._wire.refused(call, outcome)
            response = await self._inner.handle_async_request(request)
            try:
                return await self._judged(call, response)
            except BaseException:
                await response.aclose()
                raise

    async def _judged(self, call: Call, response: Any) -> Any:
        if not response.is_success:
            raw = await response.aread()
            said = await afailed(response.status_code, raw, self._wire.guard)
            return self._wire.whole(response, said)
        if _is_stream(response):
            body = GuardedAsyncBytes(call, _Source(response), self._wire.guard)
            return self._wire.streamed(response, body)
        reply = await aanswer(call, await response.aread(), self._wire.guard)
        return self._wire.whole(response, reply)

    async def aclose(self) -> None:
        """Leave the connections to the client that they belong to."""


def _is_stream(response: Any) -> bool:
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == _SSE
