"""What a scan found, in numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from guardrail.scan.judging import Tally
from guardrail.taxonomy import TITLES
from guardrail.types import Action, Category, Language

__all__ = ["Summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a scan found.

    Args:
        turns: how many were judged.
        unsafe: how many of them the policy finds unsafe.
        unknown: how many have no verdict, since the classifier failed on them.
        degraded: how many a weaker classifier judged, since the one that should was down.
        judged: what was judged, and how often.
        actions: what the policy does about turns, and how often.
        categories: actions on what is unsafe, by category; "none" where none is known.
        errors: why there was no verdict, and how often.
        set_aside: why records were not judged, and how often.
    """

    turns: int
    unsafe: int
    unknown: int
    degraded: int
    judged: Mapping[str, int]
    actions: Mapping[str, int]
    categories: Mapping[str, Mapping[str, int]]
    errors: Mapping[str, int]
    set_aside: Mapping[str, int]

    @classmethod
    def of(cls, tally: Tally) -> Self:
        """Return the summary that counts come to."""
        turns = {key[1:]: count for key, count in tally.items() if key[0] == "turn"}
        said, actions = Counter[str](), Counter[str]()
        categories: dict[str, Counter[str]] = {}
        for (verdict, category, action), count in turns.items():
            said[verdict] += count
            actions[action] += count
            if verdict == "unsafe":
                categories.setdefault(category or "none", Counter())[action] += count
        return cls(
            sum(said.values()),
            said["unsafe"],
            said["unknown"],
            tally["degraded",],
            _named(tally, "judged"),
            _sorted(actions),
            {name: _sorted(categories[name]) for name in sorted(categories)},
            _named(tally, "error"),
            _named(tally, "bad"),
        )

    def to_json(self) -> str:
        """Return the summary as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    def show(self, console: Console) -> None:
        """Print it."""
        console.print(Text(self._headline))
        if self.categories:
            console.print()
            console.print(self._table())
        for title, counts in (("set aside", self.set_aside), ("no verdict", self.errors)):
            for reason, count in counts.items():
                console.print(Text(f"{title}: {count:,} × {reason}"))

    @property
    def _headline(self) -> str:
        unsafe = f"{self.unsafe:,} unsafe ({_share(self.unsafe, self.turns)})"
        rest = {
            "without a verdict": self.unknown,
            "judged by a weaker classifier": self.degraded,
            "user turns and texts alone": self.turns - self.judged.get("reply", 0),
            "records set aside": sum(self.set_aside.values()),
        }
        said = [f"{count:,} {what}" for what, count in rest.items() if count]
        return " · ".join([f"{self.turns:,} turns judged", unsafe, *said])

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("Category")
        for title in ("Unsafe", "Share", *(action.value for action in _shown(self.categories))):
            table.add_column(title.capitalize(), justify="right")
        for name, actions in self.categories.items():
            count = sum(actions.values())
            each = (f"{actions.get(action, 0):,}" for action in _shown(self.categories))
            table.add_row(Text(_title(name)), f"{count:,}", _share(count, self.turns), *each)
        return table


def _shown(categories: Mapping[str, Mapping[str, int]]) -> list[Action]:
    return [one for one in Action if any(one in actions for actions in categories.values())]


def _title(name: str) -> str:
    known = name in Category.__members__
    return f"{name} {TITLES[Category(name)][Language.EN]}" if known else "no category known"


def _share(count: int, of: int) -> str:
    return f"{count / of:.2%}" if of else "-"


def _named(tally: Tally, kind: str) -> dict[str, int]:
    return _sorted(Counter({key[1]: count for key, count in tally.items() if key[0] == kind}))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
