"""Who may come in, and with how much."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from pydantic import SecretStr
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.integrations.gateway.faults import Fault
from guardrail.integrations.gateway.whence import (
    is_from_elsewhere,
    is_loopback,
    names_this_machine,
)

__all__ = ["OWN_COOKIES", "OWN_KEY", "Door", "Headers", "Keys"]

Headers = list[tuple[bytes, bytes]]

OWN_KEY = b"x-guardrail-key"  # for clients whose Authorization is the upstream's
OWN_COOKIES = "guardrail-"  # what the names of the page's begin with
_KEY_HEADERS = (b"authorization", b"api-key", OWN_KEY)
_OPEN = ("/healthz", "/readyz")
_PAGE = "/page/"  # has a door of its own


class Keys:
    """The gateway's own keys; comparing with them takes the same time whatever is given."""

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        self._digests = [_digest(key.get_secret_value().encode()) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, headers: Headers) -> bool:
        """Whether a request with such headers may come in."""
        return not self._digests or any(map(self._holds_one, headers))

    def without(self, headers: Headers) -> Headers:
        """Return the headers but for those that hold a key, which is nobody else's business."""
        return [header for header in headers if not self._holds_one(header)]

    def _holds_one(self, header: tuple[bytes, bytes]) -> bool:
        name, value = header
        if name not in _KEY_HEADERS:
            return False
        scheme, _, rest = value.partition(b" ")
        given = _digest(rest.strip() if scheme.lower() == b"bearer" else value)
        same = [hmac.compare_digest(one, given) for one in self._digests]
        return any(same)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class Door:
    """An ASGI app around another: lets in requests that have a key, and are not too large."""

    def __init__(self, app: ASGIApp, keys: Keys, max_body: int) -> None:
        self._app = app
        self._keys = keys
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._admit(scope)
        except Fault as fault:
            await fault.response()(scope, receive, send)
            return
        await self._app(scope, _Counted(receive, self._max_body), send)

    def _admit(self, scope: Scope) -> None:
        headers: Headers = scope["headers"]
        if not _is_open(scope["path"]):
            self._ask_for_a_key(headers)
            if not self._keys:
                _refuse_pages(HTTPConnection(scope))
        length = dict(headers).get(b"content-length", b"")
        if length.isdigit() and int(length) > self._max_body:
            raise _too_large(self._max_body)

    def _ask_for_a_key(self, headers: Headers) -> None:
        if not self._keys.admit(headers):
            message = "a key of this gateway is needed: Authorization: Bearer KEY"
            raise Fault(401, message, code="invalid_api_key")


def _is_open(path: str) -> bool:
    return path in _OPEN or path == "/" or path.startswith(_PAGE)


def _refuse_pages(asked: HTTPConnection) -> None:
    """Refuse what a page of any site could ask from a visitor's browser, with no key to stop it.

    Raises:
        Fault: another site sent it, or its own name was made to lead to this machine.
    """
    if is_from_elsewhere(asked.headers):
        message = "pages of other sites may not ask a gateway that has no keys"
        raise Fault(403, message, code="cross_site")
    host = asked.headers.get("host")  # which every browser names
    if host is not None and _came_by_loopback(asked) and not names_this_machine(host):
        message = "without keys (GUARDRAIL_KEYS) this address answers only as localhost, 127.0.0.1"
        raise Fault(403, f"{message} or [::1], not as {host!r:.100}", code="unknown_host")


def _came_by_loopback(asked: HTTPConnection) -> bool:
    """Whether it reached an address that only this machine has."""
    server = asked.scope.get("server")
    return server is not None and is_loopback(server[0])


class _Counted:
    """Receives a body, up to a limit."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._came = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._came += len(message.get("body", b""))
        if self._came > self._most:
            raise _too_large(self._most)
        return message


def _too_large(most: int) -> Fault:
    return Fault(413, f"the body is larger than {most} bytes", code="request_too_large")
