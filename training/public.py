"""The public rows as turns: what label a text gets in each role it can play.

A turn is unsafe by what the *reply* does. A hateful sentence is unsafe as a reply and at the
input stage, but answered with a refusal it makes a safe turn; a dangerous question likewise.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.augment import disguised
from training.examples import Example, Row

__all__ = ["Answers", "turns_of"]


@dataclass(frozen=True, slots=True)
class Answers:
    """Sentences without slots, to answer public questions with.

    Args:
        comply: by category and language.
        decline: by category and language.
        help: by language, for harmless questions.
    """

    comply: Mapping[tuple[str, str], Sequence[str]]
    decline: Mapping[tuple[str, str], Sequence[str]]
    help: Mapping[str, Sequence[str]]


def turns_of(
    row: Row, answers: Answers, users: Sequence[str], dice: random.Random
) -> Iterator[Example]:
    """Yield the turns that one public row makes; `users` are for texts that come without one."""
    if row.get("text"):
        yield from _of_text(row, answers, users, dice)
    elif row["assistant"] is not None:
        yield from _of_turn(row, answers, dice)
    else:
        yield from _of_question(row, answers, dice)


def _of_text(
    row: Row, answers: Answers, users: Sequence[str], dice: random.Random
) -> Iterator[Example]:
    text, unsafe, category = row["text"], bool(row["unsafe"]), row["category"]
    yield Example("", disguised(text, dice), unsafe, category, row["source"])
    yield Example(disguised(text, dice), None, unsafe, category, row["source"])
    yield Example(dice.choice(users), disguised(text, dice), unsafe, category, row["source"])
    declines = answers.decline.get((category or "O1", row["lang"]))
    if unsafe and declines and dice.random() < 0.5:
        yield Example(text, dice.choice(declines), False, category, row["source"])
    if not unsafe and dice.random() < 0.25:
        yield Example(text, dice.choice(answers.help[row["lang"]]), False, None, row["source"])


def _of_turn(row: Row, answers: Answers, dice: random.Random) -> Iterator[Example]:
    user, reply, unsafe, category = (
        row["user"],
        row["assistant"],
        bool(row["unsafe"]),
        row["category"],
    )
    if row["source"] != "songys":
        yield Example(user, reply, unsafe, category, row["source"])
        return
    yield Example(user, reply, False, None, row["source"])
    yield Example(user, None, False, None, row["source"])
    if dice.random() < 0.3:
        yield Example(user, dice.choice(answers.help["ko"]), False, None, row["source"])


def _of_question(row: Row, answers: Answers, dice: random.Random) -> Iterator[Example]:
    user, category, lang, source = row["user"], row["category"], row["lang"], row["source"]
    unsafe = bool(row["unsafe"])
    yield Example(user, None, unsafe, category, source)
    if not unsafe:
        if dice.random() < 0.5:
            yield Example(user, dice.choice(answers.help[lang]), False, None, source)
        if lang == "ko" and dice.random() < 0.5:
            yield Example("", user, False, None, source)
        return
    key = (category or dice.choice(("O1", "O3")), lang)
    if category and answers.comply.get(key):
        yield Example(user, dice.choice(answers.comply[key]), True, category, source)
    if answers.decline.get(key):
        yield Example(user, dice.choice(answers.decline[key]), False, category, source)
