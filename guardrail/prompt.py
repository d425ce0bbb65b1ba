"""KoSafeGuard's policy prompt, and what keeps a message from leaving its place in it.

The prompt is an interface: the model was trained on these bytes. A message is written into it
unchanged unless it imitates the prompt's own structure; then the one character that makes the
imitation work is replaced by a look-alike.
"""

from __future__ import annotations

import re

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

# Letters to Unicode, and blank to the eye.
_FILLERS = "\u115f\u1160\u3164\uffa0"
_BREAKS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
# Unicode's Default_Ignorable_Code_Point: nothing is drawn for them.
_INVISIBLE = (
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff]"
)


def _word(word: str) -> str:
    """Return a pattern of the word, with nothing visible between its letters."""
    return f"{_INVISIBLE}*".join(word)


# Neither pattern steps over what it starts at, so both take time linear in the text.
_BLANK = rf"(?:[^\w<\u2039]|[_{_FILLERS}])*"
_MARKER = re.compile(
    rf"<(?={_BLANK}(?:{_word('BEGIN')}|{_word('END')})"
    rf"(?:{_BLANK}(?:{_word('CONVERSATION')}|{_word('UNSAFE')})|(?![a-z_])))",
    re.IGNORECASE,
)
_ROLE_LINE = re.compile(
    rf"((?:^|(?<=[{_BREAKS}]))(?:[^\w{_BREAKS}]|[_{_FILLERS}])*"
    rf"(?:{_word('user')}|{_word('assistant')})(?:[^\w:\uff1a{_BREAKS}]|[_{_FILLERS}])*):",
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
