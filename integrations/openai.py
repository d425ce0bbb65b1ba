"""Guards the official OpenAI client: `client = guard_client(OpenAI(), guard)`, and that is all.

Guarded are chat completions and responses, whole and streamed, sync and async, on Azure too, with
every way the client has of calling them (`create`, `parse`, `stream`, raw responses, `post`).
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from guardrail.errors import ConfigError, MissingExtraError, UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.openai_http import guard_http, unguarded

try:
    from openai import AsyncOpenAI, OpenAI, OpenAIError
except ImportError:
    raise MissingExtraError(library="openai", extra="openai") from None

__all__ = ["guard_client"]

C = TypeVar("C", OpenAI, AsyncOpenAI)

_MARK = "_guardrail"  # on the classes of guarded clients

# What a guarded client and its resources have; a name that is not here stays shut, whatever a later
# release puts behind it: a websocket, which no HTTP transport sees, or a new kind of reply.
_RAW = ("with_raw_response", "with_streaming_response")
_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "": (
        *("chat", "responses", "embeddings", "models", "moderations", "files", "uploads"),
        *("vector_stores", "fine_tuning", "audio", "webhooks", "beta", *_RAW),
    ),
    "beta": ("chat", *_RAW),
    "chat": ("completions", *_RAW),
    "chat.completions": (
        *("create", "parse", "stream", *_RAW),
        *("retrieve", "update", "list", "delete", "messages"),  # known by their paths
    ),
    "responses": (
        *("create", "parse", "stream", "input_tokens", *_RAW),
        *("retrieve", "delete", "cancel", "compact", "input_items"),  # known by their paths
    ),
}


def guard_client(client: C, guard: Guard) -> C:
    """Return a client like the given one, whose replies are judged before anyone sees them.

    It is of the same class and shares the given client's connections; `copy` and `with_options`
    keep the guard. An unsafe reply has the refusal as its content and ends with `content_filter`.

    Args:
        client: an `OpenAI`, `AsyncOpenAI` or Azure client; it stays as it is, without a guard.
        guard: judges.

    Raises:
        ConfigError: it is no such client, or has a guard already.
    """
    if not isinstance(client, OpenAI | AsyncOpenAI) or hasattr(client, _MARK):
        raise ConfigError(
            f"guard_client takes an OpenAI or AsyncOpenAI client without a guard, not {client!r}"
        )
    seed = copy.copy(client)
    seed.__class__ = _guarded_class(type(client), guard)
    return seed.copy(http_client=unguarded(client._client))


class UnguardedOpenAICall(UnguardedCall, OpenAIError):
    """A call that cannot be guarded, as an error that the SDK neither retries nor wraps."""


def _base_of(client: Any) -> Callable[[], str]:
    reference = weakref.ref(client)

    def base() -> str:
        alive = reference()
        if alive is None:
            raise UnguardedCall("the client is gone")
        return str(alive.base_url.path)

    return base


def _guarded_class(kind: Any, guard: Guard) -> type[Any]:
    shut = {name: _Shut(name) for name in _resources(kind) if name not in _RESOURCES[""]}
    doors = {name: _Door(kind, name, name) for name in _RESOURCES if name and "." not in name}

    def set_attribute(self: Any, name: str, value: Any) -> None:
        """Guard whichever HTTP client the client gets."""
        if name == "_client":
            value = guard_http(unguarded(value), guard, _base_of(self), UnguardedOpenAICall)
        kind.__setattr__(self, name, value)

    return _subclass(kind, {"__setattr__": set_attribute, _MARK: True, **shut, **doors})


def _resources(kind: type[Any]) -> Iterator[str]:
    """Yield the names of a client's resources."""
    for name in dir(kind):
        if not name.startswith("_") and isinstance(getattr(kind, name), cached_property):
            yield name


class _Door:
    """A resource of which only what is known is open."""

    def __init__(self, kind: type[Any], name: str, path: str) -> None:
        self._kind = kind
        self._name = name
        self._path = path

    def __get__(self, instance: Any, _: type[Any]) -> Any:
        if instance is None:
            return self
        resource = getattr(self._kind, self._name).__get__(instance, self._kind)
        kind: Any = type(resource)
        resource.__class__ = _narrowed(kind, self._path)
        return resource


@lru_cache(maxsize=64)
def _narrowed(kind: type[Any], path: str) -> type[Any]:
    names = [name for name in dir(kind) if not name.startswith("_")]
    shut = {name: _Shut(f"{path}.{name}") for name in names if name not in _RESOURCES[path]}
    inner = (name for name in names if f"{path}.{name}" in _RESOURCES)
    doors = {name: _Door(kind, name, f"{path}.{name}") for name in inner}
    return _subclass(kind, {**shut, **doors})


def _subclass(kind: type[Any], own: Mapping[str, object]) -> type[Any]:
    """Return a class under the same name: the client tells servers, and logs, what it is."""
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), {**names, **own})


class _Shut:
    """Stands where something cannot be guarded, and says so when it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._error()

    def __call__(self, *_: object, **__: object) -> Any:
        raise self._error()

    def _error(self) -> UnguardedCall:
        return UnguardedOpenAICall(
            f"{self._name!r} may carry replies that nobody would judge; guarded are "
            "chat.completions and responses. Use it through a client without a guard."
        )
