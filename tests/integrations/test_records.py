"""Records in a real database, SQLite's and PostgreSQL's: written, asked for, reviewed, deleted."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import create_engine, make_url, text

from guardrail import Action, Category, ConfigError, Guard, GuardrailError
from guardrail.audit import AuditRecord, Status
from guardrail.errors import MissingExtraError
from guardrail.evaluation.columns import Columns, rows_of
from guardrail.integrations.records import (
    Filter,
    Records,
    RecordsConfig,
    RecordStore,
    Review,
)
from guardrail.integrations.records.database import Unreachable
from guardrail.integrations.records.writer import Writer
from guardrail.testing import StubClassifier
from guardrail.types import Stage, StreamFacts
from tests.integrations.postgres import running_postgres

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ACTIONS = {
    Status.ALLOWED: Action.ALLOW,
    Status.FLAGGED: Action.FLAG,
    Status.BLOCKED: Action.REPLACE,
    Status.ERROR_BLOCKED: Action.REPLACE,
    Status.ERROR_ALLOWED: Action.FLAG,
}


def record(status: Status = Status.ALLOWED, **values: Any) -> AuditRecord:
    """Return a record that was decided as said."""
    defaults: dict[str, Any] = {
        "status": status,
        "stage": Stage.OUTPUT,
        "action": ACTIONS[status],
        "score": 0.5,
        "category": None,
        "categories": {},
        "classifier": "stub",
        "error": None,
        "seconds": 0.02,
        "time": NOW,
    }
    return AuditRecord(**defaults | values)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL database."""
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind, in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.db'}"
    address: str = request.getfixturevalue("postgres")
    execute(address, "DROP TABLE IF EXISTS guardrail_records")
    return address


@pytest.fixture
def store(url: str) -> Iterator[RecordStore]:
    """A store that keeps everything."""
    with RecordStore(url, keep=None, keep_bytes=None) as store:
        yield store


def execute(url: str, statement: str) -> Any:
    """Do something to a database behind the store's back."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        done = connection.execute(text(statement))
        found = done.all() if done.returns_rows else None
    engine.dispose()
    return found


def keep(store: RecordStore, *records: AuditRecord) -> None:
    for one in records:
        store(one)
    assert store.flush()


# Writing


def test_a_record_comes_back_as_it_went_in(store: RecordStore) -> None:
    """To the microsecond, with categories, Korean, emoji and what an error said."""
    one = record(
        Status.BLOCKED,
        category=Category.O5,
        categories={Category.O5: 0.9, Category.O1: 0.1},
        error="ClassifierTimeout: 늦음",
        user="마약 어디서 사요? 🫠",
        reply="줄바꿈\n과 '따옴표'",
        score=None,
        time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        degraded=True,
        stream=StreamFacts(checks=3, held=40, shown=12, waited=0.25),
    )
    keep(store, one)

    found = store.records.get(one.id)

    assert found is not None
    assert (found.record, found.review, found.reviewed) == (one, None, None)


def test_a_guard_hands_its_records_over_and_flushes_them_when_closed(url: str) -> None:
    """Closing the guard is enough: nothing that it decided is lost."""
    store = RecordStore(url)
    with Guard(StubClassifier(unsafe="BAD"), hooks=[store], record_text="text") as guard:
        for reply in ("fine", "BAD", "call 010-1234-5678이에요"):
            guard.check(user="hi", assistant=reply)

    with_same = Records.open(url)
    found = [one.record for one in with_same.page().records]
    with_same.close()
    assert [one.reply for one in reversed(found)] == ["fine", "BAD", "call [전화번호]이에요"]
    assert found[1].status is Status.BLOCKED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_kept(store: RecordStore, said: str) -> None:
    """NUL and lone surrogates, which databases refuse, are replaced; the rest stays."""
    one = record(user=said, reply=said, error=said, classifier=said)
    keep(store, one)

    found = store.records.get(one.id)

    assert found is not None
    assert found.record.reply == "".join(
        "\ufffd" if char == "\0" else "?" if "\ud800" <= char <= "\udfff" else char for char in said
    )


def test_many_threads_write_at_once(store: RecordStore) -> None:
    """Every record of every thread is there once."""
    threads = [
        threading.Thread(target=lambda: [store(record()) for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.flush()
    assert store.counts.written == 1600
    assert sum(bucket.total for bucket in store.records.over_time(width=timedelta(days=1))) == 1600


def test_taking_a_record_costs_a_request_next_to_nothing(store: RecordStore) -> None:
    """The request's thread puts the record in a queue, and that is all."""
    records = [record(reply="가" * 300) for _ in range(2000)]
    started = time.perf_counter()

    for one in records:
        store(one)

    assert (time.perf_counter() - started) / len(records) < 0.001
    assert store.flush()


