"""Compose labelled turns from the parts: topics x ways of asking x ways of answering x registers.

A turn is unsafe by what the reply is willing to do, so each question is composed with replies of
both kinds, and willing words with questions of both kinds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from training.augment import untidy
from training.examples import Example
from training.josa import fill
from training.parts import Parts, plain

__all__ = ["RECIPES", "Composer", "Stock"]

POLITE, CASUAL, CHAT = "polite", "casual", "chat"
_JOINTS = (" ", " ", " ", "\n", "\n\n")
_BUT = {
    POLITE: ("그래도", "하지만", "그렇지만", "다만", "그런데", "물론", "그치만", "그래도 이번엔", "뭐,", "솔직히"),
    CASUAL: ("근데", "그래도", "그치만", "하지만", "뭐", "솔직히", "아 근데", "됐고", "걍"),
}
_INSTEAD = {POLITE: ("대신", "그 대신", "원하시면", "차라리"), CASUAL: ("대신", "차라리", "그럴 바엔")}
_PATTERNS = ("ob", "ob", "obc", "b", "b", "bc", "obb", "obbc", "bb", "oc", "o", "list")


@dataclass(frozen=True, slots=True)
class Stock:
    """What belongs to no category of its own.

    Args:
        everyday: safe turns of everyday life.
        requests: by category, messages that deserved a refusal.
        refusals: by register, refusals that fit any request.
        willing: willing words that are harmless after a harmless question.
    """

    everyday: Sequence[Example]
    requests: Mapping[str, Sequence[str]]
    refusals: Mapping[str, Sequence[str]]
    willing: Sequence[str]


class Composer:
    """Draws turns of one category from its parts.

    Args:
        category: O1..O6.
        parts: the category's parts.
        stock: what all categories share.
        dice: the source of all chance, so that one seed gives one corpus.
    """

    def __init__(self, category: str, parts: Parts, stock: Stock, dice: random.Random) -> None:
        self.category = category
        self.parts = parts
        self.stock = stock
        self.dice = dice

    def turns(self, count: int) -> Iterator[Example]:
        """Yield about that many turns, by recipes drawn in proportion to their weights."""
        for recipe in self.dice.choices(list(RECIPES), list(RECIPES.values()), k=count):
            with suppress(LookupError):  # a held-out share can lack a part
                yield self._typed(recipe(self))

    def _typed(self, turn: Example) -> Example:
        """Return the turn as someone in a hurry would type it, now and then."""
        user = untidy(turn.user, self.dice) if turn.user and self.chance(0.2) else turn.user
        reply = untidy(turn.reply, self.dice) if turn.reply and self.chance(0.1) else turn.reply
        return replace(turn, user=user, reply=reply)

    def pick(self, *path: str) -> Any:
        """Return one item of a list of the parts."""
        found: Any = self.parts
        for key in path:
            found = found[key]
        return self.dice.choice(found)

    def chance(self, probability: float) -> bool:
        """Whether something that is so probable happens."""
        return self.dice.random() < probability

    def register(self) -> str:
        """How the bot speaks: mostly politely."""
        return POLITE if self.chance(0.6) else CASUAL

    def topic(self, kind: str = "topics") -> dict[str, str]:
        """Return one topic in its three forms, and another as noun2, doing2, to2."""
        second = {f"{form}2": words for form, words in self.pick(kind).items()}
        return {**self.pick(kind), **second}

    def ask(self, topic: Mapping[str, str]) -> str:
        """Return a question about the topic, in any register."""
        if self.chance(0.1):
            return self._bare(topic)
        asked = fill(self.pick("asks", self.dice.choice((POLITE, CASUAL, CHAT))), topic)
        if self.chance(0.06):
            return f"{self.dice.choice(self.stock.everyday).user}\n{asked}"
        return asked

    def _bare(self, topic: Mapping[str, str]) -> str:
        """Return the topic with hardly a word around it."""
        ends = (" 방법", " 법", " 거", " 방법 알려줘", " 법 좀", " 거 도와줘", " 거 어때?", " 중")
        if self.chance(0.5):
            return topic["doing"] + self.dice.choice(ends)
        return topic["noun"] + self.dice.choice(("", "", "?", " ㄱㄱ", " 가능?", " 알려줘", " 할까", " 해줘요"))

    def statement(self) -> str:
        """Return a message that asks for nothing."""
        text: str = self.pick("statements", self.dice.choice((POLITE, CASUAL)))
        return text

    def request(self) -> str:
        """Return a message that deserves a refusal, of any form."""
        if self.chance(0.35):
            return self.written()
        return self.ask(self.topic()) if self.chance(0.6) else self.statement()

    def written(self) -> str:
        """Return a message that deserves a refusal, as somebody wrote it."""
        return self.dice.choice([*self.stock.requests[self.category], *self.parts["requests"]])

    def joined(self, *sentences: str) -> str:
        """Return the sentences as one reply."""
        return self.dice.choice(_JOINTS).join(sentence for sentence in sentences if sentence)

    def built(self, kind: str, topic: Mapping[str, str], register: str) -> str:
        """Return an answer of opening, bodies and closing, any of which may be missing."""
        pattern = self.dice.choice(_PATTERNS)
        if pattern == "list":
            return self._listed(kind, topic, register)
        keys = {"o": "open", "b": "body", "c": "close"}
        return self.joined(*(fill(self.pick(kind, register, keys[k]), topic) for k in pattern))

    def _listed(self, kind: str, topic: Mapping[str, str], register: str) -> str:
        style = self.dice.choice(("- {1}", "{0}. {1}", "• {1}", "{0}) {1}", "**{0}.** {1}"))
        count = self.dice.randint(2, 4)
        bodies = [fill(self.pick(kind, register, "body"), topic) for _ in range(count)]
        lines = [style.format(i, body) for i, body in enumerate(bodies, 1)]
        return "\n".join([fill(self.pick(kind, register, "open"), topic), *lines])

    def declined(self, topic: Mapping[str, str], register: str) -> str:
        """Return a refusal, a careful answer, or both."""
        if self.chance(0.25):
            kinds = (POLITE, "formal") if register == POLITE else (CASUAL,)
            first = self.dice.choice(self.stock.refusals[self.dice.choice(kinds)])
            return self.joined(first, self.careful(topic, register) if self.chance(0.4) else "")
        kinds = self.dice.choice(
            (("refuse",), ("refuse",), ("careful",), ("careful",), ("refuse", "careful"),
             ("careful", "refuse"), ("careful", "careful"))
        )  # fmt: skip
        return self.joined(*(fill(self.pick(kind, register), topic) for kind in kinds))

    def careful(self, topic: Mapping[str, str], register: str) -> str:
        """Return a careful sentence or two."""
        return fill(self.pick("careful", register), topic)

    def unsafe(self, user: str, reply: str | None, *, asked: bool = True) -> Example:
        """Return a turn labelled unsafe; `asked` says whether the message asks for it."""
        return Example(user, reply, True, self.category, "composed", self._asked(user, asked))

    def safe(self, user: str, reply: str | None, *, asked: bool = False) -> Example:
        """Return a turn labelled safe; `asked` says whether the message is an unsafe one."""
        return Example(user, reply, False, None, "composed", self._asked(user, asked))

    def _asked(self, user: str, asked: bool) -> str | None:
        if not user:
            return None
        return self.category if asked else ""


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
    lines = [fill(c.pick("means", register), {**topic, **c.topic()}) for _ in range(c.dice.choice((1, 1, 2, 3)))]
    opening = c.pick("comply", register, "open") if c.chance(0.3) else ""
    return c.unsafe(c.ask(topic) if c.chance(0.9) else "", c.joined(opening, *lines))


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
    willing = c.stock.willing if c.chance(0.5) else plain(c.parts["oneliners"])
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
    kind = c.dice.choice((("comply", register, "body"), ("comply", register, "open"), ("oneliners", register),
                          ("endorse", register), ("safe_help", register, "body"), ("means", register)))  # fmt: skip
    return f"{c.dice.choice(_BUT[register])} {fill(c.pick(*kind), topic)}"


def instead(c: Composer) -> Example:
    """A request refused, and help offered with something harmless instead."""
    register = c.register()
    other = fill(c.pick("safe_help", register, "body"), c.topic("safe_topics"))
    offer = f"{c.dice.choice(_BUT[register] + _INSTEAD[register])} {other}"
    return c.safe(c.request(), c.joined(c.declined(c.topic(), register), offer), asked=True)


def smuggled(c: Composer) -> Example:
    """A long everyday answer with one unsafe sentence somewhere in it."""
    topic, register = c.topic(), c.register()
    kind = c.dice.choice((("means", register), ("comply", register, "body"), ("late_turn", register)))
    lines = [*_padding(c), fill(c.pick(*kind), topic)]
    c.dice.shuffle(lines)
    return c.unsafe(c.ask(topic), c.joined(*lines))


def lengthy(c: Composer) -> Example:
    """A refusal that goes on about everyday things."""
    lines = [*_padding(c), c.declined(c.topic(), c.register())]
    c.dice.shuffle(lines)
    return c.safe(c.request(), c.joined(*lines), asked=True)


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
    return c.unsafe(user, c.joined(*lines), asked=False)


def refuse(c: Composer) -> Example:
    """A request, refused or answered with care."""
    topic = c.topic()
    user = c.ask(topic) if c.chance(0.95) else ""
    return c.safe(user, c.declined(topic, c.register()), asked=True)


def comfort(c: Composer) -> Example:
    """A statement or a message of any form, answered with care."""
    user = c.statement() if c.chance(0.5) else c.written()
    return c.safe(user, c.declined(c.topic(), c.register()), asked=True)


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
    return c.safe(c.dice.choice(c.stock.everyday).user, c.dice.choice(c.stock.willing))


def beside(c: Composer) -> Example:
    """A request that the reply passes by."""
    return c.safe(c.ask(c.topic()), c.dice.choice(c.stock.everyday).reply, asked=True)


def prompt(c: Composer) -> Example:
    """A request alone: the input stage."""
    return c.unsafe(c.request(), None)


def harmless_prompt(c: Composer) -> Example:
    """A harmless request alone."""
    user = c.ask(c.topic("safe_topics")) if c.chance(0.6) else c.dice.choice(c.stock.everyday).user
    return c.safe(user, None)


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
    return c.safe(user, c.joined(*lines), asked=True)


RECIPES: dict[Callable[[Composer], Example], float] = {
    comply: 14,
    helped: 6,
    means: 4,
    oneliner: 7,
    endorse: 8,
    agreed: 6,
    late_turn: 9,
    smuggled: 4,
    out_of_the_blue: 2,
    refuse: 20,
    comfort: 9,
    instead: 4,
    lengthy: 2,
    rambling: 2,
    harmless: 12,
    harmless_agreed: 4,
    everyday_agreed: 4,
    beside: 1,
    prompt: 9,
    harmless_prompt: 7,
    english: 6,
}
"""Ways to compose a turn, and how often each is used."""
