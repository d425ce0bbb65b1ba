"""Who may see the page: whoever has its token, or is at this machine where there is none."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from enum import StrEnum

from pydantic import SecretStr
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from guardrail.integrations.gateway.door import OWN_COOKIES
from guardrail.integrations.gateway.faults import Fault
from guardrail.integrations.gateway.whence import (
    is_from_elsewhere,
    is_loopback,
    names_this_machine,
)

__all__ = ["Access", "Entry", "refuse_from_elsewhere"]

_SESSION_S = 12 * 3600
# What proxies say of whom they speak for: then "from this machine" means nothing.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Entry(StrEnum):
    """Whether somebody may come in, and if not, what would help."""

    OPEN = "open"
    NEEDS_TOKEN = "needs_token"
    CLOSED = "closed"


class Access:
    """Lets people in who have the token, and keeps them in by a signed cookie.

    Args:
        token: opens the page; without one it answers this machine alone.
        shut: whether nobody may come in without a token, even from this machine.
        clock: seconds since 1970.
    """

    def __init__(
        self, token: SecretStr | None, *, shut: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._secret = None if token is None else _digest(token.get_secret_value())
        self._shut = shut
        self._clock = clock

    def entry(self, asked: HTTPConnection) -> Entry:
        """Return whether a request may come in."""
        if self._secret is not None:
            holds = self._has_token(asked) or self._has_cookie(asked)
            return Entry.OPEN if holds else Entry.NEEDS_TOKEN
        return Entry.OPEN if not self._shut and _is_from_here(asked) else Entry.CLOSED

    async def admit(self, request: Request) -> None:
        """Raise a fault for a request that may not come in."""
        refuse_from_elsewhere(request)
        entry = self.entry(request)
        if entry is Entry.NEEDS_TOKEN:
            raise Fault(401, "the page's token is needed", code="page_token_needed")
        if entry is Entry.CLOSED:
            message = "the page answers only this machine until it has a token: --page-token"
            raise Fault(403, message, code="page_closed")

    def log_in(self, token: str, request: Request, response: Response) -> None:
        """Give a cookie for the right token.

        Raises:
            Fault: it is not the right one.
        """
        if self._secret is None or not hmac.compare_digest(_digest(token), self._secret):
            raise Fault(401, "this is not the page's token", code="wrong_page_token")
        response.set_cookie(
            self._cookie_name(),
            self._signed(int(self._clock()) + _SESSION_S),
            max_age=_SESSION_S,
            httponly=True,
            samesite="strict",
            secure=request.scope["scheme"] == "https",
        )

    def log_out(self, response: Response) -> None:
        """Take the cookie back."""
        if self._secret is not None:
            response.delete_cookie(self._cookie_name(), httponly=True, samesite="strict")

    def _has_token(self, asked: HTTPConnection) -> bool:
        scheme, _, value = asked.headers.get("authorization", "").partition(" ")
        given = _digest(value.strip())
        return hmac.compare_digest(given, self._secret or b"") and scheme.lower() == "bearer"

    def _has_cookie(self, asked: HTTPConnection) -> bool:
        value = asked.cookies.get(self._cookie_name(), "")
        expires, _, _ = value.partition(".")
        if not expires.isascii() or not expires.isdecimal() or len(expires) > 12:
            return False
        is_ours = hmac.compare_digest(value.encode(), self._signed(int(expires)).encode())
        return is_ours and int(expires) > self._clock()

    def _cookie_name(self) -> str:
        """Return a name of this gateway's own: cookies are shared by all ports of a host."""
        return f"{OWN_COOKIES}{self._mac('name')[:8]}"

    def _signed(self, expires: int) -> str:
        return f"{expires}.{self._mac(f'session {expires}')}"

    def _mac(self, text: str) -> str:
        return hmac.new(self._secret or b"", text.encode(), hashlib.sha256).hexdigest()


def refuse_from_elsewhere(request: Request) -> None:
    """Refuse what another site had a browser send."""
    if is_from_elsewhere(request.headers):
        raise Fault(403, "this was sent from another site", code="other_site")


def _is_from_here(asked: HTTPConnection) -> bool:
    """Whether a request comes from this machine, and means it."""
    if any(name in asked.headers for name in _FORWARDED) or asked.client is None:
        return False
    return names_this_machine(asked.headers.get("host", "")) and is_loopback(asked.client.host)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