def test_two_stores_share_a_database(url: str) -> None:
    """As the worker processes of a server do."""
    with RecordStore(url) as one, RecordStore(url) as other:
        for store in (one, other) * 50:
            store(record(time=datetime.now(UTC)))
        assert one.flush()
        assert other.flush()
        assert len(one.records.page(limit=200).records) == 100


def test_what_one_bad_record_does_to_its_batch(store: RecordStore) -> None:
    """It fails and is counted, alone; a record that is there already counts as written."""
    twice = record()
    good = [record() for _ in range(5)]
    bad = record(id="x" * 70) if "postgresql" in str(store._engine.url) else record(id=None)
    keep(store, twice)

    keep(store, good[0], bad, twice, *good[1:])

    assert all(store.records.get(one.id) for one in good)
    assert (store.counts.written, store.counts.failed) == (7, 1)


def test_a_lost_table_is_made_again(store: RecordStore) -> None:
    """What comes after somebody emptied the database is kept."""
    keep(store, record())
    with store._engine.begin() as connection:
        connection.execute(text("DROP TABLE guardrail_records"))

    keep(store, record())

    assert store.counts == type(store.counts)(written=2, waiting=0, dropped=0, failed=0)
    assert len(store.records.page().records) == 1


def test_a_lost_connection_loses_no_record(postgres: str) -> None:
    """The server ends every connection, and the batch at hand is written on a new one."""
    execute(postgres, "DROP TABLE IF EXISTS guardrail_records")
    with RecordStore(postgres) as store:
        for _ in range(5):
            keep(store, record(time=datetime.now(UTC)))
            execute(
                postgres,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
            )
        keep(store, record(time=datetime.now(UTC)))
        assert store.counts.written == 6
        assert len(store.records.page().records) == 6


def test_a_program_that_forgets_to_close_loses_nothing(url: str) -> None:
    """At its end what waits is written."""
    code = f"""
from guardrail import Guard
from guardrail.integrations.records import RecordStore
from guardrail.testing import StubClassifier
guard = Guard(StubClassifier(), hooks=[RecordStore({url!r})])
for _ in range(300): guard.check(user="hi", assistant="fine")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)

    records = Records.open(url)
    assert len(records.page(limit=1000).records) == 300
    records.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_process_writes_by_itself(url: str) -> None:
    """A pre-forking server opens the store before it forks."""
    code = f"""
import os, sys
from guardrail import Guard
from guardrail.integrations.records import RecordStore
from guardrail.testing import StubClassifier
guard = Guard(StubClassifier(), hooks=[RecordStore({url!r})])
guard.check(user="hi", assistant="parent")
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        guard.check(user="hi", assistant="child")
        guard.close()
        os._exit(0)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
guard.check(user="hi", assistant="parent")
guard.close()
sys.exit(any(codes))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    records = Records.open(url)
    assert len(records.page().records) == 4
    records.close()


# The queue


class Slow:
    """A database that is away until it is told to be there."""

    def __init__(self) -> None:
        self.written: list[AuditRecord] = []
        self.there = threading.Event()
        self.tried = threading.Event()

    def __call__(self, batch: Any) -> None:
        self.tried.set()
        if not self.there.is_set():
            raise Unreachable("away")
        self.written += batch


def writer(write: Callable[[Any], None], *, limit: int = 10) -> Writer:
    return Writer(write, lambda: None, limit=limit, tidy_every_s=60)


def test_a_full_queue_drops_what_comes_and_counts_it(caplog: pytest.LogCaptureFixture) -> None:
    """A request never waits for a database that is away, and memory has a bound."""
    slow = Slow()
    queue = writer(slow)
    queue.put(record())
    assert slow.tried.wait(5)

    with caplog.at_level(logging.ERROR, logger="guardrail"):
        for _ in range(50):
            queue.put(record())

    assert (queue.counts.waiting, queue.counts.dropped) == (11, 40)
    assert caplog.text.count("are dropped") == 1, "said once, not with every record"
    slow.there.set()
    assert queue.flush(10)
    queue.close(5)
    assert len(slow.written) == queue.counts.written == 11


