r"""Text as a reader sees it where JSON wrote it in escapes (\uD55C), whole or in pieces."""

from __future__ import annotations

import re

__all__ = ["Unescape", "readable"]

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_SURROGATE = re.compile("[\ud800-\udfff]")
# The first half of a surrogate pair, escaped or not, and the beginning of an escape.
_UNFINISHED = re.compile(
    "(?:\\\\u[dD][89abAB][0-9a-fA-F]{2}|[\ud800-\udbff])?(?:\\\\(?:u[0-9a-fA-F]{0,3})?)?$"
)


class Unescape:
    """Makes a text readable that comes in pieces: what a piece cuts in two waits for the next."""

    def __init__(self) -> None:
        self._begun = ""

    def __call__(self, text: str) -> str:
        """Take the next piece in, and return what is whole by now."""
        raw = self._begun + text
        cut = _UNFINISHED.search(raw)
        end = len(raw) if cut is None else cut.start()
        self._begun = raw[end:]
        return readable(raw[:end])

    def rest(self) -> str:
        """Return what is still cut in two, and forget it."""
        begun, self._begun = self._begun, ""
        return readable(begun)


def readable(text: str) -> str:
    """Return a text with its escapes as the characters they stand for.

    Surrogate pairs are joined; a half without the other becomes the replacement character.
    """
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
