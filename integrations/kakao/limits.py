"""How much of a reply the platform takes, and how a reply is cut to it.

From Kakao's guide to skill responses (kakaobusiness.gitbook.io, "응답 타입별 JSON 포맷"). Beyond
these limits a message is cut without notice, or does not appear at all. Where the guide counts
lines instead of characters nothing is cut.
"""

from __future__ import annotations

from typing import Any

from guardrail.window import sentence_end

__all__ = ["CARDS", "COMPONENTS", "cut", "fit", "pieces"]

OUTPUTS, QUICK_REPLIES, CAROUSEL_ITEMS = 3, 10, 10
SIMPLE_TEXT, LABEL = 1000, 14

# Of a card by itself, and of one in a carousel: characters of its texts, elements of its lists.
CARDS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "textCard": (
        {"title": 50, "description": 400, "buttons": 3},
        {"title": 50, "description": 128, "buttons": 3},
    ),
    "basicCard": (
        {"title": 50, "description": 230, "buttons": 3},
        {"title": 50, "description": 76, "buttons": 3},
    ),
    "commerceCard": (
        {"title": 30, "description": 76, "thumbnails": 1, "buttons": 3},
        {"title": 30, "description": 76, "thumbnails": 1, "buttons": 3},
    ),
    "listCard": ({"items": 5, "buttons": 2}, {"items": 5, "buttons": 2}),
    "itemCard": (
        {"title": 200, "description": 200, "itemList": 10, "buttons": 3},
        {"title": 100, "description": 100, "itemList": 5, "buttons": 2},
    ),
}
# Of a card's title and description together.
_TOGETHER = {"textCard": (400, None), "itemCard": (200, 100)}
COMPONENTS: dict[str, dict[str, int]] = {
    "simpleText": {"text": SIMPLE_TEXT},
    "simpleImage": {"altText": 50},
    **{name: limits for name, (limits, _) in CARDS.items()},
    "carousel": {"items": CAROUSEL_ITEMS},
}


def pieces(text: str) -> list[str]:
    """Return a text as up to three bubbles, cut at the ends of sentences where that is possible.

    The space between two belongs to the first. What three cannot hold is left out, and "…" says so.
    """
    found: list[str] = []
    rest = text.strip()
    while rest and len(found) < OUTPUTS - 1:
        following = rest[_bubble_end(rest) :].lstrip()
        found.append(rest[: len(rest) - len(following)])
        rest = following
    return [*found, cut(rest, SIMPLE_TEXT)] if rest else found


def _bubble_end(text: str) -> int:
    whole = _end(text, SIMPLE_TEXT)
    if whole == len(text):
        return whole
    space = text.rfind(" ", whole // 2, whole)
    return sentence_end(text[:whole], whole // 2) or (space if space > 0 else whole)


def cut(text: str, most: int) -> str:
    """Return the text if it is no longer than it may be, or its beginning and "…"."""
    if _end(text, most) == len(text):
        return text
    return text[: _end(text, most - 1)].rstrip() + "…"


def _end(text: str, most: int) -> int:
    """Return the place up to which a text fits; characters beyond the BMP count twice."""
    if len(text) * 2 <= most:
        return len(text)
    room = most
    for place, char in enumerate(text):
        room -= 1 if char < "\U00010000" else 2
        if room < 0:
            return place
    return len(text)


def fit(response: dict[str, Any]) -> None:
    """Cut a response, in place, to what the platform takes."""
    template = response.get("template", {})
    for name, most in (("outputs", OUTPUTS), ("quickReplies", QUICK_REPLIES)):
        if isinstance(template.get(name), list):
            del template[name][most:]
    for output in template.get("outputs", ()):
        for name, component in output.items():
            _fit_component(name, component)
    for reply in template.get("quickReplies", ()):
        _fit_texts(reply, {"label": LABEL})


def _fit_component(name: str, component: Any) -> None:
    if name != "carousel":
        _fit_card(name, component, COMPONENTS.get(name, {}), _TOGETHER.get(name, (None,))[0])
        return
    _fit_texts(component, COMPONENTS[name])
    kind = component.get("type")
    limits = CARDS[kind][1] if kind in CARDS else {}
    for item in component.get("items", ()):
        _fit_card(kind, item, limits, _TOGETHER.get(kind, (None, None))[1])


def _fit_card(name: str, card: Any, limits: dict[str, int], together: int | None) -> None:
    _fit_texts(card, limits)
    title, description = card.get("title"), card.get("description")
    if together and isinstance(title, str) and isinstance(description, str):
        _fit_texts(card, {"description": max(1, together - len(title))})
    for button in card.get("buttons", ()):
        _fit_texts(button, {"label": LABEL})
    if name == "itemCard":
        for item in (*card.get("itemList", ()), card.get("itemListSummary", {})):
            _fit_texts(item, {"title": 6})


def _fit_texts(part: Any, limits: dict[str, int]) -> None:
    for key, most in limits.items():
        value = part.get(key)
        if isinstance(value, str):
            part[key] = cut(value, most)
        elif isinstance(value, list):
            del value[most:]
