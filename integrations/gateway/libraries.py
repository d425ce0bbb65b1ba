"""The libraries that come with the gateway's extra."""

from __future__ import annotations

from importlib import import_module

from guardrail.errors import needing

__all__ = ["need_libraries"]

_LIBRARIES = ("aiohttp", "fastapi", "platformdirs", "prometheus_client", "sqlalchemy", "uvicorn")


def need_libraries() -> None:
    """Look for them all.

    Raises:
        MissingExtraError: one is not there.
    """
    with needing("server"):
        for library in _LIBRARIES:
            import_module(library)
