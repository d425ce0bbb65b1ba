"""What is compared: a classifier with a policy, under a name."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from guardrail.classifiers.base import Classifier
from guardrail.config import ClassifierConfig, Config
from guardrail.errors import ConfigError
from guardrail.policy import Policy

__all__ = ["Candidate"]


_BETWEEN_SETTINGS = re.compile(r",(?=\w+=)")


@dataclass(frozen=True)
class Candidate:
    """One classifier with one policy.

    Args:
        name: how reports call it.
        classifier: judges; or its configuration, by which it is built when its turn comes and
            closed afterwards, so that two large models need not fit in memory together.
        policy: decides.
    """

    name: str
    classifier: Classifier | ClassifierConfig
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def parse(cls, spec: str, policy: Policy | None = None) -> Candidate:
        """Return the candidate that a command line names.

        Args:
            spec: a configuration file, whose policy is taken too; or a classifier as in
                "embedded", "kosafeguard@REVISION", "module:Class", with arguments as in
                "embedded,threshold=0.3"; either after "NAME=".
            policy: decides where no file says how.

        Raises:
            ConfigError: there is no such file, or it is wrong.
        """
        name, place = _named(spec)
        if place.endswith(".toml"):
            config = Config.load(place)
            return cls(name or Path(place).stem, config.classifier, config.policy)
        kind, *settings = _BETWEEN_SETTINGS.split(place)
        kind, at, revision = kind.partition("@")
        arguments: dict[str, Any] = dict(map(_setting, settings))
        if at:
            arguments["revision"] = revision
        try:
            classifier = ClassifierConfig(kind=kind, **arguments)
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ConfigError(f"classifier {place!r}: {said}") from error
        return cls(name or place, classifier, policy or Policy())

    @property
    def identity(self) -> str:
        """Tells classifiers apart; candidates that differ in nothing but policy have the same."""
        if isinstance(self.classifier, Classifier):
            return f"{self.classifier.name} {self.name}"
        return self.classifier.model_dump_json()

    @property
    def slug(self) -> str:
        """The identity as a file name."""
        plain = "".join(char if char.isalnum() else "-" for char in self._kind)[:40]
        return f"{plain}-{hashlib.sha256(self.identity.encode()).hexdigest()[:10]}"

    @property
    def described(self) -> str:
        """What it is, in one line for people."""
        if isinstance(self.classifier, Classifier):
            return self._kind
        settings = self.classifier.model_dump(exclude_defaults=True, exclude={"kind"})
        return ", ".join([self._kind, *(f"{name}={value}" for name, value in settings.items())])

    @property
    def _kind(self) -> str:
        if isinstance(self.classifier, Classifier):
            return self.classifier.name
        return self.classifier.kind

    def check(self) -> None:
        """Raise unless the classifier takes its arguments, without building it.

        Raises:
            ConfigError: it does not, or there is no such classifier.
        """
        if isinstance(self.classifier, ClassifierConfig):
            try:
                self.classifier.check()
            except ConfigError as error:
                raise ConfigError(f"{self.name}: {error}") from None

    @contextmanager
    def opened(self) -> Iterator[Classifier]:
        """Have the classifier ready; one that is built here is closed here."""
        if isinstance(self.classifier, Classifier):
            yield self.classifier
            return
        classifier = self.classifier.build()
        try:
            yield classifier
        finally:
            classifier.close()


def _named(spec: str) -> tuple[str, str]:
    head, equals, rest = spec.partition("=")
    if equals and not set(head) & set(",@:"):
        return head, rest
    return "", spec


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return name, value
