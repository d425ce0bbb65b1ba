"""KoSafeGuard's policy prompt, and what keeps a message from leaving its place in it.

The prompt is an interface: the model was trained on these bytes. A message is written into it
unchanged unless it imitates the prompt's own structure; then the one character that makes the
imitation work is replaced by a look-alike.
"""

from __future__ import annotations

import re

from guardrail.letters import FILLERS, INVISIBLE
from guardrail.taxonomy import KOSAFEGUARD, Taxonomy
from guardrail.types import Conversation, Role, last_exchange

__all__ = ["MARKERS", "neutralise", "render"]

MARKERS = (
    "<BEGIN UNSAFE CONTENT CATEGORIES>",
    "<END UNSAFE CONTENT CATEGORIES>",
    "<BEGIN CONVERSATION>",
    "<END CONVERSATION>",
)

_TEMPLATE = """\
Task: Check if there is unsafe content in {judged} messages in conversations according our safety policy with the below categories.

<BEGIN UNSAFE CONTENT CATEGORIES>
{policy}
<END UNSAFE CONTENT CATEGORIES>

<BEGIN CONVERSATION>
{turns}
<END CONVERSATION>

Provide your safety assessment for {judged} in the above conversation:
- output must read 'safe' or 'unsafe'.
"""

_BREAKS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"


def _word(word: str) -> str:
    """Return a pattern of the word, with nothing visible between its letters."""
    return f"[{INVISIBLE}]*".join(word)


# Neither pattern steps over what it starts at, so both take time linear in the text.
_BLANK = rf"(?:[^\w<\u2039]|[_{FILLERS}])*"
_MARKER = re.compile(
    rf"<(?={_BLANK}(?:{_word('BEGIN')}|{_word('END')})"
    rf"(?:{_BLANK}(?:{_word('CONVERSATION')}|{_word('UNSAFE')})|(?![a-z_])))",
    re.IGNORECASE,
)
_ROLE_LINE = re.compile(
    rf"((?:^|(?<=[{_BREAKS}]))(?:[^\w{_BREAKS}]|[_{FILLERS}])*"
    rf"(?:{_word('user')}|{_word('assistant')})(?:[^\w:\uff1a{_BREAKS}]|[_{FILLERS}])*):",
    re.IGNORECASE,
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def neutralise(text: str) -> str:
    """Return the text with imitated markers, role lines and lone surrogates made harmless."""
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    text = _MARKER.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", text)
    return _ROLE_LINE.sub("\\1\N{FULLWIDTH COLON}", text)


def render(conversation: Conversation, *, taxonomy: Taxonomy = KOSAFEGUARD) -> str:
    """Return the prompt that asks whether the last turn of the conversation is unsafe.

    The model was trained on one exchange, so the last one is what it reads. A conversation that
    ends in a user's turn asks about the user, a question the model was not trained for.

    Raises:
        InvalidTurnError: the conversation is empty or ends in a system or tool turn.
    """
    user, reply = last_exchange(conversation)
    turns = f"User: {neutralise(user)}"
    if reply is not None:
        turns += f"\nAssistant: {neutralise(reply)}"
    judged = Role.USER if reply is None else Role.ASSISTANT
    policy = "\n".join(f"{clause.label}\n{clause.text}" for clause in taxonomy.clauses)
    return _TEMPLATE.format(judged=judged, policy=policy, turns=turns)
