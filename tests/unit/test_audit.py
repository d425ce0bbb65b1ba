"""Records of decisions, and the hooks that take them."""

from __future__ import annotations

import hashlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import (
    Action,
    AuditRecord,
    Category,
    ClassifierError,
    ConfigError,
    Guard,
    JsonlHook,
    LoggingHook,
    Outcome,
    Policy,
    Stage,
    Verdict,
)
from guardrail.audit import RecordText, Status, json_line
from guardrail.testing import ListHook, StubClassifier
from guardrail.types import exchange, question
from tests.conftest import Answering, Entry, Mode

ASKED = exchange("질문", "답변")
ALLOWED = Outcome(Action.ALLOW, "답변", Verdict(False, 0.1, classifier="stub"))
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def record_of(outcome: Outcome = ALLOWED, text: RecordText = RecordText.NONE) -> AuditRecord:
    return AuditRecord.of(ASKED, outcome, seconds=0.5, text=text)


# What a record says


@pytest.mark.parametrize(
    ("action", "failed", "status"),
    [
        (Action.ALLOW, False, Status.ALLOWED),
        (Action.FLAG, False, Status.FLAGGED),
        (Action.REPLACE, False, Status.BLOCKED),
        (Action.ALLOW, True, Status.ERROR_ALLOWED),
        (Action.FLAG, True, Status.ERROR_ALLOWED),
        (Action.REPLACE, True, Status.ERROR_BLOCKED),
    ],
)
def test_the_status_tells_errors_from_decisions(
    action: Action, failed: bool, status: Status
) -> None:
    """A text that was let through without a verdict never counts as allowed."""
    error = ClassifierError("down") if failed else None

    assert record_of(Outcome(action, "x", error=error)).status is status


@pytest.mark.parametrize(
    ("answer", "policy", "status"),
    [
        ([Verdict(False, 0.1)], {}, Status.ALLOWED),
        ([Verdict(True, 0.9)], {}, Status.BLOCKED),
        ([Verdict(True, 0.9)], {"mode": "monitor"}, Status.FLAGGED),
        (None, {}, Status.ERROR_BLOCKED),
        (None, {"on_error": "open"}, Status.ERROR_ALLOWED),
        (None, {"mode": "monitor"}, Status.ERROR_ALLOWED),
    ],
)
def test_every_entry_point_leaves_one_record(
    mode: Mode, entry: Entry, answer: Any, policy: dict[str, Any], status: Status
) -> None:
    """Whatever was decided, and however it was asked."""
    hook = ListHook()
    guard = Guard(Answering(answer, [{}]), Policy.model_validate(policy), hooks=[hook])
    entry(mode, guard, "text")

    assert [record.status for record in hook.records] == [status]


def test_a_record_holds_the_decision() -> None:
    """Verdict and outcome side by side."""
    verdict = Verdict(True, 0.9, {Category.O5: 0.8}, "stub")
    record = record_of(Outcome(Action.REPLACE, "refusal", verdict, category=Category.O5))

    assert (record.action, record.score, record.category, record.categories, record.classifier) == (
        Action.REPLACE,
        0.9,
        Category.O5,
        {Category.O5: 0.8},
        "stub",
    )


def test_a_record_without_a_verdict_has_no_score() -> None:
    """No number stands in for it."""
    record = record_of(Outcome(Action.REPLACE, "refusal", error=ClassifierError("down")))

    assert (record.score, record.classifier, record.error) == (None, None, "ClassifierError: down")


def test_a_record_has_its_own_id_and_time() -> None:
    """Records can be found again and put in order."""
    before = datetime.now(UTC)
    one, other = record_of(), record_of()

    assert one.id != other.id
    assert before <= one.time <= other.time <= datetime.now(UTC)


def test_a_record_tells_how_long_it_took(mode: Mode) -> None:
    """In seconds, the waiting included."""
    hook = ListHook()
    mode.check(Guard(StubClassifier(delay=0.05), hooks=[hook]), "x")

    assert 0.05 <= hook.records[0].seconds < 5


