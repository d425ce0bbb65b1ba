"""Calls that nobody waits for any more, and calls that must not hold others up."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from guardrail.deadline import within
from guardrail.errors import ClassifierTimeout
from guardrail.prompt import render
from guardrail.taxonomy import Taxonomy
from guardrail.types import Conversation, exchange
from tests.unit.kosafeguard.llamas import lively_llama, pair

LONG = 30.0  # seconds that no test needs


def test_a_call_whose_time_is_up_is_never_read() -> None:
    """A call that waited in vain leaves the queue, so that overload ends with it."""
    model, reached, opened = lively_llama(), threading.Event(), threading.Event()
    guard = pair(model).guard

    def held(*_: object) -> None:
        reached.set()
        assert opened.wait(LONG)

    model.register_forward_pre_hook(held)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(guard.classify, exchange("a", "b"))
        assert reached.wait(LONG)
        with pytest.raises(ClassifierTimeout, match="in time"), within(0.05):
            guard.classify(exchange("c", "d"))
        opened.set()
        first.result(LONG)
    guard.classify(exchange("e", "f"))

    assert guard.stats.prompts == 2


def test_a_call_that_comes_too_late() -> None:
    """A call whose time is up before the model is asked asks nothing."""
    guard = pair().guard
    with pytest.raises(ClassifierTimeout), within(0.0):
        guard.classify(exchange("a", "b"))

    assert guard.stats.prompts == 0


@pytest.mark.parametrize("method", ["aclassify_many", "acategorise"])
def test_long_texts_are_encoded_beside_the_event_loop(method: str) -> None:
    """What takes the tokenizer long holds up no other task."""
    writers: set[int] = set()

    def noted(conversation: Conversation, *, taxonomy: Taxonomy) -> str:
        writers.add(threading.get_ident())
        return render(conversation, taxonomy=taxonomy)

    guard = pair(render=noted).guard
    writers.clear()
    judged: list[Any] = asyncio.run(getattr(guard, method)([exchange("a", "x" * 4000)]))

    assert len(judged) == 1
    assert threading.get_ident() not in writers
