"""The classifier that comes with the package: small, fast, Korean first."""

from guardrail.classifiers.embedded.classifier import Embedded

__all__ = ["Embedded"]
