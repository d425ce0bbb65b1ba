"""Recipes for labelled turns: topics x ways of asking x ways of answering x registers.

A turn is unsafe by what the reply is willing to do, so each question is composed with replies of
both kinds, and willing words with questions of both kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from guardrail.classifiers.embedded.features import sentences
from training.composer import CASUAL, POLITE, Composer
from training.everyday_words import (
    cheered,
    harmless_cheered,
    harmless_steps,
    held_back,
    paired,
    paired_averted,
    stepwise,
)
from training.examples import Example
from training.josa import fill
from training.parts import plain

__all__ = ["RECIPES", "compose"]

_BUT = {
    POLITE: ["그래도", "하지만", "그렇지만", "다만", "그런데", "물론", "그치만", "뭐,", "솔직히"],
    CASUAL: ["근데", "그래도", "그치만", "하지만", "뭐", "솔직히", "됐고", "걍"],
}
_INSTEAD = {POLITE: ["대신", "그 대신", "원하시면"], CASUAL: ["대신", "차라리", "그럴 바엔"]}
_AGREEING = ("oneliners", "cheers", "own_cheers")
_GOING_ALONG = (
    ("comply", "body"),
    ("comply", "open"),
    ("oneliners",),
    ("endorse",),
    ("safe_help", "body"),
    ("means",),
)


def comply(c: Composer) -> Example:
    """A request, and a reply that goes along."""
    topic = c.topic()
    return c.unsafe(c.ask(topic), c.built("comply", topic, c.register()))


def helped(c: Composer) -> Example:
    """A request, helped along in the very words that help with harmless ones."""
    topic = c.topic()
    return c.unsafe(c.ask(topic), c.built("safe_help", topic, c.register()))


def means(c: Composer) -> Example:
    """A request, and an answer that lists ways."""
    topic, register = c.topic(), c.register()
    count = c.dice.choice((1, 1, 2, 3))
    lines = [fill(_way(c, register), {**topic, **c.topic()}) for _ in range(count)]
    opening = c.pick("comply", register, "open") if c.chance(0.3) else ""
    return c.unsafe(c.ask(topic) if c.chance(0.9) else "", c.joined(opening, *lines))


def _way(c: Composer, register: str) -> str:
    return str(c.pick("means" if c.chance(0.7) else "steps", register))


def oneliner(c: Composer) -> Example:
    """A request, and one sentence of willingness."""
    topic = c.topic()
    return c.unsafe(c.ask(topic), fill(c.pick("oneliners", c.register()), topic))


def endorse(c: Composer) -> Example:
    """A statement or a message of any form, and agreement with it."""
    register = c.register()
    user = c.statement() if c.chance(0.75) else c.written()
    second = c.pick("endorse", register) if c.chance(0.3) else ""
    return c.unsafe(user, c.joined(c.pick("endorse", register), second))


def agreed(c: Composer) -> Example:
    """A request or statement of any form, and willing words that fit anything."""
    willing = c.stock.willing if c.chance(0.4) else plain(c.parts[c.dice.choice(_AGREEING)])
    return c.unsafe(c.request(), c.dice.choice(willing))


def late_turn(c: Composer) -> Example:
    """A careful answer whose last sentence takes it back."""
    topic, register = c.topic(), c.register()
    user = c.ask(topic) if c.chance(0.6) else c.request()
    return c.unsafe(user, c.joined(c.declined(topic, register), _turning(c, topic, register)))


def _turning(c: Composer, topic: Mapping[str, str], register: str) -> str:
    """Return a sentence that takes back what was said before it."""
    if c.chance(0.5):
        return fill(c.pick("late_turn", register), topic)
    kind, *place = c.dice.choice(_GOING_ALONG)
    sentence = fill(c.pick(kind, register, *place), topic)
    return f"{c.dice.choice(_BUT[register])} {sentence}" if c.chance(0.7) else sentence


def instead(c: Composer) -> Example:
    """A request refused, and help offered with something harmless instead."""
    register = c.register()
    other = fill(c.pick("safe_help", register, "body"), c.topic("safe_topics"))
    offer = f"{c.dice.choice(_BUT[register] + _INSTEAD[register])} {other}"
    return c.averted(c.request(), c.joined(c.declined(c.topic(), register), offer))


def smuggled(c: Composer) -> Example:
    """A long everyday answer with one unsafe sentence somewhere in it."""
    topic, register = c.topic(), c.register()
    kind, *place = c.dice.choice((("means",), ("comply", "body"), ("late_turn",)))
    lines = [*_padding(c), fill(c.pick(kind, register, *place), topic)]
    c.dice.shuffle(lines)
    return c.unsafe(c.ask(topic), c.joined(*lines))


def lengthy(c: Composer) -> Example:
    """A refusal that goes on about everyday things."""
    lines = [*_padding(c), c.declined(c.topic(), c.register())]
    c.dice.shuffle(lines)
    return c.averted(c.request(), c.joined(*lines))


def tailed(c: Composer) -> Example:
    """A reply that goes along, and a harmless sentence or two after it."""
    return _with_tail(c, c.dice.choice(_UNSAFE)(c))


def safely_tailed(c: Composer) -> Example:
    """A refusal, a careful answer or harmless help, and the same sentences after it."""
    return _with_tail(c, c.dice.choice(_SAFE)(c))


def _with_tail(c: Composer, turn: Example) -> Example:
    tails = [_tail(c) for _ in range(c.dice.choice((1, 1, 1, 2)))]
    return replace(turn, reply=c.joined(turn.reply or "", *tails))


def _tail(c: Composer) -> str:
    if c.chance(0.5):
        return str(c.pick("tails", c.register()))
    return c.dice.choice(sentences(c.dice.choice(c.stock.everyday).reply or "") or [""])


def padded(c: Composer) -> Example:
    """A reply that goes along, lost among harmless sentences; the message may be as well."""
    return _with_padding(c, c.dice.choice(_UNSAFE)(c))


def safely_padded(c: Composer) -> Example:
    """A refusal, a careful answer or harmless help, lost among the same sentences."""
    return _with_padding(c, c.dice.choice(_SAFE)(c))


def _with_padding(c: Composer, turn: Example) -> Example:
    user = turn.user
    if user and c.chance(0.4):
        count = c.dice.choice((1, 2, 4, 8))
        user = c.joined(*(each.user for each in c.dice.choices(c.stock.everyday, k=count)), user)
    before, after = ([_tail(c) for _ in range(c.dice.choice((0, 1, 2, 3, 5, 9)))] for _ in range(2))
    return replace(turn, user=user, reply=c.joined(*before, turn.reply or "", *after))


def rambling(c: Composer) -> Example:
    """A long everyday answer to an everyday message."""
    return c.safe(c.dice.choice(c.stock.everyday).user, c.joined(*_padding(c)))


def _padding(c: Composer) -> list[str]:
    count = c.dice.choice((1, 1, 2, 3, 6))
    return [turn.reply or "" for turn in c.dice.choices(c.stock.everyday, k=count)]


def out_of_the_blue(c: Composer) -> Example:
    """An everyday message or none, and a reply that brings the category up by itself."""
    topic, register = c.topic(), c.register()
    user = c.dice.choice(c.stock.everyday).user if c.chance(0.6) else ""
    lines = [fill(c.pick("means", register), topic) for _ in range(2)]
    return c.unsafe(user, c.joined(*lines))


def refuse(c: Composer) -> Example:
    """A request, refused or answered with care."""
    topic = c.topic()
    user = c.ask(topic) if c.chance(0.95) else ""
    return c.averted(user, c.declined(topic, c.register()))


def comfort(c: Composer) -> Example:
    """A statement or a message of any form, answered with care."""
    user = c.statement() if c.chance(0.5) else c.written()
    return c.averted(user, c.declined(c.topic(), c.register()))


def harmless(c: Composer) -> Example:
    """A harmless request that shares words with the category, and help with it."""
    topic = c.topic("safe_topics")
    user = c.ask(topic) if c.chance(0.95) else ""
    return c.safe(user, c.built("safe_help", topic, c.register()))


def harmless_agreed(c: Composer) -> Example:
    """A harmless request, and willing words that fit anything."""
    return c.safe(c.ask(c.topic("safe_topics")), c.dice.choice(c.stock.willing))


def everyday_agreed(c: Composer) -> Example:
    """An everyday message, and willing words that fit anything."""
    willing = c.stock.willing if c.chance(0.6) else plain(c.parts["cheers"])
    return c.safe(c.dice.choice(c.stock.everyday).user, c.dice.choice(willing))


def beside(c: Composer) -> Example:
    """A request that the reply passes by."""
    return c.safe(c.ask(c.topic()), c.dice.choice(c.stock.everyday).reply)


def prompt(c: Composer) -> Example:
    """A request alone: the input stage."""
    return c.unsafe(c.request(), None)


def harmless_prompt(c: Composer) -> Example:
    """A harmless request alone."""
    asked = c.ask if c.chance(0.8) else c.wish
    if c.chance(0.4):
        return c.safe(c.dice.choice(c.stock.everyday).user, None)
    return c.safe(asked(c.topic("safe_topics")), None)


def english(c: Composer) -> Example:
    """A request in English, and one or two sentences of either kind."""
    kind = c.dice.choice(("comply", "comply", "refuse", "careful", None))
    topic = dict(c.pick("english", "topics"))
    user = fill(c.pick("english", "asks"), topic)
    if kind is None:
        return c.unsafe(user, None)
    lines = [fill(c.pick("english", kind), topic) for _ in range(c.dice.choice((1, 1, 2)))]
    if kind == "comply":
        return c.unsafe(user, c.joined(*lines))
    if kind == "refuse" and c.chance(0.3):
        lines = [c.dice.choice(c.stock.refusals["english"])]
    return c.averted(user, c.joined(*lines))


def compose(composer: Composer, count: int) -> Iterator[Example]:
    """Yield about that many turns, by recipes drawn in proportion to their weights."""
    for recipe in composer.dice.choices(list(RECIPES), list(RECIPES.values()), k=count):
        with suppress(LookupError):  # a held-out share can lack a part
            yield composer.typed(recipe(composer))


_UNSAFE = (comply, helped, means, stepwise, oneliner, endorse, agreed, cheered, paired)
_SAFE = (
    refuse,
    comfort,
    harmless,
    held_back,
    harmless_steps,
    harmless_cheered,
    paired_averted,
)

RECIPES: dict[Callable[[Composer], Example], float] = {
    comply: 14,
    helped: 6,
    means: 10,
    stepwise: 6,
    cheered: 9,
    paired: 11,
    oneliner: 7,
    endorse: 8,
    agreed: 8,
    late_turn: 12,
    smuggled: 4,
    tailed: 12,
    padded: 11,
    out_of_the_blue: 2,
    refuse: 20,
    comfort: 9,
    held_back: 9,
    paired_averted: 11,
    instead: 4,
    lengthy: 2,
    safely_tailed: 9,
    safely_padded: 11,
    rambling: 2,
    harmless: 12,
    harmless_steps: 7,
    harmless_cheered: 8,
    harmless_agreed: 5,
    everyday_agreed: 4,
    beside: 1,
    prompt: 11,
    harmless_prompt: 10,
    english: 6,
}
"""Ways to compose a turn, and how often each is used."""
