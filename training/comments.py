"""Comments as people leave them under articles and videos: contempt and abuse, or none of it.

Both sides share their subjects, their exclamations and the way they are typed, so that a group's
name, laughter or anger by itself is no sign of either.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from training.examples import Row
from training.josa import fill
from training.parts import Parts, Share, load_comments

__all__ = ["comments"]

_ASIDE = (" ", " ", ", ", ".. ")


def comments(share: Share, count: int, dice: random.Random) -> Iterator[Row]:
    """Yield that many comments as rows of text, half of them unsafe."""
    lists = load_comments(share)
    for number in range(count):
        unsafe = number % 2 == 0
        text = _hateful(lists, dice) if unsafe else _harmless(lists, dice)
        yield {
            "text": text,
            "unsafe": unsafe,
            "category": "O1" if unsafe else None,
            "source": "comment",
            "lang": "ko",
        }


def _hateful(lists: Parts, dice: random.Random) -> str:
    first = _dressed(_contempt(lists, dice), lists, dice)
    second = dice.random()
    if second < 0.15:
        return f"{first} {dice.choice(lists['comments'])}"
    if second < 0.3:
        return f"{dice.choice(lists['comments'])} {first}"
    if second < 0.45:
        return f"{first} {_dressed(dice.choice(lists['abuse']), lists, dice)}"
    return first


def _contempt(lists: Parts, dice: random.Random) -> str:
    if dice.random() < 0.3:
        return str(dice.choice(lists["abuse"]))
    kind = dice.choices(("slights", "groups", "persons"), (6, 5, 3))[0]
    return _about(dice.choice(lists[kind]), dice.choice(lists["contempt"]))


def _harmless(lists: Parts, dice: random.Random) -> str:
    said = [_dressed(_everyday(lists, dice), lists, dice)]
    if dice.random() < 0.4:
        said.append(_dressed(_everyday(lists, dice), lists, dice))
    return " ".join(said)


def _everyday(lists: Parts, dice: random.Random) -> str:
    if dice.random() < 0.6:
        return str(dice.choice(lists["comments"]))
    kind = dice.choices(("groups", "persons"), (6, 4))[0]
    return _about(dice.choice(lists[kind]), dice.choice(lists["harmless"]))


def _about(subject: str, sentence: str) -> str:
    return fill(sentence, {"noun": subject})


def _dressed(text: str, lists: Parts, dice: random.Random) -> str:
    """Return the text with an exclamation before it or laughter after it, now and then."""
    if dice.random() < 0.35:
        text = dice.choice(lists["fillers"]) + dice.choice(_ASIDE) + text
    return text + dice.choice(lists["ends"]) if dice.random() < 0.45 else text
