"""The proxy through which a server is reached, as the environment says it for all programs."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ["proxy_for"]


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for an address, or None."""
    known = urlsplit(url)
    if not known.hostname or proxy_bypass(known.hostname):
        return None
    return getproxies().get(known.scheme)
