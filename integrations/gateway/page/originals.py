"""What models said before the guard replaced it: for the playground, in memory, for minutes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from secrets import token_urlsafe

__all__ = ["Originals"]

_MOST = 64
_MOST_CHARACTERS = 100_000  # of one
_KEPT_S = 600.0


class Originals:
    """Holds a few texts for a short while, each under a name that nobody can guess.

    Args:
        clock: seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def put(self, text: str) -> str:
        """Hold a text and return its name; the oldest makes way."""
        self._forget()
        name = token_urlsafe(16)
        self._held[name] = (self._clock() + _KEPT_S, text[:_MOST_CHARACTERS])
        if len(self._held) > _MOST:
            self._held.popitem(last=False)
        return name

    def get(self, name: str) -> str | None:
        """Return a text; None where it is held no longer."""
        self._forget()
        _, text = self._held.get(name, (0.0, None))
        return text

    def _forget(self) -> None:
        now = self._clock()
        while self._held and next(iter(self._held.values()))[0] <= now:
            self._held.popitem(last=False)
