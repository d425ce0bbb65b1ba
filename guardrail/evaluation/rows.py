"""The rows that are judged: a conversation, and what its last turn really is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from guardrail.policy import language_of
from guardrail.types import Category, Conversation, Role, Turn

__all__ = ["NO_LABEL", "BadRow", "Judged", "Row", "category_id"]


NO_LABEL = "no label"
"""Why a record is no row that people have said nothing of yet."""


class Judged(StrEnum):
    """What of a row is judged."""

    REPLY = "reply"
    USER = "user turn"
    TEXT = "text alone"


class BadRow(ValueError):
    """A record is no row; the message says why, in few words that many records share."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled turn.

    Args:
        conversation: its last turn is judged.
        unsafe: what that turn really is.
        category: O1..O6, or the data's own name for it.
        source: where it comes from.
        language: of the judged text.
        judged: what of the row is judged.
        groups: further columns to report by.
        place: where it stands in its file, for people.
        label: what its data say of it, in their own words.
    """

    conversation: Conversation
    unsafe: bool
    category: str | None = None
    source: str | None = None
    language: str | None = None
    judged: Judged = Judged.REPLY
    groups: Mapping[str, str] = field(default_factory=dict)
    place: str = ""
    label: str = ""

    @property
    def text(self) -> str:
        """The judged text."""
        return self.conversation[-1].content

    @property
    def asked(self) -> str:
        """What the user said before the judged reply."""
        before = self.conversation[:-1]
        return "\n".join(turn.content for turn in before if turn.role is Role.USER)

    @property
    def spoken_language(self) -> str:
        """The language the data names, or the one the text looks like."""
        return self.language or language_of(self.text) or "other"

    def with_text(self, text: str) -> Self:
        """Return the same row with another judged text."""
        turn = Turn(self.conversation[-1].role, text)
        return replace(self, conversation=(*self.conversation[:-1], turn))


def category_id(name: object) -> str | None:
    """Return a category's name, as O1..O6 where it is one of them ("o1", "O1: Violence")."""
    if name is None or not str(name).strip():
        return None
    text = str(name).strip()
    head = text[:2].upper()
    known = head in Category.__members__ and not text[2:3].isalnum()
    return head if known else text
