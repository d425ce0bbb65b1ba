"""The classifier: conversations in, verdicts out, through whichever replica is the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError
from ray.serve.exceptions import BackPressureError, RayServeException, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from guardrail.classifiers.base import Classifier
from guardrail.deadline import seconds_left
from guardrail.errors import ClassifierError, ClassifierTimeout, ClassifierUnavailable
from guardrail.integrations.ray_serve.routing import key_of
from guardrail.types import Category, Conversation, Verdict

__all__ = ["Replicas"]

T = TypeVar("T")

_TRIES = 3  # not more: a text that ends whoever reads it should not end all of them
_TOGETHER = 32  # conversations in one call; more are divided among replicas
_LEFT = (ActorDiedError, ActorUnavailableError, RequestCancelledError)


class Replicas(Classifier):
    """Judges with the replicas of a deployment, on whatever machines they are.

    Calls about one conversation prefer one replica, which has its prefix cached. A replica that
    dies takes no call with it: another is asked, as long as there is time.

    Args:
        handle: of a deployment made by `classifier`.
        name: in records; a verdict says who gave it.
        timeout: seconds an answer may take where the asker sets no limit.
    """

    def __init__(
        self, handle: DeploymentHandle[Any], *, name: str = "ray", timeout: float = 30.0
    ) -> None:
        self._handle = handle
        self._name = name
        self._timeout = timeout

    @property
    def name(self) -> str:
        """How records call this classifier; a verdict says who gave it."""
        return self._name

    @property
    def keeps_time(self) -> bool:
        """Whether a caller's own thread may wait: every call ends in time."""
        return True

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation, in the same order."""
        return self._waited(self.aclassify_many(conversations))

    async def aclassify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Return one verdict per conversation; cancelling takes back what still waits.

        Raises:
            ClassifierTimeout: none came in time.
            ClassifierUnavailable: no replica can take the call, or several died of it.
        """
        return await self._ask("classify_many", conversations)

    def categorise(self, conversations: Sequence[Conversation]) -> list[Mapping[Category, float]]:
        """Return the probability of each category, for conversations already found unsafe."""
        return self._waited(self.acategorise(conversations))

    async def acategorise(
        self, conversations: Sequence[Conversation]
    ) -> list[Mapping[Category, float]]:
        """Return the probability of each category; cancelling takes back what still waits."""
        return await self._ask("categorise", conversations)

    def _waited(self, answering: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine comes to, on a thread that has no event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(answering)
        answered: T = self.workers.submit(asyncio.run, answering).result()
        return answered

    async def _ask(self, method: str, conversations: Sequence[Conversation]) -> list[Any]:
        left = seconds_left()
        seconds = self._timeout if left is None else left
        try:
            async with asyncio.timeout(seconds):
                return await self._divided(method, conversations, seconds)
        except TimeoutError:
            raise ClassifierTimeout(f"no replica answered within {seconds:.3g} s") from None

    async def _divided(
        self, method: str, conversations: Sequence[Conversation], seconds: float
    ) -> list[Any]:
        starts = range(0, len(conversations), _TOGETHER)
        parts = [conversations[start : start + _TOGETHER] for start in starts]
        asked = [asyncio.create_task(self._answered(method, part, seconds)) for part in parts]
        try:
            return [answer for answers in await asyncio.gather(*asked) for answer in answers]
        finally:  # where one part fails, or the caller leaves, nobody waits for the others
            for task in asked:
                task.cancel()

    async def _answered(
        self, method: str, conversations: Sequence[Conversation], seconds: float
    ) -> list[Any]:
        handle = self._handle.options(method_name=method, session_id=key_of(conversations[0]))
        try:
            answers = await _tried(handle, conversations, seconds)
        except BackPressureError as error:
            raise ClassifierUnavailable(
                "every replica has all the calls that it takes, and as many wait as may: more "
                "replicas are needed (max_replicas), or a longer queue (max_queued_requests)"
            ) from error
        except (RayError, RayServeException) as error:
            raise ClassifierUnavailable(f"the replicas cannot be asked: {error}") from error
        if isinstance(answers, ClassifierError):
            raise answers
        return list(answers)


async def _tried(handle: DeploymentHandle[Any], *call: Any) -> Any:
    """Return the answer to a call, from another replica where one died before it answered."""
    for _ in range(_TRIES - 1):
        with suppress(*_LEFT):
            return await _once(handle, *call)
    return await _once(handle, *call)


async def _once(handle: DeploymentHandle[Any], *call: Any) -> Any:
    # In a context of its own: Serve knows a call by the request in whose context it is made, and
    # of two that one request makes at once, its routers lose one.
    response = Context().run(handle.remote, *call)
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()  # type: ignore[no-untyped-call]  # Ray leaves it so
        raise
