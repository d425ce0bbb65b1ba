"""What the gate would do with streamed replies, by schedule: how much is read and shown.

Replies come a few characters at a time and are judged at once, so the figures are of the schedule
and the classifier alone; a slow classifier judges later and less often.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from guardrail.evaluation.figures import Figure
from guardrail.evaluation.measures import proportion
from guardrail.evaluation.rows import Row
from guardrail.evaluation.table import Decided, Table
from guardrail.types import Conversation, Role
from guardrail.window import Cut, Window

__all__ = ["SCHEDULES", "Played", "Prefixes", "ScheduleFigures", "checkpoints", "play", "schedules"]

SCHEDULES: Mapping[str, Window | None] = {
    "default": Window(),
    "first 16": Window(first=16),
    "first 64": Window(first=64),
    "first 128": Window(first=128),
    "no tail": Window(tail=0),
    "tail 32": Window(tail=32),
    "growth 0.25": Window(growth=0.25),
    "growth 1": Window(growth=1.0),
    "two in a row": Window(in_a_row=2),
    "sure at 0.8": Window(early_threshold=0.8),
    "sure at 0.95": Window(early_threshold=0.95),
    "whole reply": None,
}
"""The schedules that are compared with the policy's own."""

_CHUNK = 3  # characters that come at a time: about a token of Korean


def checkpoints(text: str, window: Window | None, chunk: int = _CHUNK) -> list[Cut]:
    """Return the lengths at which a reply is judged, and shown to; the last is the whole of it."""
    cuts: list[Cut] = []
    judged = 0
    for come in range(chunk, len(text) + chunk, chunk) if window is not None else ():
        arrived = min(come, len(text))
        while (cut := _cut(text, judged, arrived, window)) is not None:
            cuts.append(Cut(judged + cut.judge, judged + cut.show))
            judged += cut.judge
    if cuts and judged == len(text):
        cuts.pop()
    return [*cuts, Cut(len(text), len(text))]


def _cut(text: str, judged: int, arrived: int, window: Window | None) -> Cut | None:
    if window is None or arrived - judged < window.soft(judged):
        return None
    return window.cut(judged, text[judged:arrived])


@dataclass(frozen=True, slots=True)
class Played:
    """How one streamed reply went.

    Args:
        blocked: whether it ended in a refusal.
        at: characters judged by the check that decided.
        shown: characters that the user had seen by then, or a few more: a held tail counts as seen.
        checks: how many there were.
        read: characters judged in all of them.
        first: characters that had to come before any were shown; the whole where none were.
    """

    blocked: bool
    at: int
    shown: int
    checks: int
    read: int
    first: int


def play(
    cuts: Sequence[Cut], unsafe: Sequence[bool], scores: Sequence[float], window: Window | None
) -> Played:
    """Return how a reply goes whose prefixes are judged so.

    Args:
        cuts: lengths at which it is judged, and up to which it is shown.
        unsafe: whether the policy blocks each prefix.
        scores: their scores, NaN where there was no verdict.
        window: the schedule.
    """
    cleared = strikes = read = first = 0
    whole = cuts[-1].judge
    for check, (cut, blocked, score) in enumerate(zip(cuts, unsafe, scores, strict=True), start=1):
        read += cut.judge
        strikes = strikes + 1 if blocked else 0
        if not blocked:
            cleared = max(cleared, cut.show)
            first = first or (cut.judge if cleared else 0)
        elif cut.judge == whole or _is_decisive(window, strikes, score):
            return Played(True, cut.judge, cleared, check, read, first or whole)
    return Played(False, whole, cleared, len(cuts), read, first or whole)


def _is_decisive(window: Window | None, strikes: int, score: float) -> bool:
    if window is None or np.isnan(score):
        return True
    sure = window.early_threshold is None or score >= window.early_threshold
    return sure and strikes >= window.in_a_row


@dataclass(frozen=True)
class Prefixes:
    """Replies, each cut wherever some schedule would judge it.

    Args:
        rows: rows whose reply is judged, with their places in the table.
        windows: the schedules, by name.
    """

    rows: Sequence[tuple[int, Row]]
    windows: Mapping[str, Window | None]

    @cached_property
    def replies(self) -> Sequence[tuple[int, Row, Mapping[str, Sequence[Cut]]]]:
        """The place of each, the row, and where each schedule judges it."""
        return [
            (place, row, {name: checkpoints(row.text, one) for name, one in self.windows.items()})
            for place, row in self.rows
            if row.conversation[-1].role is Role.ASSISTANT
        ]

    def each(self) -> Iterator[tuple[int, Row, list[int]]]:
        """Yield the place, the row, and the lengths at which any schedule judges it."""
        for place, row, by_schedule in self.replies:
            yield place, row, sorted({cut.judge for cuts in by_schedule.values() for cut in cuts})

    def conversations(self) -> Iterator[Conversation]:
        """Yield the conversations that end in each prefix, in the same order."""
        for _, row, ends in self.each():
            for end in ends:
                yield row.with_text(row.text[:end]).conversation


