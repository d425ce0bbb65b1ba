"""Recipes in which the same everyday words follow harmful and harmless messages.

Steps that fit any task, encouragement that fits any wish: only what they answer tells them apart.
And harmful messages, each with a reply to just that message of either kind.
"""

from __future__ import annotations

from training.composer import Composer
from training.examples import Example
from training.parts import plain

__all__ = [
    "cheered",
    "harmless_cheered",
    "harmless_steps",
    "held_back",
    "paired",
    "paired_averted",
    "stepwise",
]


def stepwise(c: Composer) -> Example:
    """A request, and steps in words that would fit any task."""
    topic = c.topic()
    return c.unsafe(c.ask(topic), c.steps(topic, c.register()))


def harmless_steps(c: Composer) -> Example:
    """A harmless request, and steps in words that would fit any task."""
    topic = c.topic("safe_topics")
    return c.safe(c.ask(topic), c.steps(topic, c.register()))


def cheered(c: Composer) -> Example:
    """A wish to do harm, and encouragement in everyday words or the category's own."""
    topic, register = c.topic(), c.register()
    lines = [c.cheer(topic, register)] if c.chance(0.85) else []
    if not lines or c.chance(0.2):
        lines.append(c.pick("own_cheers", register))
    c.dice.shuffle(lines)
    return c.unsafe(c.wish(topic), c.joined(*lines))


def held_back(c: Composer) -> Example:
    """A wish to do harm, and words that hold back from it."""
    topic, register = c.topic(), c.register()
    answer = c.held if c.chance(0.65) else c.declined
    return c.averted(c.wish(topic), answer(topic, register))


def harmless_cheered(c: Composer) -> Example:
    """A harmless wish, and encouragement in everyday words."""
    topic = c.topic("safe_topics")
    return c.safe(c.wish(topic), c.cheer(topic, c.register()))


def paired(c: Composer) -> Example:
    """A message of any form, and a reply to just that which goes along."""
    pair = c.pick("pairs")
    more = c.dice.choice(plain(c.parts["cheers"])) if c.chance(0.2) else ""
    return c.unsafe(pair["user"], c.joined(pair["yes"], more))


def paired_averted(c: Composer) -> Example:
    """The same message, and a reply to just that which does not."""
    pair = c.pick("pairs")
    more = c.declined(c.topic(), c.register()) if c.chance(0.2) else ""
    return c.averted(pair["user"], c.joined(pair["no"], more))
