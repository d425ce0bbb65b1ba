"""Errors as OpenAI's API words them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
from starlette.exceptions import HTTPException
from starlette.responses import Response

from guardrail.errors import ClassifierTimeout, UnguardedCall
from guardrail.integrations.openai_wire.sse import ServerEvent, encode, to_bytes, to_json
from guardrail.types import Outcome

__all__ = ["Fault", "json_response", "raise_if_unjudged", "translating"]

_NO_RETRY = {"x-should-retry": "false"}  # OpenAI's SDKs would repeat, and pay for, the whole call


class Fault(HTTPException):
    """What the gateway itself has to say, rather than the upstream.

    Args:
        status: of the response.
        message: what is wrong and what to do.
        code: what programs know it by.
        param: the field of the request that is wrong.
        retry: whether the same request may work soon.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None,
        param: str | None = None,
        retry: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        steering = {} if retry or status < 500 else _NO_RETRY
        super().__init__(status, message, {**steering, **(headers or {})})
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.error = {"message": message, "type": kind, "param": param, "code": code}

    def response(self) -> Response:
        """Return the error as a response."""
        return json_response({"error": self.error}, self.status_code, self.headers)

    def event(self) -> bytes:
        """Return the error as the last event of a stream that has begun."""
        return encode(ServerEvent("error", to_json({"type": "error", "error": self.error})))


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON response; unlike the framework's it takes half a surrogate pair."""
    given = dict(headers or {})
    return Response(to_bytes(to_json(value)), status, given, "application/json")


@contextmanager
def translating() -> Iterator[None]:
    """Raise what the HTTP library, or who reads the reply, says about the upstream as faults."""
    try:
        yield
    except aiohttp.ServerTimeoutError as error:
        message = "the upstream did not answer in time"
        raise Fault(504, message, code="upstream_timeout", retry=True) from error
    except aiohttp.ClientConnectorError as error:
        message = "the upstream cannot be reached"
        raise Fault(502, message, code="upstream_unreachable", retry=True) from error
    except aiohttp.ClientError as error:
        message = f"the connection to the upstream failed ({type(error).__name__})"
        raise Fault(502, message, code="upstream_failed", retry=True) from error
    except UnguardedCall as error:
        message = "the upstream's reply is of no kind that can be judged"
        raise Fault(502, message, code="upstream_invalid_reply") from error


def raise_if_unjudged(outcome: Outcome | None) -> None:
    """Raise a fault for what was blocked because no verdict came.

    Raises:
        Fault: 504 if the classifier was too slow, 503 if it failed.
    """
    if outcome is None or not outcome.blocked or outcome.verdict is not None:
        return
    if isinstance(outcome.error, ClassifierTimeout):
        raise Fault(504, "the reply could not be judged in time", code="classifier_timeout")
    raise Fault(503, "the reply could not be judged", code="classifier_unavailable")