@dataclass(frozen=True, slots=True)
class ScheduleFigures:
    """What one schedule does.

    Args:
        name: of the schedule.
        settings: of it that differ from the defaults, as they stand in a policy file.
        replies, unsafe: how many were played, and how many of them are unsafe.
        caught: share of the unsafe ones that end in a refusal.
        early: share of those caught that end before the whole reply has come.
        at_median, at_p95: characters judged when an unsafe one was caught.
        shown: share of those caught of which the user had seen anything.
        shown_median, shown_p95: characters of them that the user had seen.
        alarms: share of the safe ones that end in a refusal.
        prefix_alarms: share of the checks of safe replies' beginnings that block, of replies that
            pass as a whole.
        checks: mean number of checks of a reply.
        times_read: mean times that each character of a reply is judged.
        first_median: characters that come before the first text is shown, of safe replies.
    """

    name: str
    settings: str
    replies: int
    unsafe: int
    caught: Figure | None
    early: Figure | None
    at_median: float | None
    at_p95: float | None
    shown: Figure | None
    shown_median: float | None
    shown_p95: float | None
    alarms: Figure | None
    prefix_alarms: Figure | None
    checks: float
    times_read: float
    first_median: float | None


def schedules(prefixes: Prefixes, table: Table, decided: Decided) -> list[ScheduleFigures]:
    """Return what each schedule does.

    Args:
        prefixes: what was judged.
        table: what the rows are.
        decided: the decisions on the prefixes, in their order.
    """
    said = list(_said(prefixes, decided))
    return [
        _figures(name, window, _replies(name, window, prefixes, table, said))
        for name, window in prefixes.windows.items()
        if said
    ]


_Said = Mapping[int, tuple[bool, float]]
"""Whether each beginning of a reply was blocked, and its score, by length."""


def _said(prefixes: Prefixes, decided: Decided) -> Iterator[_Said]:
    """Yield what was said of each reply's beginnings."""
    blocked = (decided.found | ~decided.judged).tolist()
    pairs = iter(zip(blocked, decided.score.tolist(), strict=True))
    for _, _, ends in prefixes.each():
        yield {end: next(pairs) for end in ends}


def _replies(
    name: str, window: Window | None, prefixes: Prefixes, table: Table, said: Sequence[_Said]
) -> list[_Reply]:
    return [
        _Reply.of(cuts[name], bool(table.unsafe[place]), answers, window)
        for (place, _, cuts), answers in zip(prefixes.replies, said, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Reply:
    """One reply under one schedule."""

    length: int
    unsafe: bool
    played: Played
    begun: Sequence[bool]  # what was decided of its beginnings
    passes: bool  # as a whole

    @classmethod
    def of(
        cls,
        cuts: Sequence[Cut],
        unsafe: bool,
        said: _Said,
        window: Window | None,
    ) -> _Reply:
        """Play the reply."""
        found, scores = zip(*(said[cut.judge] for cut in cuts), strict=True)
        return cls(
            cuts[-1].judge, unsafe, play(cuts, found, scores, window), found[:-1], not found[-1]
        )


def _figures(name: str, window: Window | None, replies: Sequence[_Reply]) -> ScheduleFigures:
    unsafe = [one for one in replies if one.unsafe]
    safe = [one for one in replies if not one.unsafe]
    caught = [one for one in unsafe if one.played.blocked]
    begun = [flag for one in safe if one.passes for flag in one.begun]
    at = [one.played.at for one in caught]
    shown = [one.played.shown for one in caught]
    return ScheduleFigures(
        name,
        _settings(window),
        len(replies),
        len(unsafe),
        _share([one.played.blocked for one in unsafe]),
        _share([one.played.at < one.length for one in caught]),
        _percentile(at, 50),
        _percentile(at, 95),
        _share([count > 0 for count in shown]),
        _percentile(shown, 50),
        _percentile(shown, 95),
        _share([one.played.blocked for one in safe]),
        _share(begun),
        float(np.mean([one.played.checks for one in replies])),
        float(np.mean([one.played.read / max(one.length, 1) for one in replies])),
        _percentile([one.played.first for one in safe if one.passes], 50),
    )


def _settings(window: Window | None) -> str:
    if window is None:
        return "window = false"
    settings = window.model_dump(exclude_defaults=True)
    return ", ".join(f"{name} = {value}" for name, value in settings.items()) or "as shipped"


def _share(flags: Sequence[bool]) -> Figure | None:
    return proportion(np.array(flags, bool))


def _percentile(values: Sequence[int], share: float) -> float | None:
    return float(np.percentile(values, share)) if values else None
