"""Two classifiers: a cheap one for what is clear, a strong one for what is not."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from guardrail.classifiers.base import Classifier
from guardrail.classifiers.composed import Asking, Composed
from guardrail.deadline import seconds_left
from guardrail.errors import ClassifierError, ConfigError
from guardrail.flow import Categorise, Classify
from guardrail.types import Category, Conversation, Verdict

__all__ = ["Cascade", "Saving"]

_logger = logging.getLogger("guardrail")
_CHEAP_SHARE = 0.5  # of the time that is left, what the cheap one may take


@dataclass(frozen=True, slots=True)
class Saving:
    """What a cascade has saved so far.

    Args:
        judged: turns in all.
        strong: of these, those that the strong classifier was asked about.
    """

    judged: int = 0
    strong: int = 0

    @property
    def share(self) -> float:
        """Share of turns that the strong classifier was spared, 0 to 1."""
        return 1 - self.strong / self.judged if self.judged else 0.0


class Cascade(Composed):
    """Judges with the cheap classifier; where its score lies in the band, with the strong one.

    Where the strong one fails there is no verdict: an unclear one never counts. Where the cheap
    one fails, the strong one judges all.

    Args:
        cheap: asked about every turn; such as the embedded classifier.
        strong: asked about what is unclear; such as KoSafeGuard.
        band: scores from and up to which a turn is unclear. Below it a turn is safe for good, so
            measure on data like yours how much is missed there.

    Raises:
        ConfigError: the band is not two scores in order.
    """

    def __init__(
        self, cheap: Classifier, strong: Classifier, *, band: tuple[float, float] = (0.05, 0.95)
    ) -> None:
        low, high = band
        if not 0.0 <= low <= high <= 1.0:
            raise ConfigError(f"band is {band!r}; it must be two scores from 0 to 1, in order")
        super().__init__((cheap, strong))
        self._cheap, self._strong = cheap, strong
        self._low, self._high = low, high
        self._saving = Saving()
        self._lock = Lock()

    @property
    def saving(self) -> Saving:
        """What has been saved so far."""
        return self._saving

    def _classifying(self, conversations: Sequence[Conversation]) -> Asking[list[Verdict]]:
        verdicts = yield from self._first_look(conversations)
        unclear = [place for place, verdict in enumerate(verdicts) if not self._is_clear(verdict)]
        self._count(len(conversations), len(unclear))
        if unclear:
            asked = [conversations[place] for place in unclear]
            answers = yield Classify(asked, seconds_left()), self._strong
            for place, verdict in zip(unclear, answers, strict=True):
                verdicts[place] = verdict
        return [verdict for verdict in verdicts if verdict is not None]

    def _categorising(
        self, conversations: Sequence[Conversation]
    ) -> Asking[list[Mapping[Category, float]]]:
        return list((yield Categorise(conversations, seconds_left()), self._strong))

    def _first_look(self, conversations: Sequence[Conversation]) -> Asking[list[Verdict | None]]:
        """Return the cheap classifier's verdicts, or none of them."""
        left = seconds_left()
        seconds = None if left is None else left * _CHEAP_SHARE
        try:
            verdicts = list((yield Classify(conversations, seconds), self._cheap))
        except ClassifierError as error:
            _logger.warning(
                "%s failed, %s judges all: %s", self._cheap.name, self._strong.name, error
            )
            return [None] * len(conversations)
        return verdicts

    def _is_clear(self, verdict: Verdict | None) -> bool:
        """Whether a verdict lies outside the band, on the side that it says."""
        if verdict is None:
            return False
        return verdict.score > self._high if verdict.unsafe else verdict.score < self._low

    def _count(self, judged: int, strong: int) -> None:
        with self._lock:
            so_far = self._saving
            self._saving = Saving(so_far.judged + judged, so_far.strong + strong)
