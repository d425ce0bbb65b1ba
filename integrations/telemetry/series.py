"""What the figures of all kinds have in common."""

from __future__ import annotations

from guardrail.audit import AuditRecord

__all__ = ["CHARACTERS", "SECONDS", "error_type"]

# A small model takes about a millisecond, a large one on a CPU seconds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CHARACTERS = (0.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0)


def error_type(record: AuditRecord) -> str:
    """Return what kind of error a record holds: a class's name, and none of its message.

    Messages may quote text.
    """
    return (record.error or "").partition(":")[0]
