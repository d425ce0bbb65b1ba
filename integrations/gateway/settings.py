"""How a gateway is set up."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

__all__ = ["GatewayConfig"]

_Seconds = Annotated[float, Field(gt=0.0)]


def _base_url(url: str) -> str:
    if not url.startswith(("http://", "https://")) or any(mark in url for mark in "?#"):
        raise ValueError("should be a base URL such as https://api.openai.com/v1")
    return url.rstrip("/")


def _header_safe(key: SecretStr) -> SecretStr:
    value = key.get_secret_value()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a key is printable ASCII without spaces")
    return key


_Key = Annotated[SecretStr, AfterValidator(_header_safe)]


class GatewayConfig(BaseModel):
    """What a gateway stands before, who may use it, and how long things may take.

    Args:
        upstream: base URL of the OpenAI-compatible API, with its `/v1`.
        upstream_key: sent upstream in place of the client's own key.
        keys: one of these must come with each request; none lets everybody in.
        max_body: bytes of a request's body.
        connect_timeout: seconds until the upstream takes a connection.
        upstream_timeout: seconds the upstream may be silent.
        keep_alive: seconds of silence in a stream that has begun, after which a comment is sent.
        drain: seconds that requests under way have to finish when the gateway is told to stop.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    upstream: Annotated[str, AfterValidator(_base_url)]
    upstream_key: _Key | None = None
    keys: tuple[_Key, ...] = ()
    max_body: Annotated[int, Field(ge=1)] = 32 * 2**20
    connect_timeout: _Seconds = 5.0
    upstream_timeout: _Seconds = 600.0
    keep_alive: _Seconds = 10.0
    drain: _Seconds = 30.0
