"""What a classifier has to bring, and what it gets from its base."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from guardrail import Classifier, Verdict
from guardrail.types import Conversation, exchange
from tests.conftest import Answering, Mode

SAFE, UNSAFE = Verdict(False, 0.1), Verdict(True, 0.9)
ASKED = exchange("hi", "text")


class Minimal(Classifier):
    """As little as a classifier can be."""

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        self.thread = threading.current_thread()
        return [SAFE for _ in conversations]


def test_a_classifier_has_to_classify() -> None:
    """The one thing that has no default."""
    with pytest.raises(TypeError, match="classify_many"):
        Classifier()  # type: ignore[abstract] # what the test is about


def test_one_is_the_first_of_many(mode: Mode) -> None:
    """The single form asks for a batch of one."""
    one = Minimal()
    verdict = one.classify(ASKED) if mode is Mode.SYNC else asyncio.run(one.aclassify(ASKED))

    assert verdict == SAFE


def test_the_async_form_is_the_sync_one_in_a_thread() -> None:
    """Nothing has to be written twice, and the loop is not blocked."""
    one = Minimal()
    asyncio.run(one.aclassify(ASKED))

    assert one.thread is not threading.current_thread()


def test_categories_are_optional(mode: Mode) -> None:
    """A classifier without them names none."""
    one = Minimal()
    ask = one.categorise if mode is Mode.SYNC else lambda asked: asyncio.run(one.acategorise(asked))

    assert ask([ASKED, ASKED]) == [{}, {}]


def test_errors_come_through_the_thread() -> None:
    """The async form raises what the sync one does."""
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Answering(ZeroDivisionError()).aclassify_many([ASKED]))


def test_a_classifier_is_called_by_its_class() -> None:
    """Unless it says otherwise."""
    assert Minimal().name == "Minimal"


def test_a_classifier_waits_unless_it_says_otherwise() -> None:
    """Then its timeout holds, and event loops go on."""
    assert not Minimal().answers_at_once([ASKED])