# How much of the text it holds


@pytest.mark.parametrize(
    ("how", "user", "reply"),
    [
        ("none", None, None),
        ("text", "질문", "답변"),
        (
            "hash",
            hashlib.sha256("질문".encode()).hexdigest(),
            hashlib.sha256("답변".encode()).hexdigest(),
        ),
    ],
)
def test_text_is_kept_as_asked(mode: Mode, how: str, user: str | None, reply: str | None) -> None:
    """Left out, hashed, or as it was."""
    hook = ListHook()
    mode.check(Guard(StubClassifier(), hooks=[hook], record_text=how), "답변", user="질문")

    assert [(record.user, record.reply) for record in hook.records] == [(user, reply)]


def test_text_is_left_out_unless_asked_for(mode: Mode, entry: Entry) -> None:
    """What people write stays between them and the bot."""
    hook = ListHook()
    entry(mode, Guard(StubClassifier(), hooks=[hook]), "비밀번호는 1234")

    assert "1234" not in hook.records[0].to_json()


def test_the_reply_is_recorded_as_the_bot_wrote_it() -> None:
    """Not the refusal that was shown in its place."""
    refused = Outcome(Action.REPLACE, "refusal", Verdict(True, 0.9))

    assert record_of(refused, RecordText.TEXT).reply == "답변"


def test_a_question_has_no_reply() -> None:
    """The input stage records the user's words alone."""
    outcome = Outcome(Action.ALLOW, "질문", stage=Stage.INPUT)
    record = AuditRecord.of(question("질문"), outcome, seconds=0, text=RecordText.TEXT)

    assert (record.stage, record.user, record.reply) == (Stage.INPUT, "질문", None)


def test_any_text_has_a_hash() -> None:
    """Lone surrogates too."""
    record = AuditRecord.of(exchange("\ud800", ""), ALLOWED, seconds=0, text=RecordText.HASH)

    assert [len(text or "") for text in (record.user, record.reply)] == [64, 64]


# As JSON


def test_a_record_is_one_json_object() -> None:
    """Its keys are the record's own; Korean is readable in it."""
    line = record_of(text=RecordText.TEXT).to_json()

    assert json.loads(line).keys() == set(AuditRecord.__dataclass_fields__)
    assert "질문" in line


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_makes_one_line_of_utf8(user: str, reply: str) -> None:
    """Readers split at line breaks of all kinds, and files hold no lone surrogates."""
    line = AuditRecord.of(exchange(user, reply), ALLOWED, seconds=0, text=RecordText.TEXT).to_json()

    assert len(line.encode("utf-8").decode().splitlines()) == 1
    assert [json.loads(line)[key] for key in ("user", "reply")] == [
        json.loads(json.dumps(text)) for text in (user, reply)
    ]


def test_a_line_of_json_keeps_what_it_can() -> None:
    """Only what would break the line or its encoding is escaped."""
    assert json_line({"a": "가\u2028\ud800😀"}) == '{"a": "가\\u2028\\ud800😀"}'


# Hooks


