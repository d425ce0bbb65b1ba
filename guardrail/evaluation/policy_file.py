"""Thresholds into a policy file, with the evidence as comments, and all else left as it stands."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guardrail.config import ClassifierConfig, Config
from guardrail.errors import ConfigError, MissingExtraError
from guardrail.evaluation.calibration import Calibration, Evidence
from guardrail.evaluation.candidates import Candidate
from guardrail.evaluation.figures import shown
from guardrail.types import Category

try:
    import tomlkit
    from tomlkit.items import Table
except ModuleNotFoundError as error:
    raise MissingExtraError(library="tomlkit", extra="eval") from error

__all__ = ["evidence_lines", "write_policy"]

_MARK = "# calibrate: "


def write_policy(
    calibration: Calibration, path: str | Path, candidate: Candidate | None = None
) -> None:
    """Write what was chosen into a configuration file; make one if there is none.

    Comments, order and all other settings stay. What an earlier calibration wrote is replaced.

    Args:
        calibration: what was chosen.
        path: of the file.
        candidate: the classifier that was judged, for a file that names none.

    Raises:
        ConfigError: the file is wrong, or cannot be written.
    """
    place = Path(path)
    document = tomlkit.parse(_without_evidence(_read(place)))
    _write_classifier(_table(document, "classifier"), calibration, candidate)
    policy = _table(document, "policy")
    _put(policy, "threshold", round(calibration.rule.threshold, 6), evidence_lines(calibration))
    for category in Category:
        _write_category(policy, category, calibration)
    _replace(place, tomlkit.dumps(document))


def evidence_lines(calibration: Calibration) -> list[str]:
    """Return what speaks for the overall threshold, a line each."""
    data = ", ".join(calibration.data)
    lines = [
        f"{calibration.created}, for {calibration.target}, on {calibration.rows:,} rows "
        f"({calibration.unsafe:,} unsafe) of {data}",
        f"on these rows: {_told(calibration.chosen_on)}",
    ]
    if calibration.held_out is not None:
        lines.append(f"on rows it was not chosen on (5 folds): {_told(calibration.held_out)}")
    if calibration.other_way is not None:
        how = "no thresholds" if calibration.rule.own else "thresholds"
        lines.append(f"with {how} of single categories: {_told(calibration.other_way)}")
    return lines


def _told(evidence: Evidence) -> str:
    named = (
        ("recall", evidence.recall),
        ("false alarms", evidence.false_alarms),
        ("precision", evidence.precision),
    )
    return ", ".join(f"{name} {shown(one, interval=True)} %" for name, one in named if one)


def _write_classifier(table: Table, calibration: Calibration, candidate: Candidate | None) -> None:
    if "kind" not in table and candidate and isinstance(candidate.classifier, ClassifierConfig):
        settings = candidate.classifier.model_dump(mode="json", exclude_none=True)
        for name, value in settings.items():
            if name != "score_temperature":
                table[name] = value
    if calibration.temperature == 1.0:
        table.pop("score_temperature", None)
        return
    before, after = (100 * one for one in (calibration.error_before, calibration.error_after))
    told = f"calibration error {before:.1f} % without it, {after:.1f} % with it"
    _put(table, "score_temperature", calibration.temperature, [told])


def _write_category(policy: Table, category: Category, calibration: Calibration) -> None:
    threshold = calibration.rule.own.get(category)
    if threshold is None:
        earlier = policy.get("categories", {}).get(category, {})
        earlier.pop("threshold", None)
        return
    recall, there = calibration.by_category.get(category, (None, 0))
    told = f"recall {shown(recall, interval=True)} % of {there:,} unsafe rows"
    table = _table(_table(policy, "categories", is_super_table=True), category.value)
    _put(table, "threshold", round(threshold, 6), [told])


def _table(parent: Any, name: str, *, is_super_table: bool = False) -> Table:
    if name not in parent:
        parent[name] = tomlkit.table(is_super_table=is_super_table)
    table: Table = parent[name]
    return table


def _put(table: Table, key: str, value: float, evidence: Sequence[str]) -> None:
    """Set a key, under its evidence."""
    table[key] = value
    item: Any = table.value.item(key)
    item.trivia.indent = "".join(f"{_MARK}{line}\n" for line in evidence)  # stands before the key


def _read(path: Path) -> str:
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return text


def _without_evidence(text: str) -> str:
    """Return the file without an earlier calibration's comments."""
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith(_MARK))
    cleared = "".join(lines)
    try:
        return cleared if tomllib.loads(cleared) == tomllib.loads(text) else text
    except ValueError:  # such a line stood inside a text
        return text


def _replace(path: Path, text: str) -> None:
    """Put the new text in the old one's place, if it is a configuration at all."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(text, "utf-8")
        try:
            Config.load(draft)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error