def test_closing_waits_no_longer_than_it_may() -> None:
    """A database that stays away cannot keep a program from ending; the loss is counted."""
    queue = writer(Slow())
    for _ in range(5):
        queue.put(record())
    started = time.monotonic()

    queue.close(0.3)

    assert time.monotonic() - started < 2
    assert (queue.counts.failed, queue.counts.waiting) == (5, 0)


def test_closing_gives_up_on_a_database_that_hangs() -> None:
    """Even one that never comes back from a write."""
    hang = threading.Event()
    queue = writer(lambda _: hang.wait(10) and None)
    queue.put(record())

    queue.close(0.1)

    assert queue.counts.failed == 1
    hang.set()


def test_what_comes_after_the_end_is_counted() -> None:
    """Nothing waits for ever in a queue that nobody empties."""
    queue = writer(lambda _: None)
    queue.close(1)
    queue.put(record())

    assert queue.counts.dropped == 1


def test_closing_twice_is_closing_once(store: RecordStore) -> None:
    """A guard and its owner may both close a store."""
    keep(store, record())
    store.close()
    store.close()

    assert store.counts.written == 1


def test_flushing_says_when_it_was_not_in_time() -> None:
    """A page that waits for fresh figures need not wait for ever."""
    slow = Slow()
    queue = writer(slow)
    queue.put(record())

    assert not queue.flush(0.05)
    slow.there.set()
    queue.close(5)


# Retention


def test_old_records_are_deleted(url: str) -> None:
    """By age: what was decided before the limit goes, when the store opens already."""
    now = datetime.now(UTC)
    with RecordStore(url, keep=None) as store:
        keep(store, *(record(time=now - timedelta(days=day)) for day in range(10)))

    with RecordStore(url, keep=timedelta(days=4.5)) as store:
        store.tidy()
        assert len(store.records.page().records) == 5


def test_the_oldest_records_make_way(url: str) -> None:
    """By size: the newest stay, as many as there is room for."""
    with RecordStore(url, keep=None, keep_bytes=10_100) as store:
        records = [record(time=NOW + timedelta(seconds=at), reply="가" * 200) for at in range(30)]
        keep(store, *records)
        store.tidy()

        left = [one.record.id for one in store.records.page().records]
        assert left == [one.id for one in reversed(records[-10:])]


def test_nothing_is_deleted_where_there_is_room(store: RecordStore) -> None:
    """Neither by age nor by size."""
    keep(store, *(record(time=NOW - timedelta(days=day)) for day in range(0, 4000, 400)))
    store.tidy()

    assert len(store.records.page().records) == 10


# Questions


@pytest.fixture
def filled(store: RecordStore) -> RecordStore:
    """A store with six records, one an hour, the last at noon."""
    hours = [NOW - timedelta(hours=back) for back in range(5, -1, -1)]
    keep(
        store,
        record(time=hours[0], user="환불 돼요?", reply="네, 돼요", seconds=0.010),
        record(
            Status.BLOCKED,
            time=hours[1],
            category=Category.O5,
            user="100% 약",
            reply="구해 드릴게요",
            seconds=0.020,
        ),
        record(Status.BLOCKED, time=hours[2], category=Category.O3, reply="Steal", seconds=0.030),
        record(
            Status.ERROR_BLOCKED,
            time=hours[3],
            score=None,
            error="ClassifierTimeout: x",
            seconds=10.0,
        ),
        record(Status.ALLOWED, time=hours[4], stage=Stage.INPUT, user="안녕", seconds=0.005),
        record(Status.FLAGGED, time=hours[5], category=Category.O5, seconds=0.040),
    )
    return store


def test_pages_come_newest_first_and_miss_nothing(filled: RecordStore) -> None:
    """Each record is on one page, though new ones come in between."""
    seen, after = [], None
    while True:
        page = filled.records.page(limit=2, after=after)
        seen += page.records
        keep(filled, record(time=NOW + timedelta(hours=len(seen))))
        if (after := page.next) is None:
            break

    times = [one.record.time for one in seen]
    assert times == sorted(times, reverse=True)
    assert len(times) == 6


