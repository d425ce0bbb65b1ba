"""The training set, drawn anew for each seed: what is composed, safe turns, public rows."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from training.comments import comments
from training.composer import Composer, Stock
from training.examples import Example, Row
from training.parts import Parts, Share, load_parts, plain, refusal_sentences, safe_turns
from training.public import Answers, turns_of
from training.recipes import compose

__all__ = ["composed", "drawing", "public_turns"]

PER_CATEGORY = 12_000
PUBLIC_SHARE = 0.6
COMMENTS = 4_000
WRITTEN = 3  # times: what is written out is the most varied, and the least in number

_EVERYDAY = {f"safe-{kind}" for kind in ("service", "school", "clinic", "talk", "idiom", "howto")}
_ENGLISH = "safe-english"
_WILLING = ("open", "close")


def drawing(rows: Iterable[Row], share: Share, seed: int) -> list[Example]:
    """Return one drawing of the training set: what is composed, and most of the public rows."""
    dice = random.Random(seed)
    drawn = [row for row in rows if dice.random() < PUBLIC_SHARE or _always(row)]
    drawn += comments(share, COMMENTS, dice)
    return composed(share, PER_CATEGORY, seed) + public_turns(drawn, share, seed)


def _always(row: Row) -> bool:
    """Whether this is ordinary talk, or one of the few Korean prompts that ask for harm."""
    asked = row["lang"] == "ko" and row["unsafe"] and row["assistant"] is None and row["user"]
    return bool(asked or row["source"] == "songys")


def composed(share: Share, per_category: int, seed: int) -> list[Example]:
    """Return turns composed from a share of the parts, and the safe turns of that share."""
    dice = random.Random(seed)
    written = list(safe_turns(share))
    by_category = load_parts(share)
    stock = _stock(written, by_category, share)
    made = [*written * WRITTEN, *_messages(written)]
    for category, parts in by_category.items():
        made += compose(Composer(category, parts, stock, dice), per_category)
    return made


def _messages(written: Iterable[Example]) -> Iterator[Example]:
    """Yield the messages of everyday turns alone, for the input stage."""
    for turn in written:
        if turn.user and (turn.source in _EVERYDAY or turn.source == _ENGLISH):
            yield replace(turn, reply=None)
        if turn.user and turn.source == _ENGLISH:
            yield replace(turn, reply=_ENGLISH_HELP[len(turn.user) % len(_ENGLISH_HELP)])


def _stock(written: Sequence[Example], by_category: Mapping[str, Parts], share: Share) -> Stock:
    requests = defaultdict(list)
    for turn in written:
        if turn.source == "safe-refusal" and turn.category and turn.user:
            requests[turn.category].append(turn.user)
    return Stock(_everyday(written), requests, refusal_sentences(share), _willing(by_category))


def _willing(by_category: Mapping[str, Parts]) -> list[str]:
    """Return openings and closings of help that name nothing."""
    return sorted(
        {
            sentence
            for parts in by_category.values()
            for register in parts["safe_help"].values()
            for place in _WILLING
            for sentence in plain(register[place])
        }
    )


def _everyday(written: Iterable[Example]) -> list[Example]:
    return [e for e in written if e.source in _EVERYDAY and e.user and e.reply]


def public_turns(rows: Iterable[Row], share: Share, seed: int) -> list[Example]:
    """Return what the public rows make, answered with sentences from a share of the parts."""
    dice = random.Random(seed)
    users = [turn.user for turn in _everyday(list(safe_turns(share)))]
    answers = _answers(load_parts(share))
    return [turn for row in rows for turn in turns_of(row, answers, users, dice)]


def _answers(by_category: Mapping[str, Parts]) -> Answers:
    comply, decline = {}, {}
    for category, parts in by_category.items():
        english = parts["english"]
        comply[category, "ko"] = plain(parts["comply"]) + plain(parts["oneliners"])
        comply[category, "en"] = plain(english["comply"])
        decline[category, "ko"] = plain(parts["refuse"]) + plain(parts["careful"])
        decline[category, "en"] = plain(english["refuse"]) + plain(english["careful"])
    return Answers(comply, decline, {"ko": _willing(by_category), "en": _ENGLISH_HELP})


_ENGLISH_HELP = [
    "Sure, here is a short overview.",
    "Let me help you with that.",
    "Good question!",
    "Of course. Here's how.",
    "Absolutely, we'll take it step by step.",
    "Yes, that works.",
    "I'd be happy to explain.",
    "No problem at all.",
    "Sure, just tell me a little more.",
    "Done!",
    "Got it, one moment please.",
    "Sure, what do you need?",
    "Yes, we can do that for you.",
    "Let me check that right away.",
    "Great, let's get started.",
    "Of course, here you go.",
]
