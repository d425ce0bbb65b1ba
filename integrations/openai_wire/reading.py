"""Reads JSON that may hold anything, and tells what of it is no text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

from guardrail.errors import UnguardedCall

__all__ = ["Said", "Unreadable", "is_label", "labelled", "load", "load_request", "strings"]

_BOM = b"\xef\xbb\xbf"
_MOST_DEPTH = 128  # of arrays and objects in each other; what reads them may call itself
_LABEL = re.compile(r"[!-~]{0,200}")
_SEALED = re.compile(r"[A-Za-z0-9+/=_-]*")
# Names, states and sealed blobs: labels here show nobody anything.
_NO_TEXT = frozenset(
    (
        *("id", "type", "status", "call_id", "item_id", "role", "object", "phase"),
        *("encrypted_content", "container_id", "file_id", "server_label", "approval_request_id"),
    )
)
_GONE: Any = object()


class Unreadable(UnguardedCall):
    """A body is no JSON object, or none that everybody would read alike."""


def load(text: str | bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        Unreadable: it is none, is nested without measure, or holds numbers that JSON has not.
    """
    return _loaded(text, _DECODER)


def load_request(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request, which goes on as it came, to be read once more.

    Raises:
        Unreadable: as in `load`; or a key stands twice in an object, of which others might read
            the one that was not looked at here.
    """
    return _loaded(body, _STRICT_DECODER)


def _loaded(text: str | bytes, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        known = text if isinstance(text, str) else text.removeprefix(_BOM).decode()
        value = decoder.decode(known)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Unreadable("the body is no JSON object, so there is no text in it to judge")
    if known.count("[") + known.count("{") > _MOST_DEPTH and _is_deep(value):
        raise Unreadable(f"the body is nested more than {_MOST_DEPTH} deep")
    return value


def _is_deep(value: object) -> bool:
    layer = [value]
    for _ in range(_MOST_DEPTH):
        layer = [child for one in layer for child in _children(one)]
        if not layer:
            return False
    return True


def _children(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known = dict(pairs)
    if len(known) < len(pairs):
        raise Unreadable("a key stands twice in one object of the body")
    return known


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
_STRICT_DECODER = json.JSONDecoder(
    parse_float=_finite, parse_constant=_no_constant, object_pairs_hook=_unique
)


class Said:
    """The strings of a request: what the caller has said may be told back to it."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body: Mapping[str, Any] | None = body
        self._strings: frozenset[str] = frozenset()

    def __contains__(self, text: object) -> bool:
        if self._body is not None:  # few replies ask
            self._strings, self._body = frozenset(_all_strings(dict(self._body))), None
        return text in self._strings


def is_label(text: object, name: str = "") -> bool:
    """Whether a string is a name, a number or the like, rather than something to read.

    Args:
        text: printable ASCII without a space, and short, if it is.
        name: of its field; a sealed one may hold more, which is nothing but letters and digits.
    """
    if not isinstance(text, str):
        return False
    return bool((_SEALED if name == "encrypted_content" else _LABEL).fullmatch(text))


def labelled(value: Any, said: Container[str] = ()) -> Any:
    """Return a JSON value without what could be read: its numbers and labels; None if it is text.

    Args:
        value: any.
        said: strings that may stay all the same.
    """
    kept = _kept(value, said)
    return None if kept is _GONE else kept


def _kept(value: Any, said: Container[str]) -> Any:
    if isinstance(value, str):
        return value if is_label(value) or value in said else _GONE
    if isinstance(value, dict):
        pairs = [(name, _kept(one, said)) for name, one in value.items() if _is_name(name, said)]
        return {name: one for name, one in pairs if one is not _GONE}
    if isinstance(value, list):
        return [one for one in (_kept(one, said) for one in value) if one is not _GONE]
    return value


def _is_name(name: str, said: Container[str]) -> bool:
    return is_label(name) or name in said


def strings(value: object, name: str = "") -> Iterator[str]:
    """Yield every string in a JSON value that somebody could read, in order; names that could too.

    Args:
        value: any.
        name: of the field it stands in.
    """
    if isinstance(value, str):
        if not (name in _NO_TEXT and is_label(value, name)):
            yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            if not is_label(key):
                yield key
            yield from strings(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one, name)


def _all_strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for one in value.values():
            yield from _all_strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _all_strings(one)
