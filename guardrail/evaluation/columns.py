"""From a data set's columns to rows: found by their usual names, or as the caller says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from guardrail.errors import ConfigError, InvalidTurnError
from guardrail.evaluation.rows import NO_LABEL, BadRow, Judged, Row, category_id
from guardrail.evaluation.usual import USUAL, folded, folded_label, is_unsafe
from guardrail.types import Conversation, Role, Turn, exchange, question

__all__ = ["PKU", "Columns", "Record", "conversation_of", "rows_of"]

Record = Mapping[str, Any]

_ROLES = {
    "user": Role.USER, "human": Role.USER, "assistant": Role.ASSISTANT, "gpt": Role.ASSISTANT,
    "bot": Role.ASSISTANT, "system": Role.SYSTEM, "developer": Role.SYSTEM, "tool": Role.TOOL,
    "function": Role.TOOL,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what; a column left None is found by its usual names.

    Args:
        user: what the user said.
        assistant: the reply to it, which is judged where there is one.
        text: a text without a role.
        messages: a list of {"role", "content"}, whose last one is judged.
        unsafe: the label: true or false, 1 or 0, "unsafe" or "safe", or see `unsafe_when`.
        safe: a label that means the opposite.
        category: O1..O6 or names of your own.
        source: where a row comes from.
        language: such as ko or en.
        unsafe_when: the label's values that mean unsafe, as `folded_label` compares them; all
            others then mean safe.
        text_is_user: judge a text without a role as a user's turn, not as a reply.
        by: further columns to report by.
    """

    user: str | None = None
    assistant: str | None = None
    text: str | None = None
    messages: str | None = None
    unsafe: str | None = None
    safe: str | None = None
    category: str | None = None
    source: str | None = None
    language: str | None = None
    unsafe_when: tuple[str, ...] = ()
    text_is_user: bool = False
    by: tuple[str, ...] = ()

    @classmethod
    def parse(cls, settings: Iterable[str], **rest: Any) -> Self:
        """Return the mapping that settings such as "assistant=answer" describe.

        Raises:
            ConfigError: a setting is no column's.
        """
        named: dict[str, Any] = {}
        for setting in settings:
            role, _, column = setting.partition("=")
            if role not in USUAL or not column:
                raise ConfigError(f"--column {setting!r}: write one of {', '.join(USUAL)}=COLUMN")
            named[role] = column
        return cls(**named, **rest)

    def found_in(self, names: Iterable[str], *, labelled: bool = True) -> Columns:
        """Return the mapping with what is left open filled by the usual names.

        Args:
            names: the columns that are there.
            labelled: whether one of them must say what is unsafe.

        Raises:
            ConfigError: a named column is not there, or there is no text or no label.
        """
        there = {folded(name): name for name in names}
        if there.keys() >= PKU:
            there = {"user": "user", "assistant": "assistant", "safe": "safe", **there}
        self._require(there)
        chosen: dict[str, Any] = {role: self._find(role, there) for role in USUAL}
        if self.safe is not None and self.unsafe is None:
            chosen["unsafe"] = None
        elif chosen["unsafe"] is not None:
            chosen["safe"] = None
        found = replace(self, **chosen)
        if not (found.user or found.assistant or found.text or found.messages):
            raise ConfigError(f"no column holds text; {_choose('assistant', there)}")
        if labelled and not (found.unsafe or found.safe):
            raise ConfigError(f"no column says what is unsafe; {_choose('unsafe', there)}")
        return found

    def _find(self, role: str, there: Mapping[str, str]) -> str | None:
        said: str | None = getattr(self, role)
        if said is not None:
            return there[folded(said)]
        taken = {folded(getattr(self, one)) for one in USUAL if getattr(self, one)}
        usual = (there[name] for name in USUAL[role] if name in there and name not in taken)
        return next(usual, None)

    def _require(self, there: Mapping[str, str]) -> None:
        for role in USUAL:
            name = getattr(self, role)
            if name is not None and folded(name) not in there:
                raise ConfigError(f"there is no column {name!r}; {_choose(role, there)}")
        for name in self.by:
            if folded(name) not in there:
                raise ConfigError(f"there is no column {name!r}; there are {_told(there)}")

    def with_defaults(self, other: Columns) -> Columns:
        """Return these columns, and where they say nothing, another's."""
        empty = Columns()
        own = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != getattr(empty, field.name)
        }
        return replace(other, **own)


PKU = frozenset({"is_response_0_safe", "is_response_1_safe"})
"""Columns that only PKU-SafeRLHF has: two replies to each question, each with its own label."""


