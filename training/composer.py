"""What turns are composed of: questions, answers and sentences, drawn from the parts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.augment import untidy, without_spaces
from training.examples import Example
from training.josa import fill
from training.parts import Parts
from training.verbs import inflected

__all__ = ["CASUAL", "POLITE", "Composer", "Stock"]

POLITE, CASUAL, CHAT = "polite", "casual", "chat"
_JOINTS = (" ", " ", " ", "\n", "\n\n")
_BARE = (
    ("doing", (" 방법", " 법", " 거", " 방법 알려줘", " 법 좀", " 거 도와줘", " 거 어때?", " 중")),
    ("noun", ("", "", "?", " ㄱㄱ", " 가능?", " 알려줘", " 할까", " 해줘요")),
)
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

    def typed(self, turn: Example) -> Example:
        """Return the turn as someone in a hurry would type it, now and then."""
        user, reply = turn.user, turn.reply
        if self.chance(0.08):
            user, reply = without_spaces(user), reply and without_spaces(reply)
        if user and self.chance(0.2):
            user = untidy(user, self.dice)
        if reply and self.chance(0.1):
            reply = untidy(reply, self.dice)
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
        """Return one topic in all its forms, and another as noun2, doing2, to2."""
        second = {f"{form}2": words for form, words in self.pick(kind).items()}
        return {**inflected(self.pick(kind)), **second}

    def ask(self, topic: Mapping[str, str]) -> str:
        """Return a question about the topic, in any register."""
        if self.chance(0.1):
            return self._bare(topic)
        asked = fill(self.pick("asks", self.dice.choice((POLITE, CASUAL, CHAT))), topic)
        if self.chance(0.06):
            return f"{self.dice.choice(self.stock.everyday).user}\n{asked}"
        return asked

    def wish(self, topic: Mapping[str, str]) -> str:
        """Return a wish or an intention, now and then with what led to it."""
        register = self.register()
        wish = fill(self.pick("wishes", register), topic)
        return self.joined(self.pick("reasons", register), wish) if self.chance(0.25) else wish

    def _bare(self, topic: Mapping[str, str]) -> str:
        """Return the topic with hardly a word around it."""
        form, ends = self.dice.choice(_BARE)
        return topic[form] + self.dice.choice(ends)

    def statement(self) -> str:
        """Return a message that asks for nothing."""
        text: str = self.pick("statements", self.dice.choice((POLITE, CASUAL)))
        return text

    def request(self) -> str:
        """Return a message that deserves a refusal, of any form."""
        if self.chance(0.35):
            return self.written()
        if self.chance(0.2):
            return self.wish(self.topic())
        return self.ask(self.topic()) if self.chance(0.6) else self.statement()

    def written(self) -> str:
        """Return a message that deserves a refusal, as somebody wrote it."""
        requests: list[str] = self.parts["requests"]
        users = [pair["user"] for pair in self.parts["pairs"]]
        return self.dice.choice((*self.stock.requests[self.category], *requests, *users))

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
        count = self.dice.randint(2, 4)
        bodies = [fill(self.pick(kind, register, "body"), topic) for _ in range(count)]
        return "\n".join([fill(self.pick(kind, register, "open"), topic), *self._numbered(bodies)])

    def _numbered(self, lines: Sequence[str]) -> list[str]:
        style = self.dice.choice(("- {1}", "{0}. {1}", "• {1}", "{0}) {1}", "**{0}.** {1}"))
        return [style.format(i, line) for i, line in enumerate(lines, 1)]

    def steps(self, topic: Mapping[str, str], register: str) -> str:
        """Return steps that would fit any task, so that only the task says what they are for."""
        count = self.dice.choice((1, 2, 2, 3, 4, 6))
        known = self.parts["steps"][register]
        lines = self.dice.sample(known, min(count, len(known)))
        opening, close = (
            [self.pick("safe_help", register, place)] if self.chance(share) else []
            for place, share in (("open", 0.4), ("close", 0.2))
        )
        if count > 1 and self.chance(0.3):
            lines = ["\n".join(self._numbered(lines))]
        return fill(self.joined(*opening, *lines, *close), topic)

    def cheer(self, topic: Mapping[str, str], register: str) -> str:
        """Return encouragement in everyday words, which fits any wish."""
        count = 2 if self.chance(0.25) else 1
        lines = [self.pick("cheers", register) for _ in range(count)]
        if self.chance(0.25):
            lines[-1] = self.dice.choice(self.stock.willing)
        return fill(self.joined(*lines), topic)

    def held(self, topic: Mapping[str, str], register: str) -> str:
        """Return words that hold someone back from what they wish."""
        first = fill(self.pick("hold", register), topic)
        rest = self.declined(topic, register) if self.chance(0.5) else ""
        return self.joined(*((first, rest) if self.chance(0.7) else (rest, first)))

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

    def unsafe(self, user: str, reply: str | None) -> Example:
        """Return a turn labelled unsafe."""
        return Example(user, reply, True, self.category, "composed")

    def safe(self, user: str, reply: str | None) -> Example:
        """Return a turn labelled safe."""
        return Example(user, reply, False, None, "composed")

    def averted(self, user: str, reply: str) -> Example:
        """Return a turn labelled safe though its question was of the category."""
        return Example(user, reply, False, self.category, "composed")
