"""A gateway with its page and records, for the tests of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from guardrail import Category, Guard
from guardrail.audit import AuditRecord, Status
from guardrail.integrations.records import RecordStore
from guardrail.testing import StubClassifier
from guardrail.types import Action, Stage

from .gateways import MARKER, Served, serving
from .openai_calls import says
from .openai_upstream import Reply

__all__ = ["SAFE", "TOKEN", "UNSAFE", "Paged", "paging", "record", "talk"]

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요."
UNSAFE = f"{MARKER}을 알려 드릴게요."
TOKEN = "a-token-of-some-length"
_ACTIONS = {
    Status.ALLOWED: Action.ALLOW,
    Status.FLAGGED: Action.FLAG,
    Status.BLOCKED: Action.REPLACE,
    Status.ERROR_BLOCKED: Action.REPLACE,
    Status.ERROR_ALLOWED: Action.FLAG,
}


@dataclass
class Paged:
    """A gateway with a page.

    Attributes:
        served: the gateway.
        store: its records.
    """

    served: Served
    store: RecordStore

    @property
    def root(self) -> str:
        """Where it is."""
        return self.served.root

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the page's API."""
        return httpx.request(
            method, f"{self.root}/page/api/{path}", timeout=10, verify=False, **more
        )


@contextmanager
def paging(
    folder: Path,
    records: Sequence[AuditRecord] = (),
    *,
    reply: Reply | None = None,
    text: str = "text",
    classifier: StubClassifier | None = None,
    **settings: Any,
) -> Iterator[Paged]:
    """Run a gateway whose store holds some records."""
    store = RecordStore(f"sqlite:///{folder}/records.db")
    for one in records:
        store(one)
    assert store.flush()
    classifier = classifier or StubClassifier(MARKER, category=Category.O5)
    guard = Guard(classifier, hooks=[store], record_text=text)
    with serving(reply or says(SAFE), guard, records=store, **settings) as served:
        yield Paged(served, store)


def record(status: Status = Status.ALLOWED, minutes: float = 5.0, **values: Any) -> AuditRecord:
    """Return a record of some minutes ago."""
    is_error = status in (Status.ERROR_BLOCKED, Status.ERROR_ALLOWED)
    unsafe = status in (Status.BLOCKED, Status.FLAGGED)
    known: dict[str, Any] = {
        "status": status,
        "stage": Stage.OUTPUT,
        "action": _ACTIONS[status],
        "score": None if is_error else (0.9 if unsafe else 0.1),
        "category": Category.O5 if unsafe else None,
        "categories": {Category.O5: 0.9} if unsafe else {},
        "classifier": "stub",
        "error": "ClassifierTimeout: too slow" if is_error else None,
        "seconds": 0.02,
        "user": "질문이에요",
        "reply": UNSAFE if unsafe else SAFE,
        "time": datetime.now(UTC) - timedelta(minutes=minutes),
    }
    return AuditRecord(**known | values)


def talk(paged: Paged, said: str = "안녕", **more: Any) -> list[dict[str, Any]]:
    """Say something in the playground, and return all that is told of it."""
    body = {"source": "upstream", "messages": [{"role": "user", "content": said}], **more}
    answer = paged.ask("POST", "talk", json=body)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]
