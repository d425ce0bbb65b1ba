"""Classifiers that the replicas of the tests run; each verdict says which process gave it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from guardrail import Category, Classifier, Verdict
from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    ClassifierTimeout,
    ClassifierUnavailable,
)
from guardrail.types import Conversation

MARKER = "나쁜말"
ERRORS = {
    "timeout": ClassifierTimeout,
    "protocol": ClassifierProtocolError,
    "unavailable": ClassifierUnavailable,
    "error": ClassifierError,
}


class Marked(Classifier):
    """Finds what holds the marker unsafe, one batch after the other, as a model would.

    A text may ask for more: "raise:timeout", "sleep:0.5", "die".

    Args:
        delay: seconds a batch takes.
        log: file that every judged text is written to, with how many were judged together.
    """

    def __init__(self, delay: float = 0.0, log: str | None = None) -> None:
        self._delay = delay
        self._log = log

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Judge by the marker."""
        texts = [conversation[-1].content for conversation in conversations]
        if self._log:
            with Path(self._log).open("a", encoding="utf-8") as file:
                file.writelines(f"{os.getpid()}\t{len(texts)}\t{text}\n" for text in texts)
        for text in texts:
            _obey(text)
        time.sleep(self._delay)
        name = f"process {os.getpid()}"
        return [Verdict(MARKER in text, 1.0 * (MARKER in text), {}, name) for text in texts]

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Name one category, for everything."""
        return [{Category.O3: 0.9} for _ in conversations]


class Late(Marked):
    """One that takes long to load: until a file is there; one beside it says that it has begun.

    Args:
        until: the file.
    """

    def __init__(self, until: str) -> None:
        super().__init__()
        Path(until).with_suffix(".begun").touch()
        while not Path(until).exists():
            time.sleep(0.05)


class Breaking(Marked):
    """One that cannot work while a file is there.

    Args:
        file: the file.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        self._file = Path(file)

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Judge, or fail."""
        if self._file.exists():
            raise ClassifierUnavailable("the device is lost")
        return super().classify_many(conversations)


def _obey(text: str) -> None:
    order, _, argument = text.partition(":")
    if order == "raise":
        raise ERRORS[argument]("as the test said")
    if order == "sleep":
        time.sleep(float(argument))
    if text == "die":
        os._exit(1)
