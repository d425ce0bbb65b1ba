"""The probabilities of tokens, which spell the text once more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["spelled"]

# How OpenAI writes a token that is part of a character: it shows nothing but its bytes.
_PART = re.compile(r"(?:bytes:)?(?:\\x[0-9a-f]{2})+")
_Token = tuple[bytes, dict[str, Any]]


def spelled(logprobs: object, text: str) -> list[dict[str, Any]] | None:
    """Return the tokens that spell a text, with their probabilities; None if they do not spell it.

    What else might have been said, `top_logprobs`, is left out: nobody judged it.
    """
    if not isinstance(logprobs, list):
        return None
    try:
        tokens = [_token(one) for one in logprobs]
    except (KeyError, TypeError, ValueError):
        return None
    whole = b"".join(raw for raw, _ in tokens)
    return [entry for _, entry in tokens] if whole == text.encode("utf-8", "replace") else None


def _token(one: Mapping[str, Any]) -> _Token:
    token, spelling, logprob = one["token"], one.get("bytes"), one.get("logprob")
    if not isinstance(token, str) or not isinstance(spelling, list | None):
        raise TypeError("a token is text, and its bytes are a list")
    raw = token.encode("utf-8", "replace") if spelling is None else bytes(spelling)
    shown = raw.decode("utf-8", "replace")
    known: dict[str, Any] = {
        "token": token if token == shown or _PART.fullmatch(token) else shown,
        "logprob": logprob if isinstance(logprob, float | int) else None,
    }
    if "bytes" in one:
        known["bytes"] = spelling
    if "top_logprobs" in one:
        known["top_logprobs"] = []
    return raw, known
