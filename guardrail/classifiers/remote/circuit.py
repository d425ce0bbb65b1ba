"""A circuit breaker: a server that is down is left alone for a while, then tried by one call."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from circuitbreaker import CircuitBreaker  # type: ignore[import-untyped]  # it ships no types

from guardrail.classifiers.remote.failures import CutShort
from guardrail.errors import ClassifierError, ClassifierTimeout, ClassifierUnavailable

__all__ = ["Circuit"]

_logger = logging.getLogger("guardrail")


class Circuit:
    """Lets requests through unless the last ones all failed; used on one thread.

    The library's own decorator takes a cancelled call for a success and lets everybody try at
    once when the rest is over. So it is told of each result here, of a cancelled call nothing, and
    one request at a time tries whether the server is back.

    Args:
        server: for messages.
        failures: in a row that open the circuit.
        rest: seconds that it stays open.
    """

    def __init__(self, server: str, *, failures: int, rest: float) -> None:
        self._server = server
        self._breaker = CircuitBreaker(
            failure_threshold=failures, recovery_timeout=rest, expected_exception=ClassifierError
        )
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether requests are refused now."""
        return bool(self._breaker.opened)

    @property
    def is_tried(self) -> bool:
        """Whether a request is under way that finds out if the server is back."""
        return self._trying

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch one request.

        Raises:
            ClassifierUnavailable: the circuit is open.
        """
        trial = not self._breaker.closed
        if trial:
            self._admit()
        self._trying = self._trying or trial
        try:
            yield
        except CutShort:
            raise
        except (ClassifierTimeout, ClassifierUnavailable) as error:
            self._failed(error)
            raise
        except ClassifierError:  # the server is there, whatever it says
            self._succeeded()
            raise
        else:
            self._succeeded()
        finally:
            self._trying = self._trying and not trial

    def _admit(self) -> None:
        if self.is_open or self._trying:
            raise ClassifierUnavailable(
                f"{self._server} is left alone for now, since it failed: "
                f"{self._breaker.last_failure}"
            )

    def _succeeded(self) -> None:
        if not self._breaker.closed:
            _logger.warning("%s answers again", self._server)
        self._breaker.reset()

    def _failed(self, error: ClassifierError) -> None:
        was_open = not self._breaker.closed
        try:
            with self._breaker:
                raise error
        except ClassifierError:
            pass
        if self.is_open and not was_open:
            _logger.warning("%s is left alone for a while: %s", self._server, error)
