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

from guardrail.errors import ConfigError, UnguardedCall, needing
from guardrail.guard import Guard
from guardrail.integrations.openai_http import guard_http, unguarded

with needing("openai"):
    from openai import AsyncOpenAI, OpenAI, OpenAIError

__all__ = ["UnguardedOpenAICall", "guard_client"]

C = TypeVar("C", bound=OpenAI | AsyncOpenAI)

_MARK = "_guardrail"  # on the classes of guarded clients

# What of a client and its resources is open; a name of the SDK's that is not here stays shut,
# whatever a later release puts behind it: a websocket, which no HTTP transport sees, or a new kind
# of reply. What is open is judged, or known by its path to carry no reply.
_RAW = ("with_raw_response", "with_streaming_response")
_CHATS = ("create", "parse", "stream", "retrieve", "update", "list", "delete", "messages")
_CLIENT = (
    *("close", "copy", "is_closed", "with_options", "custom_auth", "qs", "base_url", "user_agent"),
    *("auth_headers", "default_headers", "default_query", "platform_headers"),
    *("request", "get", "post", "put", "patch", "delete", "get_api_list"),
)
_RESOURCES: Mapping[str, tuple[str, ...]] = {
    "": (
        *("chat", "responses", "embeddings", "models", "moderations", "files", "uploads"),
        *("vector_stores", "fine_tuning", "audio", "webhooks", "beta"),
    ),
    "beta": ("chat",),
    "beta.chat": ("completions",),
    "beta.chat.completions": _CHATS,
    "chat": ("completions",),
    "chat.completions": _CHATS,
    "chat.completions.messages": ("list",),
    "responses": (
        *("create", "parse", "stream", "retrieve", "delete", "cancel", "compact"),
        *("input_items", "input_tokens"),
    ),
    "responses.input_items": ("list",),
    "responses.input_tokens": ("count",),
    "embeddings": ("create",),
    "moderations": ("create",),
    "models": ("delete", "list", "retrieve"),
    "files": (
        *("create", "delete", "list", "retrieve", "content", "retrieve_content"),
        "wait_for_processing",
    ),
    "uploads": ("create", "complete", "cancel", "parts", "upload_file_chunked"),
    "uploads.parts": ("create",),
    "vector_stores": (
        *("create", "delete", "list", "retrieve", "search", "update", "files", "file_batches"),
    ),
    "vector_stores.files": (
        *("create", "delete", "list", "retrieve", "update", "content", "upload", "poll"),
        *("create_and_poll", "upload_and_poll"),
    ),
    "vector_stores.file_batches": (
        *("create", "cancel", "retrieve", "list_files", "poll"),
        *("create_and_poll", "upload_and_poll"),
    ),
    "fine_tuning": ("jobs",),
    "fine_tuning.jobs": (
        *("create", "cancel", "list", "list_events", "pause", "resume", "retrieve"),
        "checkpoints",
    ),
    "fine_tuning.jobs.checkpoints": ("list",),
    "audio": ("speech", "transcriptions", "translations"),
    "audio.speech": ("create",),
    "audio.transcriptions": ("create",),
    "audio.translations": ("create",),
    "webhooks": ("unwrap", "verify_signature"),
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
    seed: Any = copy.copy(client)
    seed.__class__ = _guarded_class(type(client), guard)
    guarded: C = seed.copy(http_client=unguarded(client._client))
    return guarded


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
    known = {*_RESOURCES[""], *_CLIENT, *_RAW}
    shut = {name: _Shut(name) for name in _names_of_sdk(kind) if name not in known}
    doors = {name: _Door(kind, name, name) for name in _RESOURCES[""]}

    def set_attribute(self: Any, name: str, value: Any) -> None:
        """Guard whichever HTTP client the client gets."""
        if name == "_client":
            value = guard_http(unguarded(value), guard, _base_of(self), UnguardedOpenAICall)
        kind.__setattr__(self, name, value)

    return _subclass(kind, {"__setattr__": set_attribute, _MARK: True, **shut, **doors})


def _names_of_sdk(kind: type[Any]) -> Iterator[str]:
    """Yield what a client has of the SDK's; of what a program adds to it, only resources."""
    for owner in kind.__mro__:
        foreign = owner.__module__.partition(".")[0] != "openai"
        for name, value in vars(owner).items():
            if not name.startswith("_") and (not foreign or isinstance(value, cached_property)):
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
    known = {*_RESOURCES[path], *_RAW}
    shut = {name: _Shut(f"{path}.{name}") for name in names if name not in known}
    inner = (name for name in names if f"{path}.{name}" in _RESOURCES)
    doors = {name: _Door(kind, name, f"{path}.{name}") for name in inner}
    return _subclass(kind, {**shut, **doors})


def _subclass(kind: type[Any], own: Mapping[str, object]) -> type[Any]:
    """Return a class under the same name: the client tells servers, and logs, what it is."""
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), {**names, **own})


class _Shut:
    """Stands where something cannot be guarded, and says so when it is called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Shut(f"{self._name}.{name}")  # tracers look all over a client, and call nothing

    def __call__(self, *_: object, **__: object) -> Any:
        raise UnguardedOpenAICall(
            f"{self._name!r} may carry replies that nobody would judge; guarded are "
            "chat.completions and responses. Use it through a client without a guard."
        )
