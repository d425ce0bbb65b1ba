"""The bodies of calls that are answered here: read as those of forwarded calls are."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeAlias

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from guardrail.integrations.gateway.faults import Fault
from guardrail.integrations.openai_wire.reading import Unreadable, load_request

__all__ = ["JsonRoute", "wrong_field"]

_Handler: TypeAlias = Callable[[Request], Coroutine[Any, Any, Response]]
_JSON = (b"content-type", b"application/json")
_NO_OBJECT = ("model_attributes_type", "model_type", "dict_type")


class JsonRoute(APIRoute):
    """Takes a body for JSON whatever its type is said to be, as plain `curl -d` says another.

    Pages of other sites can send such bodies; they are turned away before, by where they come from.
    """

    def get_route_handler(self) -> _Handler:
        """Return what handles a request."""
        handle = super().get_route_handler()

        async def read(request: Request) -> Response:
            _check(await request.body())
            others = [one for one in request.scope["headers"] if one[0] != _JSON[0]]
            request.scope["headers"] = [*others, _JSON]
            return await handle(request)

        return read


def wrong_field(error: RequestValidationError) -> Fault:
    """Return what is wrong with a request, under the name that its field has there."""
    wrong = error.errors()[0]
    place = ".".join(_place(wrong, error.body))
    message = "should be an object" if wrong["type"] in _NO_OBJECT else str(wrong["msg"])
    named = f"{place}: {message}" if place else message
    return Fault(400, named, code=None, param=place or None)


def _check(body: bytes) -> None:
    try:
        load_request(body)
    except Unreadable as error:
        raise Fault(400, str(error), code="invalid_json") from None


def _place(wrong: Mapping[str, Any], body: Any) -> Iterator[str]:
    """Yield the names on the way to a field; those of alternatives are nowhere in the body."""
    part, *names = wrong["loc"]
    if part != "body":
        yield from map(str, names)
        return
    for name in names:
        if _is_in(body, name):
            body = body[name]
            yield str(name)
    if names and wrong["type"] == "missing":
        yield str(names[-1])


def _is_in(body: Any, name: object) -> bool:
    if isinstance(body, list):
        return isinstance(name, int) and name < len(body)
    return isinstance(body, Mapping) and name in body
