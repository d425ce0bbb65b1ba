"""Long text in overlapping windows, so that nothing is cut off or drowned."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["OVERLAP", "WINDOW", "windows"]

WINDOW = 1000
"""Characters judged at a time."""

OVERLAP = 250
"""Characters that neighbouring windows share."""


def windows(text: str) -> Iterator[str]:
    """Yield the text in windows of up to 1,000 characters, each sharing 250 with the next.

    A window begins and ends at a space where one is near, and every character is in one.
    """
    start = 0
    while len(text) - start > WINDOW:
        end = _boundary(text, start + WINDOW)
        yield text[start:end]
        start = _boundary(text, end - OVERLAP)
    yield text[start:]


def _boundary(text: str, near: int) -> int:
    """Return the place just after the last blank shortly before, or the place itself."""
    return max(text.rfind(" ", near - 50, near), text.rfind("\n", near - 50, near), near - 51) + 1
