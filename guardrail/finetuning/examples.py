"""What the model is asked in training, and the right answer: one example per question."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from guardrail.evaluation.rows import Row
from guardrail.finetuning.settings import Balance, Settings
from guardrail.finetuning.turning import Turning, word_ends
from guardrail.taxonomy import Taxonomy
from guardrail.types import Conversation

__all__ = ["Example", "balanced", "examples_of"]


@dataclass(frozen=True, slots=True)
class Example:
    """One question and its answer.

    Args:
        conversation: its last turn is judged.
        unsafe: the answer.
        taxonomy: the policy that is asked about.
        place: where its row stands, for people.
    """

    conversation: Conversation
    unsafe: bool
    taxonomy: Taxonomy
    place: str = ""


def examples_of(
    rows: Iterable[Row],
    turnings: Iterable[Turning | None],
    taxonomy: Taxonomy,
    settings: Settings,
) -> Iterator[Example]:
    """Yield the examples that rows make, the same for the same settings.

    Args:
        rows: to learn from.
        turnings: where each turns unsafe; None where that is not known.
        taxonomy: the whole policy.
        settings: say which examples are wanted beside the row itself.
    """
    draw = random.Random(settings.seed)
    for row, turning in zip(rows, turnings, strict=True):
        yield Example(row.conversation, row.unsafe, taxonomy, row.place)
        if turning is not None:
            yield from _beginnings(row, turning, taxonomy, settings.prefixes, draw)
        if settings.category_prompts:
            yield from _single_policies(row, taxonomy, draw)


def _beginnings(
    row: Row, turning: Turning, taxonomy: Taxonomy, count: int, draw: random.Random
) -> Iterator[Example]:
    """Yield beginnings of an unsafe reply, from before and from after it turns."""
    ends = word_ends(row.text)
    before = [end for end in ends if end <= turning.safe]
    after = [end for end in ends if end >= turning.unsafe]
    for cuts, unsafe in ((before, False), (after, True)):
        for cut in sorted(draw.sample(cuts, min(count, len(cuts)))):
            part = row.with_text(row.text[:cut])
            yield Example(part.conversation, unsafe, taxonomy, row.place)


def _single_policies(row: Row, taxonomy: Taxonomy, draw: random.Random) -> Iterator[Example]:
    """Yield the question about an unsafe row's own category, and about one of the others.

    Safe rows make none: the category is asked for only after the verdict is unsafe.
    """
    parts = {str(part.clauses[0].category): part for part in taxonomy.split()}
    own = parts.pop(row.category or "", None)
    if not row.unsafe or own is None:
        return
    yield Example(row.conversation, True, own, row.place)
    if parts:
        other = draw.choice(list(parts.values()))
        yield Example(row.conversation, False, other, row.place)


def balanced(unsafe: Sequence[bool], balance: Balance, seed: int) -> tuple[list[int], list[float]]:
    """Return which examples to take, and what each of those taken weighs.

    Args:
        unsafe: each example's answer; both occur.
        balance: how to make them count the same.
        seed: of the draw of those that are repeated.
    """
    places = list(range(len(unsafe)))
    kinds = [[place for place in places if unsafe[place] is kind] for kind in (False, True)]
    if balance is Balance.WEIGHT:
        weights = [len(places) / (2 * len(kinds[unsafe[place]])) for place in places]
        return places, weights
    if balance is Balance.SAMPLE:
        few, many = sorted(kinds, key=len)
        repeated = few * (len(many) // len(few) - 1)
        left = len(many) - len(few) - len(repeated)
        places += repeated + random.Random(seed).sample(few, left)
    return places, [1.0] * len(places)
