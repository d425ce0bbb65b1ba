"""More forms of a topic's verb, from the two that the topic brings along.

A topic says what is done as `doing` ("문을 여는") and `to` ("문을 열려고"). Between them they hold
the verb's stem, so wishes and encouragement need not be written out for each topic.
"""

from __future__ import annotations

from collections.abc import Mapping

from guardrail.letters import Syllable

__all__ = ["inflected"]

_L, _B = 8, 17  # places of ㄹ, ㅂ among the tails
_A, _AE, _YA, _EO, _E, _YEO = 0, 1, 2, 4, 5, 6
_O, _WA, _WAE, _OE, _U, _WO, _EU, _I = 8, 9, 10, 11, 13, 14, 18, 20
_BRIGHT = (_A, _YA, _O)
_FUSED = {_O: _WA, _U: _WO, _I: _YEO, _OE: _WAE}
_WHOLE = ("따르", "치르", "들르", "다다르")  # ㅡ falls out of these; others in 르 double the ㄹ
_PLAIN_B = ("잡", "뽑", "집", "씹", "입", "접", "업", "꼽", "좁")
_HA = "하"


def inflected(topic: Mapping[str, str]) -> dict[str, str]:
    """Return the topic with more forms beside its own.

    For "문을 여는" they are `wish` "문을 열고", `will` "문을 열" (as in 열까), `may` "문을 열어",
    `not` "문을 열지", and the verb by itself in `act` "열어" and `stop` "열지".
    """
    soft = topic["to"].removesuffix("려고")
    stem = _stem(topic["doing"].removesuffix("는"), soft)
    may = _may(stem, soft)
    verb = stem.split()[-1]
    return {
        **topic,
        "wish": f"{stem}고",
        "will": _will(soft),
        "may": may,
        "act": may.split()[-1],
        "not": f"{stem}지",
        "stop": f"{verb}지",
    }


def _stem(before_neun: str, soft: str) -> str:
    """Return the stem; before 는 it has lost its ㄹ, before 려고 it has kept it."""
    return soft if _parts(soft[-1])[2] == _L and not _parts(before_neun[-1])[2] else before_neun


def _will(soft: str) -> str:
    lead, vowel, tail = _parts(soft[-1])
    return soft if tail else soft[:-1] + _letter(lead, vowel, _L)


def _may(stem: str, soft: str) -> str:
    """Return the stem with 아 or 어."""
    head, last = stem[:-1], stem[-1]
    lead, vowel, tail = _parts(last)
    if last == _HA:
        return f"{head}해"
    if last == "르" and not stem.endswith(_WHOLE):
        return _doubled(head)
    if tail:
        return _closed(stem, soft)
    if vowel == _EU:
        bright = head and _parts(head[-1])[1] in _BRIGHT and head[-1] != " "
        return head + _letter(lead, _A if bright else _EO, 0)
    if vowel in _FUSED:
        return head + _letter(lead, _FUSED[vowel], 0)
    return stem if vowel in (_A, _AE, _EO, _E, _YEO) else f"{stem}어"


def _doubled(head: str) -> str:
    """Return 골라 for 고(르)."""
    lead, vowel, _ = _parts(head[-1])
    return head[:-1] + _letter(lead, vowel, _L) + ("라" if vowel in _BRIGHT else "러")


def _closed(stem: str, soft: str) -> str:
    """Return a stem that ends in a consonant with 아 or 어; some lose or change the consonant."""
    head, (lead, vowel, tail) = stem[:-1], _parts(stem[-1])
    ending = "아" if vowel in _BRIGHT else "어"
    if tail == _B and not stem.endswith(_PLAIN_B):
        return head + _letter(lead, vowel, 0) + ("와" if stem.endswith("돕") else "워")
    changed = soft.removesuffix("으")  # 지(으려고) for 짓, 들(으려고) for 듣
    return changed + ending if soft.endswith("으") else stem + ending


def _parts(letter: str) -> tuple[int, int, int]:
    syllable = Syllable.of(letter)
    return syllable.lead, syllable.vowel, syllable.tail


def _letter(lead: int, vowel: int, tail: int) -> str:
    return str(Syllable(lead, vowel, tail))
