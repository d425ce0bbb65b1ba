"""The threads that wait for slow classifiers."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import wait

import pytest

from guardrail.workers import Workers

NAME = "test-workers"


def alive() -> int:
    """Return how many of our threads there are."""
    return sum(thread.name == NAME for thread in threading.enumerate())


def becomes(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether something comes true in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.fixture(autouse=True)
def _threads_end() -> Iterator[None]:
    """No test leaves threads behind."""
    yield
    assert becomes(lambda: alive() == 0)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that jobs wait for; it is set in the end, whatever happens."""
    gate = threading.Event()
    yield gate
    gate.set()


def workers(limit: int = 4, idle_s: float = 0.02) -> Workers:
    return Workers(name=NAME, limit=limit, idle_s=idle_s)


def test_the_work_is_done() -> None:
    """With its arguments, and its result comes back."""
    assert workers().submit(divmod, 7, 2).result(5) == (3, 1)


def test_an_error_comes_back() -> None:
    """It is the caller's."""
    with pytest.raises(ZeroDivisionError):
        workers().submit(divmod, 7, 0).result(5)


def test_a_thread_outlives_an_error() -> None:
    """One failing job does not cost the next one its thread."""
    crew = workers(limit=1)
    crew.submit(sys.exit, 3).exception(5)

    assert crew.submit(int).result(5) == 0


def test_nobody_waits_for_an_end_of_iteration() -> None:
    """An asyncio future cannot hold StopIteration: its task would wait for ever."""

    async def main() -> None:
        await asyncio.wait_for(asyncio.wrap_future(workers().submit(next, iter(()))), 5)

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(main())


def test_the_callers_context_is_there() -> None:
    """Tracing and logging see whose work it is."""
    who = contextvars.ContextVar("who", default="nobody")
    who.set("caller")

    assert workers().submit(who.get).result(5) == "caller"


def test_threads_end_when_idle() -> None:
    """A guard that is not used costs nothing."""
    workers().submit(int).result(5)

    assert becomes(lambda: alive() == 0)


def test_threads_come_back_when_needed() -> None:
    """Idleness is not the end."""
    crew = workers()
    crew.submit(int).result(5)
    becomes(lambda: alive() == 0)

    assert crew.submit(int).result(5) == 0


def test_an_idle_thread_takes_the_next_job() -> None:
    """Calls one after another do not need a thread each."""
    crew = workers(idle_s=0.3)
    idents = set()
    for _ in range(20):
        idents.add(crew.submit(threading.get_ident).result(5))
        time.sleep(0.002)

    assert len(idents) < 10


def test_jobs_run_side_by_side_up_to_the_limit(gate: threading.Event) -> None:
    """Beyond it they wait for a thread."""
    crew, running = workers(limit=3), threading.Semaphore(0)

    def job() -> bool:
        running.release()
        return gate.wait(5)

    jobs = [crew.submit(job) for _ in range(5)]
    started = [running.acquire(timeout=5) for _ in range(3)]
    fourth = running.acquire(timeout=0.05)
    count = alive()
    gate.set()

    assert (started, fourth, count) == ([True] * 3, False, 3)
    assert len(wait(jobs, 5).done) == 5


def test_cancelled_work_is_not_begun(gate: threading.Event) -> None:
    """A caller who has left costs no computing."""
    crew = workers(limit=1)
    done: list[str] = []
    crew.submit(gate.wait, 5)
    given_up, kept = crew.submit(done.append, "given up"), crew.submit(done.append, "kept")
    given_up.cancel()
    gate.set()
    kept.result(5)

    assert done == ["kept"]


def test_cancelled_work_is_forgotten(gate: threading.Event) -> None:
    """Also while every thread hangs: what was given up takes no memory."""

    class Conversation:
        """Something to hold on to."""

    crew, one = workers(limit=1), Conversation()
    crew.submit(gate.wait, 5)
    held = weakref.ref(one)
    crew.submit(id, one).cancel()
    del one

    assert gc.collect() >= 0
    assert held() is None
    gate.set()


def test_an_idle_thread_keeps_nothing_alive() -> None:
    """Conversations are not held longer than they are judged."""

    class Conversation:
        """Something to hold on to."""

    crew, one = workers(idle_s=1.0), Conversation()
    held = weakref.ref(one)
    crew.submit(id, one).result(5)
    del one

    assert becomes(lambda: gc.collect() >= 0 and held() is None, seconds=0.5)


def test_many_jobs_are_each_done_once() -> None:
    """None is lost, none is done twice."""
    crew = workers(limit=8, idle_s=0.0)
    done: list[int] = []
    jobs = [crew.submit(done.append, n) for n in range(2000)]
    wait(jobs, 10)

    assert sorted(done) == list(range(2000))


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_hung_job_does_not_keep_the_process_from_ending() -> None:
    """One hung classifier is not a program that never ends."""
    done = run(
        "import time\n"
        "from guardrail.workers import Workers\n"
        "Workers(name='x').submit(time.sleep, 60)\n"
        "time.sleep(0.1)\n"
        "print('end')"
    )

    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """Servers load a guard, use it, and fork: the child has none of the parent's threads."""
    done = run(
        "import os, sys, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "from guardrail.workers import Workers\n"
        "workers = Workers(name='x')\n"
        "workers.submit(int).result(5)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(workers.submit(int).result(5))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )

    assert (done.stderr, done.returncode) == ("", 0)
