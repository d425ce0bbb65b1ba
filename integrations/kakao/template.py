"""From what a handler returns to what the platform takes, and all of it that is to be judged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from guardrail.errors import InvalidTurnError, UnguardedCall
from guardrail.integrations.kakao.limits import CARDS, COMPONENTS, fit, pieces

__all__ = ["Answer", "answer_of", "said", "waiting"]

_VERSION = "2.0"
_TOP = {"version", "template", "context", "data"}
_TEMPLATE = {"outputs", "quickReplies"}
# Values that steer the platform, and addresses: judged only where they carry words.
_WORDLESS = {
    *("action", "blockId", "buttonLayout", "currency", "itemListAlignment", "phoneNumber", "type"),
    *("imageUrl", "webLinkUrl", "web", "pc", "mobile", "ios", "android"),
}
_NAME = re.compile("[!-~]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response to the platform, and the texts in it.

    Args:
        response: as it is sent.
        whole: all its texts, as one reply.
        parts: the texts of each bubble, where there are several: a short one must not hide among
            long ones.
    """

    response: Mapping[str, Any]
    whole: str
    parts: Sequence[str] = ()

    @property
    def says_something(self) -> bool:
        """Whether there is anything to show; the platform takes no empty response."""
        outputs = self.response.get("template", {}).get("outputs")
        return bool(outputs or self.response.get("data"))


def said(text: str) -> dict[str, Any]:
    """Return the response that says a text."""
    outputs = [{"simpleText": {"text": piece.rstrip()}} for piece in pieces(text)]
    return {"version": _VERSION, "template": {"outputs": outputs}}


def waiting(text: str) -> dict[str, Any]:
    """Return the response that announces a later one; the block shows `{{#webhook.text}}`."""
    return {"version": _VERSION, "useCallback": True, "data": {"text": text}}


def answer_of(reply: object) -> Answer:
    """Return the answer that a handler's reply amounts to, within the platform's limits.

    Args:
        reply: a text, or a whole response: `{"version": "2.0", "template": {...}}`.

    Raises:
        InvalidTurnError: it is neither.
        UnguardedCall: it has parts that are not known, so nobody can say what they show.
    """
    if isinstance(reply, str):
        return Answer(said(reply), "".join(pieces(reply)))
    if not isinstance(reply, Mapping):
        kind = type(reply).__name__
        raise InvalidTurnError(f"a skill's handler returns str or a response's dict, not {kind}")
    response = _copied(reply)
    _check(response)
    fit(response)
    parts = [part for part in map("\n".join, _bubbles(response)) if part]
    return Answer(response, "\n".join(parts), parts if len(parts) > 1 else ())


def _copied(reply: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a copy as it will be sent, so that nothing changes between judging and sending."""
    try:
        copied: dict[str, Any] = _without_none(json.loads(json.dumps(dict(reply), allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidTurnError(f"the handler's response is no JSON: {error}") from error
    return {**copied, "version": _VERSION}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value


def _check(response: dict[str, Any]) -> None:
    """Refuse what is not known."""
    _refuse_others("the response", response, _TOP)
    template = response.get("template", {})
    _refuse_others("the template", template, _TEMPLATE)
    for output in _dicts("outputs", template.get("outputs", [])):
        _refuse_others("an output", output, COMPONENTS)
        for name, component in output.items():
            _check_component(name, component)
    _dicts("quickReplies", template.get("quickReplies", []))


def _check_component(name: str, component: Any) -> None:
    (one,) = _dicts(name, [component])
    if name == "carousel" and one.get("type") not in [*CARDS]:
        raise UnguardedCall(f"a carousel of {one.get('type')!r:.40} is not known")
    for key in ("buttons", "items", "itemList", "thumbnails"):
        for part in _dicts(f"{name}.{key}", one.get(key, [])):
            if name == "carousel":
                _check_component(f"{name}.{key}", part)
    for key in ("itemListSummary", "profile", "thumbnail"):
        _dicts(f"{name}.{key}", [one.get(key, {})])


def _dicts(name: str, values: Any) -> list[dict[str, Any]]:
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise UnguardedCall(f"{name} is not built as the platform's guide says")
    return values


def _refuse_others(name: str, there: Any, known: set[str] | dict[str, Any]) -> None:
    if not isinstance(there, dict):
        raise UnguardedCall(f"{name} is not built as the platform's guide says")
    if unknown := [key for key in there if key not in known]:
        raise UnguardedCall(f"{name} has {unknown[0]!r}, and what that shows is not known")


def _bubbles(response: dict[str, Any]) -> Iterator[Iterator[str]]:
    """Yield the texts of each output, of the quick replies, and of what blocks may show later."""
    template = response.get("template", {})
    for output in template.get("outputs", ()):
        yield _shown(output)
    yield _shown(template.get("quickReplies", ()))
    yield _strings([response.get("data", {}), response.get("context", {})])


def _shown(part: Any, key: str = "") -> Iterator[str]:
    """Yield what a user may read of a part of the template."""
    if isinstance(part, str):
        text = unquote(part) if key in _WORDLESS else part
        if key not in _WORDLESS or not _NAME.fullmatch(text):
            yield text
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from _wordy(name)
            yield from _shown(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from _shown(value, key)


def _strings(part: Any) -> Iterator[str]:
    """Yield every text of a part, whatever it is called, and what it is called if that is one."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from _wordy(name)
            yield from _strings(value)
    elif isinstance(part, list):
        for value in part:
            yield from _strings(value)


def _wordy(name: str) -> Iterator[str]:
    """Yield a name that could be read; a block, too, may show what it is called."""
    if not _NAME.fullmatch(name):
        yield name
