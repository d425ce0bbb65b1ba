"""The classifiers that come with the package, each loaded when first named."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guardrail.classifiers.base import Classifier

if TYPE_CHECKING:
    from guardrail.classifiers.cascade import Cascade
    from guardrail.classifiers.embedded import Embedded
    from guardrail.classifiers.fallback import Fallback
    from guardrail.classifiers.kosafeguard import KoSafeGuard
    from guardrail.classifiers.remote import Remote

__all__ = ["Cascade", "Classifier", "Embedded", "Fallback", "KoSafeGuard", "Remote"]

_HOMES = {
    "Cascade": "guardrail.classifiers.cascade",
    "Embedded": "guardrail.classifiers.embedded",
    "Fallback": "guardrail.classifiers.fallback",
    "KoSafeGuard": "guardrail.classifiers.kosafeguard",
    "Remote": "guardrail.classifiers.remote",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
