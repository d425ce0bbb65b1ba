"""How much of a reply the platform takes, and how a reply is cut to it.

From Kakao's guide to skill responses (kakaobusiness.gitbook.io, "응답 타입별 JSON 포맷"). Beyond
these limits a message is cut without notice, or does not appear at all. Where the guide counts
lines instead of characters nothing is cut.
"""

from __future__ import annotations

from typing import Any

from guardrail.window import sentence_end

__all__ = ["CARDS", "COMPONENTS", "cut", "fit", "pieces"]

OUTPUTS, QUICK_REPLIES = 3, 10
SIMPLE_TEXT, LABEL = 1000, 14
CAROUSEL_ITEMS, CAROUSEL_LISTS = 10, 5
# Buttons stand below each other, or side by side, where there is less room.
BUTTONS, BUTTONS_ABREAST, LABEL_ABREAST = 3, 2, 8

# Of a card by itself, and of one in a carousel: characters of its texts, elements of its lists.
CARDS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "textCard": (
        {"title": 50, "description": 400},
        {"title": 50, "description": 128},
    ),
    "basicCard": (
        {"title": 50, "description": 230},
        {"title": 50, "description": 76},
    ),
    "commerceCard": (
        {"title": 30, "description": 40, "thumbnails": 1},
        {"title": 30, "description": 40, "thumbnails": 1},
    ),
    "listCard": ({"items": 5}, {"items": 4}),
    "itemCard": (
        {"title": 200, "description": 200, "itemList": 10},
        {"title": 100, "description": 100, "itemList": 5},
    ),
}
# Of a card's title and description together.
_TOGETHER = {"textCard": (400, None), "itemCard": (200, 100)}
# Of the parts of any card.
_PARTS = {
    "thumbnail": {"altText": 50},
    "thumbnails": {"altText": 50},
    "profile": {"title": 15},
    "itemList": {"title": 6},
    "itemListSummary": {"title": 6, "description": 14},
}
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
        _fit_card(component, COMPONENTS.get(name, {}), _TOGETHER.get(name, (None,))[0])
        return
    kind = component.get("type")
    _fit_texts(component, {"items": CAROUSEL_LISTS} if kind == "listCard" else COMPONENTS[name])
    limits = CARDS[kind][1] if kind in CARDS else {}
    for item in component.get("items", ()):
        _fit_card(item, limits, _TOGETHER.get(kind, (None, None))[1])


def _fit_card(card: Any, limits: dict[str, int], together: int | None) -> None:
    _fit_texts(card, limits)
    title, description = card.get("title"), card.get("description")
    if together and isinstance(title, str) and isinstance(description, str):
        _fit_texts(card, {"description": max(1, together - len(title))})
    _fit_buttons(card)
    for name, part_limits in _PARTS.items():
        for part in _several(card.get(name, ())):
            _fit_texts(part, part_limits)


def _fit_buttons(card: Any) -> None:
    abreast = _stand_abreast(card)
    buttons = card.get("buttons", [])
    del buttons[BUTTONS_ABREAST if abreast else BUTTONS :]
    for button in buttons:
        _fit_texts(button, {"label": LABEL_ABREAST if abreast and len(buttons) > 1 else LABEL})


def _stand_abreast(card: Any) -> bool:
    """Whether a card's buttons stand side by side: below a square image they do unless told."""
    if "buttonLayout" in card:
        return bool(card["buttonLayout"] == "horizontal")
    images = (*_several(card.get("thumbnail", ())), *card.get("thumbnails", ()))
    return any(image.get("fixedRatio") is True for image in images)


def _several(part: Any) -> Any:
    return [part] if isinstance(part, dict) else part


def _fit_texts(part: Any, limits: dict[str, int]) -> None:
    for key, most in limits.items():
        value = part.get(key)
        if isinstance(value, str):
            part[key] = cut(value, most)
        elif isinstance(value, list):
            del value[most:]
