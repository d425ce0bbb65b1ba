"""The classifier: conversations in, verdicts out, through a server that others may share."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal

from guardrail.classifiers.labelled import Labelled, Reading, Render
from guardrail.classifiers.remote.answers import Answers
from guardrail.classifiers.remote.limits import Limits, Stats
from guardrail.classifiers.remote.server import Server
from guardrail.classifiers.remote.session import Session
from guardrail.classifiers.remote.writing import LLAMA3, Ids, Message, Prompt, Text, Writing
from guardrail.classifiers.windows import in_windows
from guardrail.deadline import seconds_left
from guardrail.errors import ConfigError
from guardrail.prompt import render
from guardrail.taxonomy import KOSAFEGUARD, Taxonomy
from guardrail.types import Conversation

__all__ = ["Remote"]

_PATIENCE_S = 1.0  # after which a session that ended no call in time is stuck
_MARGIN_S = 0.05  # before whoever asked gives up, so that the error says what was waited for


class Remote(Labelled[Prompt]):
    """Judges with KoSafeGuard, or a model like it, on an OpenAI-compatible server.

    One token is asked for, and the score is the softmax over the log-probabilities of the two
    labels. What may pass is tried again; a server that keeps failing is left alone for a while; and
    no call takes longer than `timeout` for each of its tries, or than the policy allows.

    Args:
        base_url: of the API, such as "http://localhost:8000/v1".
        model: by its name on that server.
        api_key: sent as a bearer token; none unless given.
        mode: "chat" leaves the chat template to the server; "completion" writes it here.
        tokenizer: path of the model's tokenizer.json, or its folder: prompts are then sent as
            token ids, and windows are exactly the local engine's. Only for "completion".
        template: around a prompt in "completion", with `{prompt}` where it goes.
        timeout: seconds that one request may take.
        max_retries: requests after a failed one, while there is time.
        concurrency: requests at once; what the server can batch.
        queue: calls that may wait behind these; further ones fail at once.
        failures: in a row, after which the server is left alone.
        rest: seconds for which it is; then one request tries.
        context_tokens: the longest prompt that the server takes. Longer conversations are judged
            in overlapping windows, and the worst counts. Without a tokenizer every byte counts
            as a token, so that no server cuts what it is sent.
        threshold: the score from which on a reply is unsafe.
        min_label_mass: probability that both labels must have together.
        taxonomy: the policy that the prompt states.
        labels: how the model answers safe and unsafe; one token each.
        render: writes the prompt.

    Raises:
        ConfigError: an argument is wrong.
        MissingExtraError: a library is not installed.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        mode: Literal["chat", "completion"] = "chat",
        tokenizer: str | Path | None = None,
        template: str = LLAMA3,
        timeout: float = 5.0,
        max_retries: int = 2,
        concurrency: int = 16,
        queue: int = 1024,
        failures: int = 5,
        rest: float = 10.0,
        context_tokens: int = 8192,
        threshold: float = 0.5,
        min_label_mass: float = 0.5,
        taxonomy: Taxonomy = KOSAFEGUARD,
        labels: tuple[str, str] = ("safe", "unsafe"),
        render: Render = render,
    ) -> None:
        super().__init__(
            taxonomy=taxonomy, threshold=threshold, min_label_mass=min_label_mass, labels=labels
        )
        self._base_url, self._api_key = _checked_url(base_url), _checked_key(api_key)
        self._answers = Answers(model, self._labels)
        self._writing = _writing(mode, tokenizer, template)
        self._render = render
        self._context_tokens = context_tokens
        self._limits = _checked(Limits(timeout, max_retries, concurrency, queue, failures, rest))
        self._lock = threading.Lock()
        self._session = self._new_session()

    @property
    def name(self) -> str:
        """How records and verdicts call this classifier."""
        return f"remote:{self._answers.model}"

    @property
    def keeps_time(self) -> bool:
        """Whether a caller's own thread may wait: every call ends in time."""
        return True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._base_url!r}, {self._answers.model!r})"

    @property
    def stats(self) -> Stats:
        """What has been asked so far, in this process."""
        return self._own_session().stats

    @property
    def circuit_open(self) -> bool:
        """Whether the server is left alone now, since it failed."""
        return self._own_session().circuit_open

    def prompts(self, conversation: Conversation, taxonomy: Taxonomy | None = None) -> list[Prompt]:
        """Return what the model is sent for a conversation: one prompt, or one per window."""
        policy = taxonomy or self._taxonomy
        return in_windows(
            self._writing.plain(conversation),
            encode=lambda part: self._writing.prompt(self._render(part, taxonomy=policy)),
            size=lambda prompt: prompt.most,
            starts=self._writing.starts,
            limit=self._context_tokens - 1,  # and the answer
        )

    def close(self) -> None:
        """Close every connection; what is under way, and calls after this, fail."""
        self._own_session().close()

    def _read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        session, since = self._own_session(), time.monotonic()
        until = self._until(since, len(prompts))
        with session.line.admitted():
            asked = session.submit(prompts, since, until)
            try:
                return asked.result(max(0.0, until - time.monotonic()) + _PATIENCE_S)
            except BaseException:
                asked.cancel()
                raise

    async def _aread(self, write: Callable[[], Awaitable[Sequence[Prompt]]]) -> list[Reading]:
        session, since = self._own_session(), time.monotonic()
        with session.line.admitted():
            async with session.line.near(self._until(since, 1)):
                prompts = await write()
                asked = session.submit(prompts, since, self._until(since, len(prompts)))
                return await asyncio.wrap_future(asked)

    def _until(self, since: float, prompts: int) -> float:
        """Return when the answers must be there: as the asker says, or after all tries."""
        left = seconds_left()
        if left is None:
            return since + self._limits.seconds * max(1, prompts)
        return time.monotonic() + left - min(_MARGIN_S, left / 10)

    def _own_session(self) -> Session:
        """Return this process's session: a forked one has its parent's sockets, but no loop."""
        if self._session.process != os.getpid():
            with self._lock:
                if self._session.process != os.getpid():
                    self._session = self._new_session()
        return self._session

    def _new_session(self) -> Session:
        server = Server(
            self._base_url,
            self._answers,
            api_key=self._api_key,
            chat=self._writing.chat,
        )
        session = Session(server, self._limits)
        weakref.finalize(self, session.close)
        return session


