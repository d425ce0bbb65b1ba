"""KoSafeGuard-8B as its card runs it, with the same answers, several times faster."""

from guardrail.errors import needing

with needing("kosafeguard"):
    from guardrail.classifiers.kosafeguard.card import card_examples
    from guardrail.classifiers.kosafeguard.classifier import KoSafeGuard
    from guardrail.classifiers.kosafeguard.load import MODEL, Loaded

__all__ = ["MODEL", "KoSafeGuard", "Loaded", "card_examples"]
