"""Arguments and classifiers that are not what they should be: an error of ours, or a block."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail import (
    ClassifierError,
    ConfigError,
    Guard,
    GuardrailError,
    InvalidTurnError,
    Policy,
    Verdict,
)
from guardrail.testing import ListHook, StubClassifier
from tests.conftest import Answering, Mode

SAFE = Verdict(False, 0.1)


@pytest.mark.parametrize("unsafe", [None, "safe", "", "false", [], 0.3])
def test_unsafe_is_a_boolean(unsafe: Any) -> None:
    """What is merely falsy never passes for safe."""
    with pytest.raises(GuardrailError, match="unsafe"):
        Verdict(unsafe, 0.5)


@pytest.mark.parametrize(
    "history", [[{"role": "user", "content": "x"}], [("user", "x")], ["x"], "text", None]
)
@pytest.mark.parametrize("text", ["UNSAFE", "fine"])
def test_history_holds_turns(mode: Mode, history: Any, text: str) -> None:
    """A history of anything but turns is refused, whatever the verdict would be."""
    with pytest.raises(InvalidTurnError):
        mode.check(Guard(StubClassifier()), text, history=history)


@pytest.mark.parametrize("classifier", [StubClassifier, lambda text: True, "embedded"])
def test_a_classifier_is_one(classifier: Any) -> None:
    """A classifier's class, or a function, is refused when the guard is made."""
    with pytest.raises(ConfigError):
        Guard(classifier)


def test_hooks_are_many() -> None:
    """One hook by itself is refused when the guard is made."""
    with pytest.raises(ConfigError, match=r"hooks=\["):
        Guard(StubClassifier(), hooks=print)  # type: ignore[arg-type]


@pytest.mark.parametrize("pairs", [None, 3, [{"assistant": "SECRET"}], ["SECRET"], [("SECRET",)]])
def test_pairs_are_pairs(pairs: Any) -> None:
    """What is none is refused, and not repeated: nobody has judged it."""
    with pytest.raises(InvalidTurnError) as caught:
        Guard(StubClassifier()).check_many(pairs)

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("chunks", ["SECRET", 3, [{"content": "SECRET"}]])
def test_chunks_are_texts(chunks: Any) -> None:
    """A whole reply is no stream, and nothing of it is in the error that says so."""
    with pytest.raises(InvalidTurnError) as caught:
        list(Guard(StubClassifier()).stream(user="q", chunks=chunks))

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "montor"}, "mode = 'montor': .*'enforce' or 'monitor'"),
        ({"thresold": 0.3}, "unknown setting 'thresold'; known are mode, threshold"),
        ({"categories": {"O1": {"threshold": 7}}}, "categories.O1.threshold = 7"),
        ({"window": {"first": 0}}, "window.first = 0"),
    ],
)
def test_a_wrong_policy_is_an_error_of_ours(settings: Any, message: str) -> None:
    """It names the setting, and what would be right, in one line."""
    with pytest.raises(ConfigError, match=message) as caught:
        Policy(**settings)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("policy", [{"mode": "monitor"}, "guardrail.toml"])
def test_a_policy_is_one(policy: Any) -> None:
    """A dict or a path is no policy, and is refused when the guard is made."""
    with pytest.raises(ConfigError):
        Guard(StubClassifier(), policy)


def test_a_way_of_recording_is_one() -> None:
    """An unknown way of recording text is refused when the guard is made."""
    with pytest.raises(ConfigError):
        Guard(StubClassifier(), record_text="all")


class Failing(StubClassifier):
    def answers_at_once(self, conversations: Any) -> bool:
        raise ValueError("a bug")


def test_answers_at_once_that_fails_blocks(mode: Mode) -> None:
    """An error in choosing the thread blocks and is recorded like any other."""
    hook = ListHook()
    outcome = mode.check(Guard(Failing(), hooks=[hook]), "text")

    assert (outcome.blocked, len(hook.records)) == (True, 1)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("a bug")


def test_an_error_that_cannot_be_printed_blocks(mode: Mode) -> None:
    """An error whose message cannot be made blocks all the same."""
    assert mode.check(Guard(Answering(Unprintable())), "text").blocked


@pytest.mark.parametrize("pair", ["ab", ("u",), ("u", "a", "x"), None])
def test_a_pair_is_a_pair(mode: Mode, pair: Any) -> None:
    """Two letters are no pair of texts, and neither is one text or three."""
    with pytest.raises(InvalidTurnError):
        mode.check_many(Guard(Answering([SAFE])), [pair])


def test_a_record_names_the_classifier(mode: Mode) -> None:
    """A verdict that names no classifier is recorded under the guard's own."""
    hook = ListHook()
    mode.check(Guard(Answering([SAFE]), hooks=[hook]), "text")

    assert hook.records[0].classifier == "Answering"


class Quoting(StubClassifier):
    """Fails in words that quote what it was asked about, or answers with them."""

    def __init__(self, answer: Any = None) -> None:
        super().__init__()
        self.answer = answer

    def classify_many(self, conversations: Any) -> Any:
        if self.answer is None:
            raise ValueError(conversations[0][-1].content)
        return self.answer


@pytest.mark.parametrize("answer", [None, ["SECRET"], "SECRET", {"SECRET": 1}])
def test_an_error_quotes_nothing(mode: Mode, answer: Any) -> None:
    """It is in every record, also where records hold no text; the words are in its cause."""
    hook = ListHook()
    outcome = mode.check(Guard(Quoting(answer), hooks=[hook]), "SECRET")

    assert outcome.blocked
    assert "SECRET" not in f"{outcome.error} {hook.records[0].to_json()}"
    if answer is None:
        assert "SECRET" in str(outcome.error.__cause__)


@pytest.mark.parametrize("categories", [{"SECRET": 1.0}, {"O1": "SECRET"}, "SECRET", ["SECRET"]])
def test_an_error_of_the_second_step_quotes_nothing(mode: Mode, categories: Any) -> None:
    """Categories, too, may be made of what was judged."""
    hook = ListHook()
    classifier = Answering([Verdict(True, 0.9)], [categories])
    outcome = mode.check(Guard(classifier, hooks=[hook]), "SECRET")

    assert outcome.blocked
    assert isinstance(outcome.error, ClassifierError)
    assert "SECRET" not in f"{outcome.error} {hook.records[0].to_json()}"


def test_a_window_is_one() -> None:
    """A number of characters is no window."""
    window: Any = 3
    with pytest.raises(ConfigError, match="expected a Window"):
        Guard(StubClassifier()).stream(user="q", chunks=["a"], window=window)
