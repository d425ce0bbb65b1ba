"""What the doctor finds, on models that fit a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardrail import doctor
from guardrail.bench.models import tokenizer_like_llama3
from tests.unit.kosafeguard.llamas import lively_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("model")
    lively_llama().save_pretrained(place)
    tokenizer_like_llama3().save_pretrained(place)
    return place


def found(report: doctor.Report) -> dict[str, bool | None]:
    return {finding.subject: finding.fine for finding in report.findings}


def test_weights_that_are_not_here(tmp_path: Path) -> None:
    """Missing weights are found without asking the network, with the command that gets them."""
    report = doctor.report(str(tmp_path), device="cpu")

    assert found(report)["weights"] is False
    assert "hf download" in str(report)
    assert not report.ok


def test_weights_that_are_here(folder: Path) -> None:
    """Complete weights and enough memory are found to be so."""
    report = doctor.report(str(folder), device="cpu", quantization=None, examples=False)

    assert found(report)["weights"] is True
    assert found(report)["memory"] is True
    assert report.ok


def test_a_missing_part_of_the_weights(folder: Path, tmp_path: Path) -> None:
    """Weights in several files are here when every one is."""
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part-2"}}')

    assert "part-2 is missing" in str(doctor.report(str(tmp_path), device="cpu"))


def test_too_little_memory(folder: Path) -> None:
    """A cache that no memory holds is found before anything is loaded."""
    report = doctor.report(str(folder), device="cpu", quantization=None, cache_tokens=10**12)

    assert found(report)["memory"] is False
    assert "cache_tokens" in str(report)


def test_the_cards_examples(folder: Path) -> None:
    """The examples are run where that is possible; a model that is not KoSafeGuard fails them."""
    report = doctor.report(str(folder), device="cpu", quantization=None)

    assert found(report)["card examples"] is False
    assert "labels" in str(report)


def test_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a library the rest is not looked at, and the extra is named."""
    monkeypatch.setattr(doctor, "_LIBRARIES", ("torch", "no-such-library"))
    report = doctor.report()

    assert report.findings[-1].fine is False
    assert "guardrail-ko[kosafeguard]" in str(report)
