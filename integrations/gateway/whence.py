"""Where a request comes from, as far as a browser tells: the same for the API and the page."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

__all__ = ["is_from_elsewhere", "is_loopback", "names_this_machine"]

_OWN_SITE = ("same-origin", "none")


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether another site had a browser send it; browsers that do not say so name its origin."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITE
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2] != headers.get("host")


def names_this_machine(host: str) -> bool:
    """Whether a `Host` is one of this machine's own: `localhost`, or an address that leads here.

    A site elsewhere can have its name lead to 127.0.0.1, and a visitor's browser would believe it.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name in ("localhost", "0.0.0.0", "::") or is_loopback(name)


def is_loopback(address: str) -> bool:
    """Whether it is an IP address that only this machine reaches; a name is none."""
    try:
        known = ip_address(address)
    except ValueError:
        return False
    mapped = known.ipv4_mapped if isinstance(known, IPv6Address) else None
    return (mapped or known).is_loopback
