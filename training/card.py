"""Write the tables of the model card from the figures that the last training left.

python -m training.card
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from guardrail.classifiers.embedded.network import WEIGHTS

__all__ = ["main"]

CARD = WEIGHTS.with_name("MODEL_CARD.md")
METRICS = Path(__file__).with_name("metrics.json")
_COLUMNS = {
    "turns": "turns",
    "auroc": "AUROC",
    "recall": "unsafe found",
    "false_alarms": "safe flagged",
    "category_right": "category right",
}
_BLOCK = "<!-- {0} -->\n{1}<!-- end of {0} -->"


def main() -> None:
    """Replace each marked block of the card by the table of that name."""
    results = json.loads(METRICS.read_text(encoding="utf-8"))
    card = CARD.read_text(encoding="utf-8")
    for name, text in _blocks(results).items():
        pattern = _BLOCK.format(name, ".*?")
        card = re.sub(pattern, lambda _, n=name, t=text: _BLOCK.format(n, t), card, flags=re.DOTALL)  # type: ignore[misc]  # mypy cannot type a lambda's defaults
    CARD.write_text(card, encoding="utf-8")


def _blocks(results: Mapping[str, Any]) -> dict[str, str]:
    figures = results["figures"]
    sets = {name: f for name, f in figures.items() if isinstance(f, dict) and "turns" in f}
    left_out = {
        f"{name}, trained without {key.removeprefix('without_')}": f
        for key, group in results.items()
        if key.startswith("without_")
        for name, f in group.items()
    }
    level, error = figures["threshold"], figures["calibration_error"]
    numbers = f"Threshold {level:.2f}; calibration error {error:.3f}.\n"
    return {
        "numbers": numbers,
        "held-out turns": _table((n, f) for n, f in sets.items() if n.startswith("heldout")),
        "by category": _table(figures["heldout/by_category"].items()),
        "development sets": _table((n, f) for n, f in sets.items() if not n.startswith("heldout")),
        "unseen sources": _table(left_out.items()),
    }


def _table(rows: Iterable[tuple[str, Mapping[str, float]]]) -> str:
    lines = ["| set | " + " | ".join(_COLUMNS.values()) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for name, known in rows:
        cells = [_cell(key, known.get(key)) for key in _COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return ""
    if key == "turns":
        return str(value)
    return f"{value:.3f}" if key == "auroc" else f"{value:.1%}"


if __name__ == "__main__":
    main()