@pytest.mark.parametrize("error", [RuntimeError("disk full"), AssertionError(), KeyError("x")])
def test_a_failing_hook_costs_nothing(
    mode: Mode, entry: Entry, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The reply is shown, the other hooks have their record, and the failure is logged."""

    def fail(_: AuditRecord) -> None:
        raise error

    after = ListHook()
    shown = entry(mode, Guard(StubClassifier(), hooks=[fail, after]), "text")

    assert (shown, len(after.records)) == ("text", 1)
    assert [(one.name, one.levelname) for one in caplog.records] == [("guardrail", "ERROR")]


def test_a_failing_hook_does_not_open_the_gate(mode: Mode, entry: Entry) -> None:
    """What was refused stays refused."""

    def fail(_: AuditRecord) -> None:
        raise RuntimeError("disk full")

    assert entry(mode, Guard(StubClassifier(unsafe="text"), hooks=[fail]), "text") != "text"


class AsyncHook:
    """Looks like a hook, and would never run."""

    async def __call__(self, record: AuditRecord, /) -> None:
        """Take one record."""


async def async_hook(record: AuditRecord, /) -> None:
    """Take one record."""


@pytest.mark.parametrize("hook", [AsyncHook(), async_hook, None, "audit.jsonl"])
def test_a_hook_that_would_not_run_is_refused(hook: Any) -> None:
    """At once: a record that is silently lost is worse than none."""
    with pytest.raises(ConfigError, match="hook"):
        Guard(StubClassifier(), hooks=[hook])


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (ALLOWED, "INFO"),
        (Outcome(Action.FLAG, "x", Verdict(True, 0.9)), "WARNING"),
        (Outcome(Action.REPLACE, "x", Verdict(True, 0.9)), "WARNING"),
        (Outcome(Action.FLAG, "x", error=ClassifierError("down")), "WARNING"),
    ],
)
def test_the_log_warns_unless_all_was_well(
    outcome: Outcome, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The level is the one to alert on; the message is the record."""
    record = record_of(outcome)
    with caplog.at_level(logging.INFO, "guardrail"):
        LoggingHook()(record)

    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        (level, record.to_json())
    ]


# The file


def test_a_file_takes_one_line_a_record(tmp_path: Path, mode: Mode) -> None:
    """Each is there as soon as the call returns, odd text or not."""
    hook = JsonlHook(tmp_path / "audit.jsonl")
    guard = Guard(StubClassifier(), hooks=[hook], record_text="text")
    for text in ("줄\n바꿈", "\ud800", "\u2028", "\x00"):
        mode.check(guard, text)
    rows = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text("utf-8").splitlines()]
    hook.close()

    assert [row["reply"] for row in rows] == ["줄\n바꿈", "\ud800", "\u2028", "\x00"]


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    """A restart loses nothing."""
    for _ in range(2):
        hook = JsonlHook(tmp_path / "audit.jsonl")
        hook(record_of())
        hook.close()

    assert len((tmp_path / "audit.jsonl").read_text("utf-8").splitlines()) == 2


def test_records_of_many_writers_do_not_mix(tmp_path: Path) -> None:
    """Threads share a hook, processes a file: long lines stay whole."""
    path = tmp_path / "audit.jsonl"
    hooks = [JsonlHook(path), JsonlHook(path)]
    long = AuditRecord.of(exchange("가" * 20_000, "x"), ALLOWED, seconds=0, text=RecordText.TEXT)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: hooks[n % 2](long), range(100)))
    for hook in hooks:
        hook.close()
    lines = path.read_text("utf-8").splitlines()

    assert [json.loads(line)["id"] for line in lines] == [long.id] * 100


@pytest.mark.parametrize("name", [".", "no/such/folder"])
def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path, name: str) -> None:
    """It shows when the hook is made."""
    with pytest.raises(ConfigError, match=f"cannot write audit records to '{tmp_path}"):
        JsonlHook(tmp_path / name)


def test_a_closed_guard_closes_its_hooks(tmp_path: Path) -> None:
    """Files are given back; hooks that hold nothing are left alone."""
    hook = JsonlHook(tmp_path / "audit.jsonl")
    with Guard(StubClassifier(), hooks=[ListHook(), hook]):
        pass

    with pytest.raises(ValueError, match="closed file"):
        hook(record_of())


def test_a_hook_that_cannot_be_closed_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the others are closed all the same."""
    closed: list[str] = []

    class Stuck(ListHook):
        def close(self) -> None:
            raise OSError("disk full")

    class Loose(ListHook):
        def close(self) -> None:
            closed.append("loose")

    Guard(StubClassifier(), hooks=[Stuck(), Loose()]).close()

    assert (closed, [one.levelname for one in caplog.records]) == (["loose"], ["ERROR"])
