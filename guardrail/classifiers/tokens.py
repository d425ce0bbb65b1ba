"""Text to token ids so that it stays text: what every classifier with a tokenizer does alike.

The tokenizers are the `tokenizers` library's; it is imported by who loads one.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

__all__ = ["Around", "around_specials", "encodable", "starts", "without_specials"]


class Around(NamedTuple):
    """The plain text before the first special token of a text, and after the last."""

    before: str
    after: str


def around_specials(tokenizer: Any, text: str) -> Around:
    """Return the plain text before the first and after the last added token of a text."""
    added = tokenizer.get_added_tokens_decoder()
    encoding = tokenizer.encode(text, add_special_tokens=False)
    places = [
        offsets
        for token, offsets in zip(encoding.ids, encoding.offsets, strict=True)
        if token in added
    ]
    return Around(text[: places[0][0]], text[places[-1][1] :]) if places else Around(text, text)


def without_specials(tokenizer: Any, template_ids: set[int]) -> Any:
    """Return a copy for which neither special tokens nor the template's exist in a text."""
    state = json.loads(tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["special"] or token["id"] in template_ids
    copy = type(tokenizer).from_str(json.dumps(state))
    copy.encode_special_tokens = True
    copy.no_truncation()
    copy.no_padding()
    return copy


def starts(tokenizer: Any, text: str) -> list[int]:
    """Return where in a text each of its tokens starts, in characters."""
    encoding = tokenizer.encode(encodable(text), add_special_tokens=False)
    return [start for start, _ in encoding.offsets]


def encodable(text: str) -> str:
    """Return the text with lone surrogates, which no encoding has, as question marks."""
    return text.encode("utf-8", "replace").decode()
