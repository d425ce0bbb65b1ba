"""Long conversations in overlapping windows, so that nothing is cut off silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from guardrail.errors import ClassifierError
from guardrail.types import Conversation, exchange, last_exchange, question

__all__ = ["cut", "in_windows", "pairs"]

P = TypeVar("P")

_SPARE = 16  # tokens that a window may grow by when it is rendered and encoded anew
_EACH_WITH_EACH = 64  # pairs of windows that are all shown
_LEAST = 32  # tokens of text below which a window says nothing


def in_windows(
    conversation: Conversation,
    *,
    encode: Callable[[Conversation], P],
    size: Callable[[P], int],
    starts: Callable[[str], list[int]],
    limit: int,
) -> list[P]:
    """Return prompts of at most `limit` tokens that together show the whole last exchange.

    A conversation that fits is one prompt. Otherwise every window of the reply is shown with the
    user's text, or with windows of that when it is too long as well: see `pairs`. Windows overlap
    by a quarter.

    Args:
        conversation: to be judged.
        encode: writes the prompt of a conversation.
        size: how many tokens a prompt is.
        starts: where in a text each of its tokens starts, in characters.
        limit: tokens at most.

    Raises:
        ClassifierError: the prompt leaves no room for text.
    """
    whole = encode(conversation)
    if size(whole) <= limit:
        return [whole]
    user, reply = last_exchange(conversation)
    frame = size(encode(question("") if reply is None else exchange("", "")))
    room = limit - frame - _SPARE
    while room >= _LEAST:
        prompts = [encode(part) for part in _parts(user, reply, room, starts)]
        if all(size(prompt) <= limit for prompt in prompts):
            return prompts
        room -= room // 4
    raise ClassifierError(
        f"{limit} tokens of context leave no room for text: the prompt alone takes {frame}; "
        "raise context_tokens"
    )


def _parts(
    user: str, reply: str | None, room: int, starts: Callable[[str], list[int]]
) -> list[Conversation]:
    """Return conversations whose texts take at most `room` tokens each."""
    if reply is None:
        return [question(part) for part in cut(user, starts(user), room)]
    user_starts, reply_starts = starts(user), starts(reply)
    for_user = min(len(user_starts), max(room // 2, room - len(reply_starts)))
    users = cut(user, user_starts, for_user)
    replies = cut(reply, reply_starts, room - for_user)
    return [exchange(users[one], replies[other]) for one, other in pairs(len(users), len(replies))]


def pairs(users: int, replies: int) -> list[tuple[int, int]]:
    """Return which windows of a user's text and of the reply are shown together, by number.

    While they are few, each with each. Beyond that the number of prompts would grow with the
    product of two lengths that strangers choose; so every window of the reply is shown with the
    user's first and last, which is where a request begins and ends, and both texts' windows are
    gone through side by side, so that each is shown with what stands as far along in the other.

    Args:
        users: windows of the user's text, at least 1.
        replies: windows of the reply, at least 1.
    """
    if users * replies <= _EACH_WITH_EACH:
        return [(one, other) for one in range(users) for other in range(replies)]
    longer = max(users, replies)
    ends = {(one, other) for one in (0, users - 1) for other in range(replies)}
    along = {(step * users // longer, step * replies // longer) for step in range(longer)}
    return sorted(ends | along)


def cut(text: str, starts: list[int], size: int) -> list[str]:
    """Return overlapping windows of at most `size` tokens, in order.

    They begin at fixed places, so that those of a growing text stay the same.

    Args:
        text: to divide.
        starts: where in it each token starts, in characters.
        size: at least 1.
    """
    if len(starts) <= size:
        return [text]
    stride = max(1, size - size // 4)
    places = [*starts, len(text)]
    begins = range(0, len(starts) - size + stride, stride)
    return [text[places[begin] : places[min(begin + size, len(starts))]] for begin in begins]
