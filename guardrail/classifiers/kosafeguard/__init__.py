"""KoSafeGuard-8B as its card runs it, with the same answers, several times faster."""

from guardrail.errors import MissingExtraError

try:
    from guardrail.classifiers.kosafeguard.card import card_examples
    from guardrail.classifiers.kosafeguard.classifier import KoSafeGuard
    from guardrail.classifiers.kosafeguard.load import MODEL, Loaded
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("guardrail"):
        raise
    raise MissingExtraError(library=error.name, extra="kosafeguard") from error

__all__ = ["MODEL", "KoSafeGuard", "Loaded", "card_examples"]