def test_records_of_one_moment_are_paged_too(store: RecordStore) -> None:
    """Their ids tell them apart."""
    keep(store, *(record() for _ in range(7)))
    seen, after = [], None
    while True:
        page = store.records.page(limit=3, after=after)
        seen += [one.record.id for one in page.records]
        if (after := page.next) is None:
            break

    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize("after", ["", "x", "12", "-abc", "1-", f"{2**70}-a", "٣٣٣"])
def test_a_forged_place_is_refused(store: RecordStore, after: str) -> None:
    """With a sentence, not with an error of the database's."""
    with pytest.raises(GuardrailError, match="not where a page begins"):
        store.records.page(after=after)


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (Filter(), 6),
        (Filter(since=NOW - timedelta(hours=2)), 3),
        (Filter(until=NOW - timedelta(hours=2)), 3),
        (Filter(since=NOW - timedelta(hours=2), until=NOW), 2),
        (Filter(since=(NOW - timedelta(hours=2)).replace(tzinfo=None)), 3),
        (Filter(statuses=[Status.BLOCKED]), 2),
        (Filter(statuses=[Status.BLOCKED, Status.ERROR_BLOCKED]), 3),
        (Filter(stage=Stage.INPUT), 1),
        (Filter(categories=[Category.O5]), 2),
        (Filter(categories=[Category.O5], statuses=[Status.FLAGGED]), 1),
        (Filter(text="환불"), 1),
        (Filter(text="구해"), 1),
        (Filter(text="sTEAL"), 1),
        (Filter(text="100%"), 1),
        (Filter(text="%"), 1),
        (Filter(text="_"), 0),
        (Filter(text="\0\ud800'; --"), 0),
        (Filter(reviewed=False), 6),
        (Filter(reviewed=True), 0),
    ],
)
def test_records_are_chosen_by_all_that_is_said(
    filled: RecordStore, chosen: Filter, found: int
) -> None:
    """Time, status, stage, category, words and reviews, together."""
    assert len(filled.records.page(chosen).records) == found


def test_an_unknown_id_is_no_record(store: RecordStore) -> None:
    """Whatever it is made of."""
    assert store.records.get("no'such\0\ud800") is None
    assert store.records.review("no", Review.RIGHT) is None


def test_counts_over_time(filled: RecordStore) -> None:
    """One span after the other, empty ones too."""
    keep(filled, record(time=NOW - timedelta(hours=8)))
    buckets = filled.records.over_time(width=timedelta(hours=1))

    assert [bucket.total for bucket in buckets] == [1, 0, 0, 1, 1, 1, 1, 1, 1]
    assert buckets[0].start == NOW - timedelta(hours=8)
    assert buckets[4].counts[Status.BLOCKED] == 1
    assert buckets[4].counts[Status.ALLOWED] == 0


def test_days_are_those_of_the_time_zone(store: RecordStore) -> None:
    """Three in the afternoon in UTC is midnight in Korea."""
    keep(
        store,
        record(time=datetime(2026, 11, 19, 14, 59, tzinfo=UTC)),
        record(time=datetime(2026, 11, 19, 15, 0, tzinfo=UTC)),
    )
    days = store.records.over_time(width=timedelta(days=1), offset=timedelta(hours=9))

    assert [(day.start, day.total) for day in days] == [
        (datetime(2026, 11, 18, 15, tzinfo=UTC), 1),
        (datetime(2026, 11, 19, 15, tzinfo=UTC), 1),
    ]


def test_spans_reach_from_since_to_until(filled: RecordStore) -> None:
    """A quiet day is a row of zeros, not a gap; the future is not drawn."""
    chosen = Filter(since=NOW - timedelta(hours=10), until=NOW - timedelta(hours=3))
    buckets = filled.records.over_time(chosen, width=timedelta(hours=1))

    assert [bucket.total for bucket in buckets] == [0, 0, 0, 0, 0, 1, 1]
    assert filled.records.over_time(Filter(text="nothing"), width=timedelta(hours=1)) == []
    far = Filter(until=datetime(9999, 1, 1, tzinfo=UTC))
    assert filled.records.over_time(far, width=timedelta(days=1))[-1].start < datetime.now(UTC)
    with pytest.raises(GuardrailError, match="wider"):
        filled.records.over_time(width=timedelta())


def test_counts_by_category(filled: RecordStore) -> None:
    """Each with what was decided."""
    found = filled.records.by_category()

    assert found[Category.O5][Status.BLOCKED] == found[Category.O5][Status.FLAGGED] == 1
    assert sum(found[None].values()) == 3
    assert found.keys() == {Category.O5, Category.O3, None}


