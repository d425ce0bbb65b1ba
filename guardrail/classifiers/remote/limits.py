"""How much is asked of a server, and how much has been."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits", "Stats"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a process asks of a server.

    Args:
        timeout: seconds that one request may take.
        max_retries: requests after a failed one, where the failure may pass.
        concurrency: requests at once.
        queue: calls that may wait for others; further ones fail at once.
        failures: in a row, after which the server is left alone.
        rest: seconds for which it is.
    """

    timeout: float
    max_retries: int
    concurrency: int
    queue: int
    failures: int
    rest: float

    @property
    def seconds(self) -> float:
        """How long a request and all that repeat it may take."""
        return self.timeout * (self.max_retries + 1)


@dataclass(slots=True)
class Stats:
    """What has been asked so far.

    Args:
        requests: sent, repeated ones too.
        answers: read.
        prompt_tokens: of all answers, as the server counts.
        cached_tokens: of these, those that the server had read before.
        rejected: calls that found the queue full.
    """

    requests: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    rejected: int = 0
