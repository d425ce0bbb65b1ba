"""The record of every decision, and the hooks that take it."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Protocol
from uuid import uuid4

from guardrail.errors import ConfigError
from guardrail.types import (
    Action,
    Category,
    Conversation,
    Outcome,
    Stage,
    StreamFacts,
    last_exchange,
)

__all__ = [
    "AuditRecord",
    "Hook",
    "JsonlHook",
    "LoggingHook",
    "RecordText",
    "Recorder",
    "Status",
    "json_line",
]

_logger = logging.getLogger("guardrail")
# What JSON may hold as it is, but a line of UTF-8 may not: some readers end lines at the first.
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_NOT_IN_LINES = re.compile("[\x85\u2028\u2029\ud800-\udfff]")


class Status(StrEnum):
    """What was decided, and whether a verdict stood behind it."""

    ALLOWED = "allowed"
    FLAGGED = "flagged"
    BLOCKED = "blocked"
    ERROR_BLOCKED = "error_blocked"
    ERROR_ALLOWED = "error_allowed"


class RecordText(StrEnum):
    """How much of the conversation a record holds.

    HASH is SHA-256: it finds equal texts again, and a short text can be guessed from it. In TEXT,
    phone, resident, card and account numbers and e-mail addresses are masked; see `masking.mask`.
    """

    NONE = "none"
    HASH = "hash"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One decision.

    Args:
        status: what was decided.
        stage: which side of the exchange was judged.
        action: what the caller got.
        score: probability of unsafe, 0 to 1; None without a verdict.
        category: the category the refusal was chosen for.
        categories: probability of each category, where known.
        classifier: who judged.
        error: what went wrong, as "ErrorType: message".
        seconds: that judging took; of a stream, all its checks together.
        user: the user's words, masked, or their hash, or None; see `RecordText`.
        reply: the reply as the bot wrote it, masked, or its hash, or None.
        id: unique.
        time: when it was decided, in UTC.
        degraded: whether a weaker classifier judged, since the one that should was down.
        stream: what was done with a reply while it was streamed; None of what came whole.
    """

    status: Status
    stage: Stage
    action: Action
    score: float | None
    category: Category | None
    categories: Mapping[Category, float]
    classifier: str | None
    error: str | None
    seconds: float
    user: str | None = None
    reply: str | None = None
    id: str = field(default_factory=lambda: uuid4().hex)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    degraded: bool = False
    stream: StreamFacts | None = None

    @classmethod
    def of(
        cls,
        conversation: Conversation,
        outcome: Outcome,
        *,
        seconds: float,
        facts: StreamFacts | None = None,
        text: RecordText = RecordText.NONE,
        classifier: str | None = None,
    ) -> AuditRecord:
        """Return the record of an outcome; a verdict without a name has the given classifier's."""
        user, reply = last_exchange(conversation)
        verdict, error = outcome.verdict, outcome.error
        return cls(
            status=_status(outcome),
            stage=outcome.stage,
            action=outcome.action,
            score=verdict.score if verdict else None,
            category=outcome.category,
            categories=dict(verdict.categories) if verdict else {},
            classifier=(verdict.classifier if verdict else "") or classifier,
            error=f"{type(error).__name__}: {error}" if error else None,
            seconds=seconds,
            user=_recorded(user, text),
            reply=_recorded(reply, text),
            degraded=outcome.degraded,
            stream=facts,
        )

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        return json_line(asdict(self) | {"time": self.time.isoformat()})


def json_line(value: Mapping[str, object]) -> str:
    """Return an object as one line of JSON that any encoding of Unicode can hold."""
    text = _ENCODER.encode(value)
    return _NOT_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Hook(Protocol):
    """Takes each record, on the thread of the call it is about; so be quick.

    What it raises is logged and changes nothing.
    """

    def __call__(self, record: AuditRecord, /) -> None:
        """Take one record."""


class LoggingHook:
    """Writes each record to the logger "guardrail", as a warning unless all was well."""

    def __call__(self, record: AuditRecord, /) -> None:
        """Log one record."""
        level = logging.INFO if record.status is Status.ALLOWED else logging.WARNING
        _logger.log(level, "%s", record.to_json())


class JsonlHook:
    """Appends each record to a file, one JSON object a line.

    Raises:
        ConfigError: the file cannot be opened for writing.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            # Open as long as the hook lives; unbuffered, so that processes append whole lines.
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            reason = error.strerror
            raise ConfigError(f"cannot write audit records to {str(path)!r}: {reason}") from error
        self._lock = Lock()

    def __call__(self, record: AuditRecord, /) -> None:
        """Append one record."""
        line = f"{record.to_json()}\n".encode()
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Recorder:
    """Gives the record of each decision to every hook.

    Args:
        hooks: take the records, in this order; a failing one is logged and costs nothing else.
        text: how much of the conversation records hold.
        classifier: the name recorded where a verdict gives none.

    Raises:
        ConfigError: a hook is async, or cannot be called.
    """

    hooks: Sequence[Hook] = ()
    text: RecordText = RecordText.NONE
    classifier: str | None = None

    def __post_init__(self) -> None:
        for hook in self.hooks:
            if not callable(hook):
                raise ConfigError(f"a hook is called with each record, and {hook!r} cannot be")
            if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(hook.__call__):
                raise ConfigError(
                    f"a hook is a plain function, and {hook!r} is async: nobody awaits"
                )

    def record(
        self,
        conversation: Conversation,
        outcome: Outcome,
        seconds: float,
        facts: StreamFacts | None = None,
    ) -> None:
        """Record one decision; of a streamed reply with what was done while it grew."""
        if not self.hooks:
            return
        record = AuditRecord.of(
            conversation,
            outcome,
            seconds=seconds,
            facts=facts,
            text=self.text,
            classifier=self.classifier,
        )
        for hook in self.hooks:
            try:
                hook(record)
            except Exception:
                _logger.exception("audit hook %r failed", hook)

    def close(self) -> None:
        """Close the hooks that can be closed, so that what they hold back is written."""
        for hook in self.hooks:
            close = getattr(hook, "close", None)
            if callable(close):
                try:
                    close()
                except Exception:
                    _logger.exception("closing audit hook %r failed", hook)


def _status(outcome: Outcome) -> Status:
    if outcome.error is not None:
        return Status.ERROR_BLOCKED if outcome.blocked else Status.ERROR_ALLOWED
    return {
        Action.ALLOW: Status.ALLOWED,
        Action.FLAG: Status.FLAGGED,
        Action.REPLACE: Status.BLOCKED,
    }[outcome.action]


def _recorded(text: str | None, how: RecordText) -> str | None:
    if text is None or how is RecordText.NONE:
        return None
    if how is RecordText.TEXT:
        from guardrail.masking import mask  # compiles its patterns: not for those who keep no text

        return mask(text)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
