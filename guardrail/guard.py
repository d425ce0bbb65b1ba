"""The guard: what users hold, and the sync and async forms of everything it does."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from os import PathLike
from types import EllipsisType
from typing import Any, Self, TypeVar, overload

from guardrail.audit import Hook, Recorder, RecordText
from guardrail.classifiers.base import Classifier
from guardrail.errors import ConfigError, InvalidTurnError
from guardrail.flow import answer, review, review_many
from guardrail.gate import Shape, gate
from guardrail.intake import AsyncIntake, Intake
from guardrail.policy import Policy
from guardrail.protect import protected
from guardrail.pump import Hands, Listener, arun, run
from guardrail.streams import TEXT, GuardedAsyncStream, GuardedStream
from guardrail.types import Conversation, Outcome, Turn, exchange, question
from guardrail.window import Window

__all__ = ["Guard"]

E = TypeVar("E")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Guard:
    """Judges replies and decides what the user sees.

    One guard serves any number of threads, event loops and conversations at once.

    Args:
        classifier: judges the turns; the embedded one unless given.
        policy: what is done about verdicts.
        hooks: take the record of every decision.
        record_text: how much of the conversation the records hold.

    Raises:
        ConfigError: an argument is of the wrong kind.
    """

    def __init__(
        self,
        classifier: Classifier | None = None,
        policy: Policy | None = None,
        *,
        hooks: Iterable[Hook] = (),
        record_text: RecordText | str = RecordText.NONE,
    ) -> None:
        self.classifier = _embedded() if classifier is None else _is_a(Classifier, classifier)
        self.policy = Policy() if policy is None else _is_a(Policy, policy)
        recorder = Recorder(_hooks(hooks), _record_text(record_text), self.classifier.name)
        self._hands = Hands(self.classifier, recorder)
        self._borrows = False

    @classmethod
    def from_config(cls, path: str | PathLike[str] | None = None) -> Self:
        """Build the guard that a TOML file describes.

        Without a path the file named by `GUARDRAIL_CONFIG` is read, if any. Environment variables
        go before the file: `GUARDRAIL_POLICY__MODE=monitor` is `mode` in `[policy]`.

        Raises:
            ConfigError: a setting is wrong; the message names the file, the key and what is right.
        """
        from guardrail.config import Config

        config = Config.load(path)
        return cls(
            config.build_classifier(),
            config.policy,
            hooks=config.build_hooks(),
            record_text=config.audit.text,
        )

    def with_policy(self, policy: Policy) -> Self:
        """Return a guard with another policy that shares this one's classifier and hooks.

        It costs nothing to make, for one tenant or one request; closing it closes nothing.

        Raises:
            ConfigError: it is no policy.
        """
        other = self._sharing()
        other.policy = _is_a(Policy, policy)
        return other

    def with_hooks(self, *hooks: Hook) -> Self:
        """Return a guard with more hooks that shares the rest with this one; see `with_policy`."""
        recorder = self._hands.recorder
        return self._sharing(recorder=replace(recorder, hooks=(*recorder.hooks, *hooks)))

    def heard_by(self, listener: Listener) -> Self:
        """Return a guard that also tells its decisions to a function; see `with_policy`.

        It is told each as it is made, those about the prefixes of a stream too; hooks get the last
        about each text. A later listener takes its place. What it raises ends the call.
        """
        return self._sharing(listener=listener)

    @property
    def record_text(self) -> RecordText:
        """How much of the conversation the records hold."""
        return self._hands.recorder.text

    def check(self, *, user: str, assistant: str, history: Iterable[Turn] = ()) -> Outcome:
        """Judge one reply and decide what the user sees.

        Args:
            user: what the user said.
            assistant: the reply to it.
            history: the turns before; classifiers made for one exchange leave them aside.

        Raises:
            InvalidTurnError: a message is not a `str`.
        """
        return run(review(exchange(user, assistant, history), self.policy), self._hands)

    async def acheck(self, *, user: str, assistant: str, history: Iterable[Turn] = ()) -> Outcome:
        """Do what `check` does, without blocking the event loop."""
        return await arun(review(exchange(user, assistant, history), self.policy), self._hands)

    def check_input(self, *, user: str, history: Iterable[Turn] = ()) -> Outcome:
        """Judge what the user said, before the bot replies to it; see `Policy.check_input`."""
        return run(review(question(user, history), self.policy), self._hands)

    async def acheck_input(self, *, user: str, history: Iterable[Turn] = ()) -> Outcome:
        """Do what `check_input` does, without blocking the event loop."""
        return await arun(review(question(user, history), self.policy), self._hands)

    def check_many(self, exchanges: Iterable[tuple[str, str]]) -> list[Outcome]:
        """Judge many (user, assistant) pairs in one batch; outcomes come in the same order.

        Where the classifier fails, it fails for the whole batch.
        """
        return run(review_many(_all(exchanges), self.policy), self._hands)

    async def acheck_many(self, exchanges: Iterable[tuple[str, str]]) -> list[Outcome]:
        """Do what `check_many` does, without blocking the event loop."""
        return await arun(review_many(_all(exchanges), self.policy), self._hands)

    def review(self, conversations: Iterable[Conversation]) -> list[Outcome]:
        """Judge the last turn of each conversation, in one batch; for adapters."""
        return run(review_many(list(conversations), self.policy), self._hands)

    async def areview(self, conversations: Iterable[Conversation]) -> list[Outcome]:
        """Do what `review` does, without blocking the event loop."""
        return await arun(review_many(list(conversations), self.policy), self._hands)

    def stream(
        self,
        *,
        user: str,
        chunks: Iterable[str],
        history: Iterable[Turn] = (),
        window: Window | EllipsisType | None = ...,
    ) -> GuardedStream[str]:
        """Let a streamed reply through as far as it is judged.

        Iterate over the result for the chunks; its `outcome` is there at the end. An unsafe reply
        is cut off, its source closed, and the refusal follows as the last chunk.

        Args:
            user: what the user said.
            chunks: the reply as it comes; taken in on the thread that iterates.
            history: the turns before.
            window: when the growing reply is judged; the policy's unless given, None to hold the
                whole of it.

        Raises:
            InvalidTurnError: a message or a chunk is not a `str`.
        """
        return self.stream_events(chunks, TEXT, asked=question(user, history), window=window)

    def astream(
        self,
        *,
        user: str,
        chunks: AsyncIterable[str],
        history: Iterable[Turn] = (),
        window: Window | EllipsisType | None = ...,
    ) -> GuardedAsyncStream[str]:
        """Do what `stream` does, for `async for`."""
        return self.astream_events(chunks, TEXT, asked=question(user, history), window=window)

    def stream_events(
        self,
        events: Iterable[E],
        shape: Shape[E],
        *,
        asked: Conversation,
        window: Window | EllipsisType | None = ...,
        check_input: bool = True,
    ) -> GuardedStream[E]:
        """Let a stream of any kind of event through as far as it is judged; for adapters.

        Args:
            events: the stream; closed when it is cut off or the consumer leaves.
            shape: reads the text out of events, and writes a refusal as events.
            asked: the conversation up to the user's turn.
            window: as in `stream`.
            check_input: False when the policy's input stage was gone through already.
        """
        flow = gate(asked, self._policy(check_input), self._window(window), shape)
        return GuardedStream(flow, Intake(events, self.classifier), self._hands)

    def astream_events(
        self,
        events: AsyncIterable[E],
        shape: Shape[E],
        *,
        asked: Conversation,
        window: Window | EllipsisType | None = ...,
        check_input: bool = True,
    ) -> GuardedAsyncStream[E]:
        """Do what `stream_events` does, for `async for`."""
        flow = gate(asked, self._policy(check_input), self._window(window), shape)
        return GuardedAsyncStream(flow, AsyncIntake(events, self.classifier), self._hands)

    @overload
    def protect(self, handler: F, /) -> F: ...
    @overload
    def protect(self, /, *, user: str | None = None) -> Callable[[F], F]: ...
    def protect(self, handler: F | None = None, /, *, user: str | None = None) -> Any:
        """Guard a chat handler: `@guard.protect` or `@guard.protect(user="question")`.

        The handler takes the user's words and returns the bot's reply, or yields it in chunks.
        Callers of the decorated handler get the reply, or the refusal in its place.

        Args:
            handler: a `def` or `async def`; its signature, docstring and kind are kept.
            user: name of the parameter with the user's words; the first `str` argument otherwise.

        Raises:
            InvalidTurnError: at a call, when no argument is a `str` or the reply is not text.
            ConfigError: at once, when the handler has no parameter of that name.
        """

        def decorate(handler: F) -> F:
            return protected(handler, user, self)

        return decorate if handler is None else decorate(handler)

    def close(self) -> None:
        """Give back what the classifier and the hooks hold; the guard is of no use after."""
        if self._borrows:
            return
        try:
            self.classifier.close()
        finally:
            self._hands.recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, user: str, reply: Callable[[], Any]) -> Outcome:
        """Have the bot reply to the user, and decide what the user sees.

        Args:
            user: what the user said.
            reply: returns the bot's reply; not called if the user's turn fails the input stage.

        Raises:
            InvalidTurnError: a message is not a `str`.
        """
        return run(answer(user, self.policy), self._hands, reply)

    async def aanswer(self, user: str, reply: Callable[[], Awaitable[Any]]) -> Outcome:
        """Do what `answer` does, without blocking the event loop."""
        return await arun(answer(user, self.policy), self._hands, reply)

    def _sharing(self, **hands: Any) -> Self:
        other = copy.copy(self)
        other._hands = replace(self._hands, **hands)
        other._borrows = True
        return other

    def _policy(self, check_input: bool) -> Policy:
        skip = self.policy.check_input and not check_input
        return self.policy.model_copy(update={"check_input": False}) if skip else self.policy

    def _window(self, window: Window | EllipsisType | None) -> Window | None:
        if isinstance(window, EllipsisType):
            return self.policy.window
        return None if window is None else _is_a(Window, window)


def _all(pairs: Iterable[tuple[str, str]]) -> list[Conversation]:
    if not isinstance(pairs, Iterable):
        raise InvalidTurnError(f"expected pairs of user and assistant, got {_kind(pairs)}")
    return [exchange(*_pair(pair)) for pair in pairs]


def _pair(pair: tuple[str, str]) -> tuple[str, str]:
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise InvalidTurnError(f"expected a pair of user and assistant, got {_kind(pair)}")
    return pair


def _kind(value: object) -> str:
    return type(value).__name__  # and not the value: nobody has judged it


def _is_a(kind: type[Any], value: T) -> T:
    if not isinstance(value, kind):
        raise ConfigError(f"expected a {kind.__name__}, got {value!r:.80}")
    return value


def _hooks(value: Iterable[Hook]) -> tuple[Hook, ...]:
    if not isinstance(value, Iterable):
        raise ConfigError(f"hooks are a list, hooks=[{value!r:.80}]")
    return tuple(value)


def _record_text(value: RecordText | str) -> RecordText:
    try:
        return RecordText(value)
    except ValueError:
        known = ", ".join(repr(str(name)) for name in RecordText)
        raise ConfigError(f"record_text is one of {known}, not {value!r}") from None


def _embedded() -> Classifier:
    from guardrail.classifiers.embedded import Embedded

    return Embedded()
