"""What the HTTP library raises, as the one error that says what to do.

A server that is down raises `ClassifierUnavailable` or `ClassifierTimeout`: another classifier may
answer in its place, and after some of them the circuit opens. A server that answers, but not with
a verdict, raises `ClassifierProtocolError`: who writes the text can bring that about, so neither
happens.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

import aiohttp

from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    ClassifierTimeout,
    ClassifierUnavailable,
    causes,
    first_line,
)

__all__ = ["CutShort", "NoAnswer", "Passing", "may_pass", "refused", "translated"]

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_MOST_SAID = 300  # characters of a library's own words
_ABOUT_THE_TEXT = frozenset({400, 413, 422})
_ADVICE = {
    401: "the key is wrong or missing: pass api_key",
    403: "the key may not do this: pass another api_key",
    404: "there is no such path or model: check base_url (it ends in /v1) and model",
    405: "this is not the API: check base_url (it ends in /v1)",
}


class Passing(ClassifierUnavailable):
    """The server cannot answer now, and may soon.

    Attributes:
        after: seconds to wait, if the server said so.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        self.after = after
        super().__init__(message)


class CutShort(ClassifierTimeout):
    """A request was given less time than a server may take: that says nothing about the server."""


class NoAnswer(Exception):
    """What came is not what this client asks for, and is not read to its end."""


def may_pass(error: BaseException) -> bool:
    """Whether asking again may help."""
    return isinstance(error, Passing | ClassifierTimeout)


def translated(error: Exception) -> ClassifierError:
    """Return what to raise for an error of the library."""
    if isinstance(error, TimeoutError):
        return ClassifierTimeout("the server did not answer in time")
    if isinstance(error, NoAnswer):
        return ClassifierUnavailable(f"this is no inference server: {error}")
    if isinstance(error, aiohttp.ClientHttpProxyError):  # whose words hold the proxy's password
        return ClassifierUnavailable(f"the proxy answered {error.status}")
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ClassifierUnavailable(
                f"the server's certificate is not trusted ({first_line(cause)[:_MOST_SAID]}); "
                "name its authority's file in SSL_CERT_FILE"
            )
    return Passing(f"the server cannot be reached: {first_line(causes(error)[0])[:_MOST_SAID]}")


def refused(status: int, headers: Mapping[str, str]) -> ClassifierError:
    """Return what to raise for a status that is no success.

    Of the rest no more is told: what a server says may quote the text that it was sent.
    """
    if status in _ABOUT_THE_TEXT:
        return ClassifierProtocolError(
            f"the server refused the prompt with {status}; if it is too long, lower context_tokens"
        )
    if status in _PASSING:
        return Passing(f"the server answered {status}", _retry_after(headers))
    return ClassifierUnavailable(
        f"the server answered {status}; {_ADVICE.get(status, 'check base_url')}"
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks to wait, from its header's number or date."""
    header = headers.get("retry-after", "")
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except (ValueError, OverflowError):
        return None
