"""The guard: what users hold, and the sync and async forms of everything it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from os import PathLike
from typing import Any, Self, TypeVar, overload

from guardrail import flow
from guardrail.audit import Hook, Recorder, RecordText
from guardrail.classifiers.base import Classifier
from guardrail.policy import Policy
from guardrail.protect import protected
from guardrail.pump import Hands, arun, run
from guardrail.types import Conversation, Outcome, Turn, exchange, question

__all__ = ["Guard"]

F = TypeVar("F", bound=Callable[..., Any])


class Guard:
    """Judges replies and decides what the user sees.

    One guard serves any number of threads, event loops and conversations at once.

    Args:
        classifier: judges the turns; the embedded one unless given.
        policy: what is done about verdicts.
        hooks: take the record of every decision.
        record_text: how much of the conversation the records hold.
    """

    def __init__(
        self,
        classifier: Classifier | None = None,
        policy: Policy | None = None,
        *,
        hooks: Iterable[Hook] = (),
        record_text: RecordText | str = RecordText.NONE,
    ) -> None:
        self.classifier = _embedded() if classifier is None else classifier
        self.policy = Policy() if policy is None else policy
        self._hands = Hands(self.classifier, Recorder(tuple(hooks), RecordText(record_text)))

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
            config.classifier.build(),
            config.policy,
            hooks=config.audit.hooks(),
            record_text=config.audit.text,
        )

    def check(self, *, user: str, assistant: str, history: Iterable[Turn] = ()) -> Outcome:
        """Judge one reply and decide what the user sees.

        Args:
            user: what the user said.
            assistant: the reply to it.
            history: the turns before; classifiers made for one exchange leave them aside.

        Raises:
            InvalidTurnError: a message is not a `str`.
        """
        return run(flow.review(exchange(user, assistant, history), self.policy), self._hands)

    async def acheck(self, *, user: str, assistant: str, history: Iterable[Turn] = ()) -> Outcome:
        """Do what `check` does, without blocking the event loop."""
        return await arun(flow.review(exchange(user, assistant, history), self.policy), self._hands)

    def check_input(self, *, user: str, history: Iterable[Turn] = ()) -> Outcome:
        """Judge what the user said, before the bot replies to it; see `Policy.check_input`."""
        return run(flow.review(question(user, history), self.policy), self._hands)

    async def acheck_input(self, *, user: str, history: Iterable[Turn] = ()) -> Outcome:
        """Do what `check_input` does, without blocking the event loop."""
        return await arun(flow.review(question(user, history), self.policy), self._hands)

    def check_many(self, exchanges: Iterable[tuple[str, str]]) -> list[Outcome]:
        """Judge many (user, assistant) pairs in one batch; outcomes come in the same order.

        Where the classifier fails, it fails for the whole batch.
        """
        return run(flow.review_many(_all(exchanges), self.policy), self._hands)

    async def acheck_many(self, exchanges: Iterable[tuple[str, str]]) -> list[Outcome]:
        """Do what `check_many` does, without blocking the event loop."""
        return await arun(flow.review_many(_all(exchanges), self.policy), self._hands)

    @overload
    def protect(self, handler: F, /) -> F: ...
    @overload
    def protect(self, /, *, user: str | None = None) -> Callable[[F], F]: ...
    def protect(self, handler: F | None = None, /, *, user: str | None = None) -> Any:
        """Guard a chat handler: `@guard.protect` or `@guard.protect(user="question")`.

        The handler takes the user's words and returns the bot's reply. Callers of the decorated
        handler get the reply, or the refusal in its place.

        Args:
            handler: a `def` or `async def`; its signature, docstring and kind are kept.
            user: name of the parameter with the user's words; the first `str` argument otherwise.

        Raises:
            InvalidTurnError: at a call, when no argument is a `str` or the reply is not text.
            ConfigError: at once, when the handler has no parameter of that name.
            UnguardedCall: at once, when the handler is of a kind that cannot be guarded.
        """

        def decorate(handler: F) -> F:
            return protected(handler, user, self._answer, self._aanswer)

        return decorate if handler is None else decorate(handler)

    def close(self) -> None:
        """Give back what the classifier and the hooks hold; the guard is of no use after."""
        self.classifier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, user: str, reply: Callable[[], Any]) -> str:
        return run(flow.answer(user, self.policy), self._hands, reply).text

    async def _aanswer(self, user: str, reply: Callable[[], Awaitable[Any]]) -> str:
        return (await arun(flow.answer(user, self.policy), self._hands, reply)).text


def _all(exchanges: Iterable[tuple[str, str]]) -> list[Conversation]:
    return [exchange(user, assistant) for user, assistant in exchanges]


def _embedded() -> Classifier:
    from guardrail.classifiers.embedded import Embedded

    return Embedded()
