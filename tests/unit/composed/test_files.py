"""Remote, fallback and cascade from a file and from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail import ConfigError, Guard
from guardrail.classifiers import Cascade, Embedded, Fallback
from guardrail.config import Config

FALLBACK = """
[classifier]
kind = "fallback"
share = 0.6
[[classifier.classifiers]]
kind = "guardrail.testing:StubClassifier"
unsafe = "BAD"
[[classifier.classifiers]]
kind = "embedded"
"""
CASCADE = """
[classifier]
kind = "cascade"
band = [0.1, 0.8]
[classifier.cheap]
kind = "embedded"
[classifier.strong]
kind = "fallback"
classifiers = [{ kind = "guardrail.testing:StubClassifier" }, { kind = "embedded" }]
"""


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "guardrail.toml"
    path.write_text(text, "utf-8")
    return Config.load(path)


def test_a_fallback_from_a_file(tmp_path: Path) -> None:
    """An array of tables is the classifiers, in order."""
    classifier = load(tmp_path, FALLBACK).classifier.build()

    assert isinstance(classifier, Fallback)
    assert [type(one).__name__ for one in classifier.classifiers] == ["StubClassifier", "Embedded"]
    assert Guard(classifier).check(user="a", assistant="BAD").blocked


def test_a_cascade_from_a_file(tmp_path: Path) -> None:
    """A table with a kind is a classifier, however deep."""
    classifier = load(tmp_path, CASCADE).classifier.build()

    assert isinstance(classifier, Cascade)
    assert isinstance(classifier.classifiers[0], Embedded)
    assert isinstance(classifier.classifiers[1], Fallback)


def test_a_remote_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key comes from the environment, also within another."""
    pytest.importorskip("openai")
    monkeypatch.setenv("GUARDRAIL_CLASSIFIER__STRONG__API_KEY", "k-1")
    monkeypatch.setenv("GUARDRAIL_CLASSIFIER__STRONG__TIMEOUT", "2.5")
    text = (
        '[classifier]\nkind = "cascade"\n[classifier.cheap]\nkind = "embedded"\n'
        '[classifier.strong]\nkind = "remote"\nbase_url = "http://localhost:8000/v1"\n'
        'model = "kosafeguard"\nlabels = ["safe", "unsafe"]\n'
    )
    classifier = load(tmp_path, text).classifier.build()

    assert classifier.name == "cascade(embedded, remote:kosafeguard)"
    classifier.close()


@pytest.mark.parametrize(
    "text",
    [
        '[classifier]\nkind = "fallback"\nclassifiers = []',
        '[classifier]\nkind = "fallback"\nclassifiers = [{ kind = "nobody" }]',
        '[classifier]\nkind = "cascade"\nband = [1, 0]\ncheap = {kind="embedded"}\nstrong = {kind="embedded"}',
        '[classifier]\nkind = "cascade"\n[classifier.cheap]\nkind = "embedded"',
        '[classifier]\nkind = "remote"',
    ],
)
def test_what_cannot_be_built_is_said(text: str, tmp_path: Path) -> None:
    """A mistake in an inner table is a configuration error like any other."""
    with pytest.raises(ConfigError):
        load(tmp_path, text).classifier.build()


def test_a_file_says_all_of_it_again(tmp_path: Path) -> None:
    """What is written out reads back the same."""
    config = load(tmp_path, CASCADE)

    assert load(tmp_path, config.to_toml()).classifier == config.classifier
