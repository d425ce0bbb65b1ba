"""From a prompt's text to what a server is sent, with the text kept data.

A server tokenizes what it is sent, special tokens included: `<|eot_id|>` in a user's message
would end the message. So either the client tokenizes (`Ids`), and such text is encoded as the
plain characters that it is; or the first character of what looks like a special token is replaced
by a look-alike (`Text`, `Message`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from guardrail.classifiers.tokens import around_specials, encodable, starts, without_specials
from guardrail.errors import ConfigError, needing
from guardrail.types import Conversation, Turn

__all__ = ["LLAMA3", "Ids", "Message", "Prompt", "Text", "Writing", "harmless"]

LLAMA3 = (
    "<|start_header_id|>user<|end_header_id|>\n\n{prompt}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
"""Llama 3's chat template around one user message; servers put `<|begin_of_text|>` before it."""

_FRAME = 64  # tokens that a chat template adds: Llama 3.1's, with its date, has 40
# What special tokens of the common families look like: Llama 3's and Qwen's, DeepSeek's, Llama 2's
# and Mistral's, Gemma's.
_SPECIAL = re.compile(
    r"(?P<open><)(?=[|\uff5c])|(?<=[|\uff5c])(?P<close>>)"
    r"|(?P<tag><)(?=/?(?:s|unk|pad|bos|eos|mask|(?:start|end)_of_\w+|unused\d+)>|</?SYS>>)"
    r"|(?P<bracket>\[)(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_\w+|THINK|IMG)\])",
    re.IGNORECASE,
)
_LOOKALIKES = {
    "open": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
    "tag": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
    "close": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
    "bracket": "\N{FULLWIDTH LEFT SQUARE BRACKET}",
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one request sends.

    Args:
        body: the part of the request that holds the prompt.
        most: tokens that it can be at most.
        least: tokens that it is at least; a server that counts fewer has cut it.
    """

    body: Mapping[str, Any]
    most: int
    least: int


class Writing(Protocol):
    """Writes prompts as one kind of request takes them."""

    chat: bool
    """Whether the server applies its own chat template."""

    def plain(self, conversation: Conversation) -> Conversation:
        """Return the conversation with nothing in it that a server reads as a special token."""

    def prompt(self, text: str) -> Prompt:
        """Return a prompt that asks `text`."""

    def starts(self, text: str) -> list[int]:
        """Return where in a text each of its tokens starts, in characters."""


def harmless(text: str) -> str:
    """Return the text with what looks like a special token made to look like one only."""
    return _SPECIAL.sub(lambda found: _LOOKALIKES[str(found.lastgroup)], text)


class Message:
    """Prompts as one user message of a chat; the server has the template and the tokenizer."""

    chat = True

    def plain(self, conversation: Conversation) -> Conversation:
        """Return the conversation with imitated special tokens made harmless."""
        return tuple(Turn(turn.role, harmless(turn.content)) for turn in conversation)

    def prompt(self, text: str) -> Prompt:
        """Return a prompt that asks `text`."""
        messages = [{"role": "user", "content": text.strip()}]
        return Prompt({"messages": messages}, _most_tokens(text) + _FRAME, _least_tokens(text))

    def starts(self, text: str) -> list[int]:
        """Return one place per byte: no token of a byte-level vocabulary is shorter."""
        return [place for place, char in enumerate(text) for _ in char.encode("utf-8", "replace")]


class Text(Message):
    """Prompts as raw text in a chat template; the server has the tokenizer.

    Args:
        template: holds `{prompt}` once.
    """

    chat = False

    def __init__(self, template: str) -> None:
        self._before, self._after = _halves(template)

    def prompt(self, text: str) -> Prompt:
        """Return a prompt that asks `text`."""
        written = f"{self._before}{text.strip()}{self._after}"
        return Prompt({"prompt": written}, _most_tokens(text) + _FRAME, _least_tokens(text))


class Ids:
    """Prompts as token ids, which no text can forge.

    Args:
        tokenizer: path of the model's tokenizer.json, or of the folder that holds it.
        template: holds `{prompt}` once.

    Raises:
        ConfigError: the file cannot be read.
        MissingExtraError: the library that reads it is not installed.
    """

    chat = False

    def __init__(self, tokenizer: str | Path, template: str) -> None:
        full = _loaded(Path(tokenizer))
        before, after = _halves(template)
        # Text beside a special token is encoded with the message: merges may span both.
        self._lead = around_specials(full, before).after
        self._trail = around_specials(full, after).before
        self._before = full.encode(before.removesuffix(self._lead), add_special_tokens=True).ids
        self._after = full.encode(after.removeprefix(self._trail), add_special_tokens=False).ids
        self._plain = without_specials(full, {*self._before, *self._after})

    def plain(self, conversation: Conversation) -> Conversation:
        """Return the conversation as it is: ids keep it apart."""
        return conversation

    def prompt(self, text: str) -> Prompt:
        """Return a prompt that asks `text`."""
        written = self._lead + encodable(text).strip() + self._trail
        ids = [
            *self._before,
            *self._plain.encode(written, add_special_tokens=False).ids,
            *self._after,
        ]
        return Prompt({"prompt": ids}, len(ids), len(ids))

    def starts(self, text: str) -> list[int]:
        """Return where in a text each of its tokens starts, in characters."""
        return starts(self._plain, text)


def _most_tokens(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _least_tokens(text: str) -> int:
    """Return as many tokens as any tokenizer that splits at spaces makes at least."""
    return len(text.split())


def _halves(template: str) -> tuple[str, str]:
    before, found, after = template.partition("{prompt}")
    if not found or "{prompt}" in after:
        raise ConfigError(f"template must hold {{prompt}} once, and is {template!r:.200}")
    return before, after


def _loaded(path: Path) -> Any:
    with needing("remote"):
        from tokenizers import Tokenizer

    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception
        raise ConfigError(f"cannot read the tokenizer {str(file)!r}: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
