"""The headers of a reply that may pass: a server could put words there, and nobody judges them."""

from __future__ import annotations

from guardrail.integrations.openai_wire.reading import is_label

__all__ = ["is_passed_on"]

# Of these the values are made of dates, times and settings, with spaces between; of all others
# only names and numbers pass.
_SPACED = frozenset(
    (
        *("date", "expires", "last-modified", "retry-after", "cache-control", "vary", "via"),
        *("server", "server-timing", "set-cookie", "alt-svc", "content-language"),
        *("strict-transport-security", "www-authenticate"),
    )
)
_SPACED_PREFIXES = ("access-control-", "x-ratelimit-")
_MOST = 4096  # characters of one that is known


def is_passed_on(name: str, value: str) -> bool:
    """Whether a header of a judged reply may reach the caller."""
    name = name.lower()
    if name in _SPACED or name.startswith(_SPACED_PREFIXES):
        return value.isascii() and value.isprintable() and len(value) <= _MOST
    return is_label(value)
