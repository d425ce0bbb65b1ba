"""How a gateway is set up."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

__all__ = ["GatewayConfig"]

_Seconds = Annotated[float, Field(gt=0.0)]
_LEAST_TOKEN = 16
_SCHEMES = ("http://", "https://")


def _base_url(url: str) -> str:
    if url and (not url.startswith(_SCHEMES) or any(mark in url for mark in "?#")):
        raise ValueError("should be a base URL such as https://api.openai.com/v1")
    return url.rstrip("/")


def _header_safe(key: SecretStr) -> SecretStr:
    value = key.get_secret_value()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("a key is printable ASCII without spaces")
    return key


def _hard_to_guess(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < _LEAST_TOKEN:
        raise ValueError(f"a token has {_LEAST_TOKEN} characters or more")
    return token


_Key = Annotated[SecretStr, AfterValidator(_header_safe)]
_Token = Annotated[_Key, AfterValidator(_hard_to_guess)]


class GatewayConfig(BaseModel):
    """What a gateway stands before, who may use it, and how long things may take.

    Args:
        upstream: base URL of the OpenAI-compatible API, with its `/v1`; without one the gateway
            only judges what it is given.
        upstream_key: sent upstream in place of the client's own key.
        keys: one of these must come with each request; none lets everybody in.
        max_body: bytes of a request's body.
        connect_timeout: seconds until the upstream takes a connection.
        upstream_timeout: seconds the upstream may be silent.
        keep_alive: seconds of silence in a stream that has begun, after which a comment is sent.
        drain: seconds that requests under way have to finish when the gateway is told to stop.
        page: whether there is a page, at `/`.
        page_token: opens the page. Without one it answers this machine alone, and nobody where
            clients need keys.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    upstream: Annotated[str, AfterValidator(_base_url)] = ""
    upstream_key: _Key | None = None
    keys: tuple[_Key, ...] = ()
    max_body: Annotated[int, Field(ge=1)] = 32 * 2**20
    connect_timeout: _Seconds = 5.0
    upstream_timeout: _Seconds = 600.0
    keep_alive: _Seconds = 10.0
    drain: _Seconds = 30.0
    page: bool = True
    page_token: _Token | None = None
