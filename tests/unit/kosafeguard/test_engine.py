"""The worker and its queue, with a forward that needs no model."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait

import pytest
import torch

from guardrail.classifiers.kosafeguard.encode import Encoded
from guardrail.classifiers.kosafeguard.engine import Engine
from guardrail.classifiers.kosafeguard.forward import Forwarded, Segment
from guardrail.classifiers.labelled import Reading
from guardrail.errors import ClassifierError, ClassifierUnavailable

LONG = 5.0  # seconds that no test needs


class FakeModel:
    """Answers each segment with its last token as the score's logit, and remembers batches.

    Args:
        trouble: called with the new tokens' number before each answer; it may raise or block.
    """

    def __init__(self, trouble: Callable[[int], None] = lambda tokens: None) -> None:
        self.batches: list[list[list[int]]] = []
        self._trouble = trouble

    def __call__(self, segments: Sequence[Segment]) -> Forwarded:
        """Read segments."""
        self._trouble(sum(len(segment.new) for segment in segments))
        self.batches.append([list(segment.new) for segment in segments])
        logits = torch.tensor([[0.0, float(segment.new[-1])] for segment in segments])
        return Forwarded(logits, [torch.zeros(1, 2, segment.own, 1, 1) for segment in segments])


class Gate:
    """Holds the model up until it is opened, so that requests wait."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, tokens: int) -> None:
        """Wait."""
        self.reached.set()
        assert self._open.wait(LONG)

    def open(self) -> None:
        """Let everything through from now on."""
        self._open.set()


def engine_of(model: FakeModel, **settings: int) -> Engine:
    return Engine(
        model, labels=(0, 1), **{"cache_tokens": 100, "max_batch_tokens": 100, **settings}
    )


def prompt(*rest: int, head: tuple[int, ...] = ()) -> Encoded:
    return Encoded(head, rest, 1)


def submitted(engine: Engine, *rests: int) -> list[Future[Reading]]:
    """Submit prompts of one token each, one after the other."""
    return [engine.submit([prompt(rest)])[0] for rest in rests]


def busy(**settings: int) -> tuple[Engine, FakeModel, Gate]:
    """Return an engine whose device is busy with the prompt (0,)."""
    gate = Gate()
    model = FakeModel(gate)
    engine = engine_of(model, **settings)
    submitted(engine, 0)
    assert gate.reached.wait(LONG)
    return engine, model, gate


def test_what_waits_is_the_next_batch() -> None:
    """Requests that arrive while the device is busy are read together."""
    engine, model, gate = busy()
    futures = submitted(engine, 1, 2, 3)
    gate.open()
    wait(futures, LONG)

    assert model.batches == [[[0]], [[1], [2], [3]]]


def test_batches_keep_to_their_limit() -> None:
    """A batch takes what fits, in the order of arrival, and a longer prompt is read alone."""
    engine, model, gate = busy(max_batch_tokens=3)
    futures = engine.submit([prompt(1, 1), prompt(2), prompt(3, 3, 3, 3), prompt(4)])
    gate.open()
    wait(futures, LONG)

    assert model.batches[1:] == [[[1, 1], [2]], [[3, 3, 3, 3]], [[4]]]


def test_each_gets_its_own_answer() -> None:
    """Prompts that are grouped by head for the device are answered in their own order."""
    engine = engine_of(FakeModel())
    heads = [(7,), (), (7, 8), (7,)]
    futures = engine.submit([prompt(n, head=head) for n, head in enumerate(heads)])
    scores = [future.result(LONG).unsafe - future.result().safe for future in futures]

    assert scores == pytest.approx([0, 1, 2, 3])


def test_heads_are_read_once() -> None:
    """A head is computed with the first prompt that needs it and never again."""
    model = FakeModel()
    engine = engine_of(model)
    for number in range(3):
        engine.submit([prompt(number, head=(7, 8, 9))])[0].result(LONG)

    assert model.batches == [[[7, 8, 9]], [[0]], [[1]], [[2]]]


def test_stats() -> None:
    """Tokens seen are those of the prompts; tokens forwarded are those the model computed."""
    engine = engine_of(FakeModel())
    for last in (1, 2):
        engine.submit([prompt(5, 5, last, head=(7, 8))])[0].result(LONG)

    assert engine.stats.seen == 10
    assert engine.stats.forwarded == 2 + 3 + 1


def test_a_cancelled_request_is_never_read() -> None:
    """Cancelling takes a request out of the queue."""
    engine, model, gate = busy()
    kept, dropped = submitted(engine, 1, 2)
    assert dropped.cancel()
    gate.open()
    kept.result(LONG)

    assert model.batches == [[[0]], [[1]]]


