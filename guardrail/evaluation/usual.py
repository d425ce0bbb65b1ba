"""How columns are usually called, and what labels usually say, in English and in Korean."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

__all__ = ["USUAL", "folded", "folded_label", "is_unsafe"]

USUAL: Mapping[str, tuple[str, ...]] = {
    "user": (
        "user", "prompt_k", "prompt", "question", "instruction", "query", "input",
        "사용자", "이용자", "고객", "질문", "질의", "문의",
    ),
    "assistant": (
        "assistant", "reply", "response", "answer", "output", "completion",
        "챗봇", "봇", "상담원", "상담사", "답변", "응답", "대답", "답",
    ),
    "text": (
        "text", "sentence", "comment", "comments", "document", "content",
        "문장", "내용", "텍스트", "발화", "본문", "댓글",
    ),
    "messages": ("messages", "conversation", "conversations", "turns"),
    "unsafe": (
        "unsafe", "is_unsafe", "harmful", "is_harmful", "toxic", "is_toxic",
        "위험", "위험여부", "유해", "유해여부", "유해성", "부적절", "label", "라벨", "레이블",
    ),
    "safe": ("safe", "is_safe", "안전", "안전여부"),
    "category": ("category", "harm_category", "범주", "카테고리", "유형", "분류"),
    "source": ("source", "dataset", "출처"),
    "language": ("lang", "language", "언어"),
}  # fmt: skip
"""Usual names of the columns, the likeliest first, as `folded` writes them."""

_UNSAFE = {
    "unsafe", "harmful", "toxic", "bad", "hate", "offensive", "위험", "위험함", "유해", "유해함",
    "부적절",
}  # fmt: skip
_SAFE = {
    "safe", "harmless", "benign", "good", "normal", "clean", "안전", "안전함", "무해", "무해함",
    "정상", "적절",
}  # fmt: skip
_YES = {"true", "1", "1.0", "yes", "y", "예"}
_NO = {"false", "0", "0.0", "no", "n", "none", "아니오", "아니요"}
# Korean forms answer with a circle for yes and a cross for no. Under "label", or "verdict", the
# circle may as well be praise, so they count only where the column's name asks what they answer.
_CIRCLES, _CROSSES = {"o", "○", "◯"}, {"x", "×", "✕"}
_ASKING = ("unsafe", "harm", "toxic", "safe", "위험", "유해", "부적절", "안전")


def folded(name: str) -> str:
    """Return a name as it is compared: case, spaces and the letters' composition do not matter."""
    return "".join(unicodedata.normalize("NFKC", name).lower().split())


def folded_label(label: object) -> str:
    """Return a label as it is compared: also 1, 1.0 and true are one, and 2 and 2.0."""
    said = folded(str(label))
    said = {"true": "1", "false": "0"}.get(said, said)
    try:
        return f"{float(said):.15g}"
    except ValueError:
        return said


def is_unsafe(label: str, column: str, *, column_is_safe: bool) -> bool | None:
    """Return what a label says; None where that cannot be told.

    Args:
        label: as it stands there.
        column: its name.
        column_is_safe: yes means safe there.
    """
    said = folded(label)
    if said in _UNSAFE or said in _SAFE:
        return said in _UNSAFE
    asked = any(word in folded(column) for word in _ASKING)
    if said in _YES or (asked and said in _CIRCLES):
        return not column_is_safe
    if said in _NO or (asked and said in _CROSSES):
        return column_is_safe
    return None