def test_latency_by_stage(filled: RecordStore) -> None:
    """Percentiles are times that some decision took."""
    found = filled.records.latency()

    assert found[Stage.OUTPUT].count == 5
    assert (found[Stage.OUTPUT].p50, found[Stage.OUTPUT].p99) == (0.030, 10.0)
    assert found[Stage.INPUT].p95 == 0.005
    assert filled.records.latency(Filter(text="nothing"))[Stage.OUTPUT].p50 is None


# Reviews


def test_reviews_are_kept_counted_and_taken_back(filled: RecordStore) -> None:
    """Right, false alarm, missed."""
    newest = [one.record for one in filled.records.page().records]
    by_status = {one.status: one.id for one in newest if one.stage is Stage.OUTPUT}
    records = filled.records

    first = records.review(by_status[Status.BLOCKED], Review.RIGHT)
    records.review(by_status[Status.FLAGGED], Review.FALSE_ALARM)
    records.review(by_status[Status.ALLOWED], Review.MISSED)

    assert first is not None
    assert first.review is Review.RIGHT
    assert first.reviewed is not None
    assert abs(datetime.now(UTC) - first.reviewed) < timedelta(minutes=1)
    agreement = records.agreement()
    assert (agreement.right, agreement.false_alarm, agreement.missed, agreement.total) == (
        1,
        1,
        1,
        3,
    )
    assert agreement.share == pytest.approx(1 / 3)
    assert len(records.page(Filter(reviews=[Review.MISSED])).records) == 1
    undone = records.review(by_status[Status.BLOCKED], None)
    assert undone is not None
    assert (undone.review, undone.reviewed) == (None, None)
    assert records.agreement(Filter(text="nothing")).share is None


@pytest.mark.parametrize(
    ("status", "review"),
    [
        (Status.ALLOWED, Review.FALSE_ALARM),
        (Status.ERROR_ALLOWED, Review.FALSE_ALARM),
        (Status.BLOCKED, Review.MISSED),
        (Status.FLAGGED, Review.MISSED),
        (Status.ERROR_BLOCKED, Review.MISSED),
    ],
)
def test_a_review_must_fit_the_decision(store: RecordStore, status: Status, review: Review) -> None:
    """A pass is no false alarm, and a block was not missed."""
    one = record(status)
    keep(store, one)

    with pytest.raises(GuardrailError):
        store.records.review(one.id, review)


def test_reviewed_replies_are_exported_for_an_evaluation(store: RecordStore) -> None:
    """With the truth that people told, in lines that the evaluation reads."""
    told = {
        Review.RIGHT: record(Status.BLOCKED, category=Category.O5, user="u1", reply="r1\u2028x"),
        Review.FALSE_ALARM: record(Status.FLAGGED, category=Category.O1, user="u2", reply="r2"),
        Review.MISSED: record(user="u3", reply="r3"),
    }
    others = [
        record(user="u4", reply="r4"),
        record(),
        record(user="f" * 64, reply="0" * 64),
        record(stage=Stage.INPUT, user="u5"),
    ]
    keep(store, *told.values(), *others)
    for review, one in told.items():
        store.records.review(one.id, review)
    for one in others[1:]:
        store.records.review(one.id, Review.RIGHT)

    rows = {row["user"]: row for row in map(json.loads, store.records.export())}

    assert {
        user: (row["assistant"], row["unsafe"], row["category"]) for user, row in rows.items()
    } == {
        "u1": ("r1\u2028x", True, "O5"),
        "u2": ("r2", False, None),
        "u3": ("r3", True, None),
    }
    assert all(len(line.splitlines()) == 1 for line in store.records.export())
    columns = Columns().found_in(rows["u1"])
    read = [row for each in rows.values() for row in rows_of(each, columns)]
    assert {row.text: (row.unsafe, row.category) for row in read} == {
        "r1\u2028x": (True, "O5"),
        "r2": (False, None),
        "r3": (True, None),
    }


def test_an_export_goes_on_past_a_page(store: RecordStore) -> None:
    """However many there are."""
    records = [record(user="u", reply="r") for _ in range(1203)]
    keep(store, *records)
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE guardrail_records SET review = 'right'"))

    assert len(list(store.records.export())) == 1203


# Configuration


