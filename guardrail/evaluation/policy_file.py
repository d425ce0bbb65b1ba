"""Thresholds into a policy file, with the evidence as comments, and all else left as it stands."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from guardrail.config import ClassifierConfig, Config
from guardrail.errors import ConfigError, needing
from guardrail.evaluation.calibration import Calibration
from guardrail.evaluation.candidates import Candidate
from guardrail.evaluation.evidence import Evidence
from guardrail.evaluation.figures import shown
from guardrail.types import Category

with needing("eval"):
    import tomlkit
    from tomlkit.items import Table

__all__ = ["evidence_lines", "write_policy"]

_MARK = "# calibrate: "


def write_policy(
    calibration: Calibration, path: str | Path, candidate: Candidate | None = None
) -> dict[Category, float]:
    """Write what was chosen into a configuration file; make one if there is none.

    Comments, order and all other settings stay. What an earlier calibration wrote is replaced.
    Thresholds of single categories that were not chosen would let other rows through than those of
    the evidence, so they are taken out, and returned.

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
    removed = _without_thresholds(policy, calibration.rule.own)
    told = [f"took out {name}'s threshold {value}" for name, value in removed.items()]
    _put(policy, "threshold", calibration.rule.threshold, [*evidence_lines(calibration), *told])
    for category in calibration.rule.own:
        _write_category(policy, category, calibration)
    _replace(place, tomlkit.dumps(document))
    return removed


def evidence_lines(calibration: Calibration) -> list[str]:
    """Return what speaks for the overall threshold, a line each."""
    data = ", ".join(calibration.data)
    repeats = f", {calibration.repeated:,} repeats of others" if calibration.repeated else ""
    lines = [
        f"{calibration.created}, for {calibration.target}, on {calibration.rows:,} rows "
        f"({calibration.unsafe:,} unsafe{repeats}) of {data}",
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


def _without_thresholds(policy: Table, own: Container[Category]) -> dict[Category, float]:
    """Take out and return the thresholds of categories that got none."""
    there = policy.get("categories", {})
    taken = (name for name in Category if name not in own and "threshold" in there.get(name, {}))
    return {name: float(there[name].pop("threshold")) for name in taken}


def _write_category(policy: Table, category: Category, calibration: Calibration) -> None:
    recall, there = calibration.by_category.get(category, (None, 0))
    told = f"recall {shown(recall, interval=True)} % of {there:,} unsafe rows"
    table = _table(_table(policy, "categories", is_super_table=True), category.value)
    _put(table, "threshold", calibration.rule.own[category], [told])


def _table(parent: Any, name: str, *, is_super_table: bool = False) -> Table:
    if name not in parent:
        _set(parent, name, tomlkit.table(is_super_table=is_super_table))
    table = parent[name]
    if not isinstance(table, Table):
        raise ConfigError(
            f"{name!r} stands in several places of the file, or on one line; write it as one "
            "table, with its parts behind it, so that thresholds can be put into it"
        )
    return table


def _put(table: Table, key: str, value: float, evidence: Sequence[str]) -> None:
    """Set a key, under its evidence."""
    _set(table, key, value)
    item: Any = table.value.item(key)
    item.trivia.indent = "".join(f"{_MARK}{line}\n" for line in evidence)  # stands before the key


def _set(parent: Any, key: str, value: Any) -> None:
    """Set a key; a new one stands behind the table's others."""
    body = parent.value.body if isinstance(parent, Table) else ()
    others = [name for name, one in body if name and not isinstance(one, Table)]
    if key in parent or not others:
        parent[key] = value
    else:  # by tomlkit's other ways it would stand behind comments on what follows
        parent.value._insert_after(others[-1], key, value)


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