def rows_of(record: Record, columns: Columns) -> Iterator[Row]:
    """Yield the rows that a record holds.

    Raises:
        BadRow: it holds none; the message says why.
    """
    if record.keys() >= PKU:
        for which in (0, 1):
            yield _row(_pku(record, which), columns)
    else:
        yield _row(record, columns)


def _pku(record: Record, which: int) -> dict[str, Any]:
    korean = f"response_{which}_ko"
    return {
        **record,
        "assistant": record.get(korean, record.get(f"response_{which}")),
        "user": record.get("prompt_k", record.get("prompt")),
        "safe": record[f"is_response_{which}_safe"],
    }


def _row(record: Record, columns: Columns) -> Row:
    unsafe = _label(record, columns)
    conversation, judged = conversation_of(record, columns)
    return Row(
        conversation,
        unsafe,
        category_id(_get(record, columns.category)),
        _named(_get(record, columns.source)),
        _named(_get(record, columns.language)),
        judged,
        {name: str(record.get(name)) for name in columns.by},
        label=str(_get(record, columns.unsafe or columns.safe)),
    )


def _get(record: Record, column: str | None) -> Any:
    value = None if column is None else record.get(column)
    return None if isinstance(value, float) and math.isnan(value) else value


def _named(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _label(record: Record, columns: Columns) -> bool:
    column = columns.unsafe or columns.safe or ""
    value = _get(record, column)
    if value is None or value == "":
        raise BadRow(NO_LABEL)
    if columns.unsafe_when and columns.unsafe is not None:
        return folded_label(value) in map(folded_label, columns.unsafe_when)
    found = is_unsafe(str(value), column, column_is_safe=columns.unsafe is None)
    if found is None:
        raise BadRow(f"the label {str(value)!r:.40} is neither safe nor unsafe; see --unsafe-when")
    return found


def conversation_of(record: Record, columns: Columns) -> tuple[Conversation, Judged]:
    """Return a record's conversation, and what of it is judged.

    Raises:
        BadRow: there is none; the message says why.
    """
    messages = _get(record, columns.messages)
    if messages is not None:
        return _of_messages(messages)
    user, reply = _text(record, columns.user), _text(record, columns.assistant)
    if reply is not None:
        return exchange(user or "", reply), Judged.REPLY
    if user is not None:
        return question(user), Judged.USER
    text = _text(record, columns.text)
    if text is None:
        raise BadRow("no text")
    return (question(text) if columns.text_is_user else exchange("", text)), Judged.TEXT


def _text(record: Record, column: str | None) -> str | None:
    value = _get(record, column)
    if value is not None and not isinstance(value, str):
        raise BadRow(f"{column!r} is {type(value).__name__}, not text")
    return value


def _of_messages(messages: Any) -> tuple[Conversation, Judged]:
    try:
        turns = [_turn(message) for message in messages]
        parts = _parts(messages[-1]) if turns else []
    except (TypeError, KeyError, AttributeError, InvalidTurnError) as error:
        raise BadRow("messages are not a list of role and content") from error
    if not turns or turns[-1].role not in (Role.USER, Role.ASSISTANT):
        raise BadRow("messages do not end in a user's or an assistant's turn")
    if not parts or None in parts:
        raise BadRow("the last message is not all text")
    # A tool's call says nothing; as a turn it would stand between a question and its answer.
    spoken = (turn for turn in turns[:-1] if turn.content or turn.role is not Role.ASSISTANT)
    return (*spoken, turns[-1]), Judged.REPLY if turns[-1].role is Role.ASSISTANT else Judged.USER


def _turn(message: Mapping[str, Any]) -> Turn:
    role = message.get("role", message.get("from"))
    texts = [part for part in _parts(message) if part is not None]
    return Turn(_ROLES[str(role).lower()], texts[0] if len(texts) == 1 else "\n".join(texts))


def _parts(message: Mapping[str, Any]) -> list[Any]:
    """Return what a message is made of: its texts, and None for each part that is none."""
    if message.get("tool_calls"):
        content = message.get("content")
    else:
        content = message["content"] if "content" in message else message["value"]
    if isinstance(content, list):
        return [part.get("text") for part in content]
    return [] if content is None else [content]


def _choose(role: str, there: Mapping[str, str]) -> str:
    return f"choose with --column {role}=NAME from {_told(there)}"


def _told(there: Mapping[str, str]) -> str:
    return ", ".join(there.values()) or "none at all"
