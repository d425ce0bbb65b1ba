"""What a scan can be told, for the command line to offer; imports nothing heavy."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["SHARD_ROWS", "Engine"]

SHARD_ROWS = 131_072
"""Turns of a Parquet file, about."""


class Engine(StrEnum):
    """Where turns are judged: on this machine, or on a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"