def _writing(mode: str, tokenizer: str | Path | None, template: str) -> Writing:
    if mode not in ("chat", "completion"):
        raise ConfigError(f"mode is {mode!r}; it must be 'chat' or 'completion'")
    if mode == "chat":
        if tokenizer is not None:
            raise ConfigError("in chat mode the server tokenizes; pass mode='completion'")
        return Message()
    return Text(template) if tokenizer is None else Ids(tokenizer, template)


def _checked_url(base_url: str) -> str:
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(f"base_url is {base_url!r}; it must begin with http:// or https://")
    if "@" in base_url.split("/")[2]:
        raise ConfigError("base_url holds a password, which messages would show; pass api_key")
    return base_url


def _checked_key(api_key: str | None) -> str | None:
    if not isinstance(api_key, str | None):
        raise ConfigError(
            f"api_key is of type {type(api_key).__name__}, not str; an environment variable that "
            "reads as a number needs quotes inside"
        )
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise ConfigError("api_key holds what no header can: a line break, or more than ASCII")
    return api_key


def _checked(limits: Limits) -> Limits:
    for name in ("timeout", "rest"):
        if not getattr(limits, name) > 0:
            raise ConfigError(f"{name} is {getattr(limits, name)!r}; it must be above 0 seconds")
    for name, least in (("max_retries", 0), ("concurrency", 1), ("queue", 0), ("failures", 1)):
        if not getattr(limits, name) >= least:
            raise ConfigError(f"{name} is {getattr(limits, name)!r}; it must be {least} or more")
    return limits