def test_settings_open_a_store(url: str) -> None:
    """As a file has them; `false` switches a limit off."""
    settings = RecordsConfig.model_validate({"url": url, "keep_days": False, "keep_mib": 1})
    with settings.open() as store:
        keep(store, record(time=datetime(2000, 1, 1, tzinfo=UTC)))
        store.tidy()
        assert len(store.records.page().records) == 1


@pytest.mark.parametrize("wrong", [{"keep_days": 0}, {"keep_mib": -1}, {"queue": 0}, {"uri": ""}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """Before a database is opened."""
    with pytest.raises(ValidationError):
        RecordsConfig.model_validate(wrong)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is no URL"),
        ("records.db", "is no URL"),
        ("sqlite://", "need a file"),
        ("sqlite:///:memory:", "need a file"),
        ("mysql://user:secret@host/x", "not in 'mysql'"),
        ("oops://user:secret@host/x", "not in 'oops'"),
        ("sqlite:////no/such/folder/records.db", "cannot open"),
        ("postgresql://user:secret@127.0.0.1:1/x", "cannot open"),
    ],
)
def test_a_database_that_cannot_be_opened_is_refused(url: str, message: str) -> None:
    """At once, in a sentence that holds no password."""
    with pytest.raises(ConfigError, match=message) as refused:
        RecordStore(url)

    assert "secret" not in str(refused.value)


@pytest.mark.skipif(os.name != "posix", reason="files have no such modes there")
def test_a_database_file_is_its_owners_alone(tmp_path: Path) -> None:
    """It may hold what people wrote; so may the files that SQLite keeps beside it."""
    with RecordStore(f"sqlite:///{tmp_path / 'records.db'}") as store:
        keep(store, record())
        modes = {file.name: file.stat().st_mode & 0o077 for file in tmp_path.iterdir()}

    assert len(modes) > 1
    assert set(modes.values()) == {0}


def test_a_missing_library_is_named() -> None:
    """With what to install."""
    code = """
import sys
sys.modules["sqlalchemy"] = None
import guardrail.integrations.records
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert MissingExtraError.__name__ in done.stderr
    assert "guardrail-ko[records]" in done.stderr


# Tables of earlier versions

OLD_TABLE = """
CREATE TABLE guardrail_records (
    id VARCHAR(64) NOT NULL PRIMARY KEY, time BIGINT NOT NULL, status VARCHAR(16) NOT NULL,
    stage VARCHAR(8) NOT NULL, action VARCHAR(8) NOT NULL, score FLOAT, category VARCHAR(8),
    categories JSON NOT NULL, classifier TEXT, error TEXT, seconds FLOAT NOT NULL, user_text TEXT,
    reply_text TEXT, size INTEGER NOT NULL, review VARCHAR(16), reviewed BIGINT
)"""
OLD_ROW = """
INSERT INTO guardrail_records (id, time, status, stage, action, categories, seconds, size)
VALUES ('old', 1, 'allowed', 'output', 'allow', '{}', 0.5, 400)"""


def at(url: str, *statements: str) -> None:
    """Do something to a database of either kind."""
    engine = create_engine(make_url(url.replace("postgresql:", "postgresql+psycopg:")))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def old(url: str) -> str:
    """A database as an earlier version left it, with a record in it."""
    at(url, OLD_TABLE, OLD_ROW)
    return url


def test_a_table_of_an_earlier_version_is_given_what_it_lacks(old: str) -> None:
    """Its records are there as before, and new ones are kept whole."""
    one = record(degraded=True, stream=StreamFacts(1, 2, 3, None))
    with RecordStore(old, keep=None) as store:
        keep(store, one)
        before, now = store.records.get("old"), store.records.get(one.id)

    assert before is not None
    assert now is not None
    assert (before.record.seconds, before.record.degraded, before.record.stream) == (
        0.5,
        False,
        None,
    )
    assert now.record == one


def test_an_earlier_table_may_be_opened_by_many_at_once(old: str) -> None:
    """Whoever comes second finds the columns there."""
    found: list[Any] = []

    def read() -> None:
        records = Records.open(old)
        found.append(records.get("old"))
        records.close()

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [one.record.id for one in found] == ["old"] * 12


def test_an_earlier_version_can_still_write(store: RecordStore, url: str) -> None:
    """It knows nothing of the new columns, and need not."""
    at(url, OLD_ROW)

    found = store.records.get("old")

    assert found is not None
    assert found.record.degraded is False
