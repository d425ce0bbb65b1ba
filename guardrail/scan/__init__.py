"""Judges logged turns by the million: resumable, in bounded memory, on one machine or a cluster.

>>> from guardrail.scan import scan
>>> summary = scan("logs", "verdicts.jsonl")                          # doctest: +SKIP
>>> summary.unsafe, summary.set_aside                                 # doctest: +SKIP
(1204, {'not JSON': 3})
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardrail.scan.engines import Engine
    from guardrail.scan.run import scan
    from guardrail.scan.summary import Summary

__all__ = ["Engine", "Summary", "scan"]

# The command line imports this package to offer its command, so nothing heavy is loaded here.
_HOMES = {"Engine": "engines", "Summary": "summary", "scan": "run"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