def test_cancelling_a_task_cancels_its_request() -> None:
    """An asyncio task that is cancelled while it waits leaves nothing in the queue."""
    engine, model, gate = busy()

    async def give_up() -> None:
        task = asyncio.ensure_future(asyncio.wrap_future(submitted(engine, 1)[0]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    last = submitted(engine, 2)
    gate.open()
    wait(last, LONG)

    assert model.batches == [[[0]], [[2]]]


def test_closing_fails_what_waits_and_what_comes() -> None:
    """A closed engine finishes its batch and answers everything else with an error."""
    engine, _, gate = busy()
    waiting, cancelled = submitted(engine, 1, 2)
    cancelled.cancel()
    engine.close()
    gate.open()

    with pytest.raises(ClassifierUnavailable, match="closed"):
        waiting.result(LONG)
    with pytest.raises(ClassifierUnavailable, match="closed"):
        engine.submit([prompt(1)])
    with pytest.raises(CancelledError):
        cancelled.result(LONG)


def test_closing_lets_the_model_go() -> None:
    """After closing nothing holds the model's memory, even if the engine is still held."""
    model = FakeModel()
    engine = engine_of(model)
    submitted(engine, 1)[0].result(LONG)
    seen = weakref.ref(model)
    del model
    engine.close()
    engine._worker.submit(gc.collect).result(LONG)  # after whatever closing asked the worker for

    assert seen() is None


def test_a_dropped_engine_lets_the_model_go() -> None:
    """An engine that nobody holds is not held by its idle worker."""
    model = FakeModel()
    engine = engine_of(model)
    submitted(engine, 1)[0].result(LONG)
    worker, seen = engine._worker, weakref.ref(model)
    del model, engine
    worker.submit(gc.collect).result(LONG)

    assert seen() is None


def out_of_memory_above(limit: int) -> Callable[[int], None]:
    def trouble(tokens: int) -> None:
        if tokens > limit:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {tokens} tokens")

    return trouble


def test_out_of_memory_halves_the_batch() -> None:
    """When memory runs out the batch is read in halves, and later batches are smaller."""
    model = FakeModel(out_of_memory_above(2))
    engine = engine_of(model, max_batch_tokens=8)
    futures = engine.submit([prompt(number) for number in range(8)])
    wait(futures, LONG)

    assert [len(batch) for batch in model.batches] == [2, 2, 2, 2]
    assert all(future.exception() is None for future in futures)
    later = engine.submit([prompt(number) for number in range(4)])
    wait(later, LONG)
    assert [len(batch) for batch in model.batches[4:]] == [1, 1, 1, 1]


def test_out_of_memory_frees_the_cache_first() -> None:
    """What is only cached goes before a batch is halved or a prompt is given up."""
    model = FakeModel()
    engine = engine_of(model)
    submitted(engine, 1, 2)
    tries = iter([torch.OutOfMemoryError("CUDA out of memory")])

    def once(_: int) -> None:
        for error in tries:
            raise error

    engine.submit([prompt(5, 6)])[0].result(LONG)
    model._trouble = once

    assert engine.submit([prompt(3)])[0].exception(LONG) is None


def test_out_of_memory_for_one_prompt() -> None:
    """A prompt that does not fit alone fails with what to do, and the next one is read."""
    engine = engine_of(FakeModel(out_of_memory_above(2)))
    large, small = engine.submit([prompt(1, 2, 3), prompt(4)])

    with pytest.raises(ClassifierUnavailable, match="context_tokens"):
        large.result(LONG)
    assert small.exception(LONG) is None


def test_a_lost_device_ends_the_engine() -> None:
    """After a device error every call says to restart the process."""

    def lost(_: int) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    engine = engine_of(FakeModel(lost))
    first = submitted(engine, 1)[0]

    with pytest.raises(ClassifierUnavailable, match="restart"):
        first.result(LONG)
    engine._worker.submit(int).result(LONG)
    with pytest.raises(ClassifierUnavailable, match="restart"):
        engine.submit([prompt(1)])


def test_any_other_error_is_a_classifier_error() -> None:
    """Whatever the model raises reaches the caller as the package's error, cause kept."""
    tries = iter([ZeroDivisionError("no")])

    def fails_once(_: int) -> None:
        for error in tries:
            raise error

    engine = engine_of(FakeModel(fails_once))
    error = submitted(engine, 1)[0].exception(LONG)

    assert type(error) is ClassifierError
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert submitted(engine, 1)[0].exception(LONG) is None


@pytest.mark.parametrize(("safe", "unsafe"), [(0.0, -1000.0), (-1000.0, 0.0), (-1000.0, -1000.0)])
def test_extreme_logits(safe: float, unsafe: float) -> None:
    """However sure the model is, the score is a probability."""
    assert 0.0 <= Reading(safe, unsafe).score <= 1.0
