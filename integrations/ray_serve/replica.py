"""One replica: a classifier of its own, which many gateways ask."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from guardrail.asking import aask, ask
from guardrail.config import ClassifierConfig
from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    ClassifierTimeout,
    ClassifierUnavailable,
)
from guardrail.flow import Categorise, Classify
from guardrail.integrations.ray_serve.batches import batched
from guardrail.types import Conversation, exchange

__all__ = ["Judge"]

_KINDS = (ClassifierTimeout, ClassifierProtocolError, ClassifierUnavailable)
_PROBE = Classify([exchange("", "ok")], 10.0)


class Judge:
    """Answers calls from other processes.

    Args:
        config: the classifier to build.

    Raises:
        GuardrailError: it cannot be built; the deployment then fails, and says so.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        classifier = config.build()
        self._classifier = batched(classifier)
        self._has_worked = False
        self._ails = False
        with suppress(ClassifierError):  # a server that it asks may be up later than this is
            ask(_PROBE, classifier)  # what is loaded late is loaded before the first caller waits
            self._has_worked = True

    async def classify_many(
        self, conversations: Sequence[Conversation], seconds: float
    ) -> list[Any] | ClassifierError:
        """Return the verdicts, or why there are none."""
        return await self._answered(Classify(conversations, seconds))

    async def categorise(
        self, conversations: Sequence[Conversation], seconds: float
    ) -> list[Any] | ClassifierError:
        """Return the categories, or why there are none."""
        return await self._answered(Categorise(conversations, seconds))

    async def check_health(self) -> None:
        """Fail once the classifier, having worked, cannot any more: another replica is started.

        Nothing is asked while all is well, so that a check never waits behind the work.
        """
        if self._has_worked and self._ails:
            answers = await self._answered(_PROBE)
            if isinstance(answers, ClassifierUnavailable):
                raise answers

    async def _answered(self, question: Classify | Categorise) -> list[Any] | ClassifierError:
        try:
            answers: list[Any] = await aask(question, self._classifier)
        except ClassifierError as error:
            self._ails = isinstance(error, ClassifierUnavailable)
            return _portable(error)
        self._has_worked, self._ails = True, False
        return answers


def _portable(error: ClassifierError) -> ClassifierError:
    """Return the error as it can cross to another process: its causes may not."""
    kind = next((kind for kind in _KINDS if isinstance(error, kind)), ClassifierError)
    return kind(str(error))
