"""Every error the package raises on purpose.

GuardrailError
├── ConfigError                   a configuration file, variable or argument is wrong
├── InvalidTurnError              a message is not text, or a conversation is not judgeable
├── UnguardedCall                 this call would show a reply that nobody judged
├── MissingExtraError             an optional library is not installed
└── ClassifierError               no verdict could be had; the policy decides what happens
    ├── ClassifierTimeout         none came in time
    ├── ClassifierProtocolError   the answer was no verdict
    └── ClassifierUnavailable     the classifier cannot work: weights, device, network, closed
"""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "ClassifierError",
    "ClassifierProtocolError",
    "ClassifierTimeout",
    "ClassifierUnavailable",
    "ConfigError",
    "GuardrailError",
    "InvalidTurnError",
    "MissingExtraError",
    "UnguardedCall",
    "causes",
    "first_line",
    "needing",
]


class GuardrailError(Exception):
    """Base of all errors of this package."""


class ConfigError(GuardrailError):
    """A setting is wrong; the message names its place and what would be right."""


class InvalidTurnError(GuardrailError, ValueError):
    """A message is not text, or a conversation has no turn to judge."""


class UnguardedCall(GuardrailError):
    """The call would hand over a reply that cannot be judged, so it is refused."""


class MissingExtraError(GuardrailError, ImportError):
    """An optional library is missing."""

    def __init__(self, *, library: str, extra: str) -> None:
        self.library = library
        self.extra = extra
        super().__init__(
            f"{library!r} is not installed; it comes with: pip install 'guardrail-ko[{extra}]'"
        )


class ClassifierError(GuardrailError):
    """The classifier gave no verdict."""


class ClassifierTimeout(ClassifierError):
    """The classifier gave no verdict in time."""


class ClassifierProtocolError(ClassifierError):
    """The classifier answered something that is not a verdict."""


class ClassifierUnavailable(ClassifierError):
    """The classifier cannot work here and now; the message says what to do."""


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Say which extra brings a library that is imported here, and missing.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("guardrail"):
            raise
        raise MissingExtraError(library=error.name.partition(".")[0], extra=extra) from error


def causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and what led to it, the innermost first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain[::-1]


def first_line(error: BaseException) -> str:
    """Return what an error says, without what it goes on to explain."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
