"""Undo the ways Korean is disguised: split jamo, fillers, look-alikes, stretching, spacing.

`readable` changes nothing that a reader would notice and is always applied. `unmasked` goes
further and would bend some ordinary text (it joins words written one syllable at a time), so what
it returns is judged beside the readable form, never instead of it.
"""

from __future__ import annotations

import re
import unicodedata

from guardrail.classifiers.embedded import jamo
from guardrail.letters import INVISIBLE

__all__ = ["readable", "unmasked"]

_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_LIGATURES = re.compile("[\ufdfa\ufdfb]")  # one becomes up to 18 Arabic letters
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u302a-\u302f]"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_DECORATION = re.compile("[\u2190-\u23ff\u2500-\u2bff\u3008-\u301b\u3020\u3030\u303e\u303f\u30fb]+")
# Emphasis, code and headings, as chat windows render them; a single * or _ may be anything.
_MARKUP = re.compile(r"\*{2,}|_{2,}|`+|^[ \t]*(?:#{1,6}|>+)[ \t]+", re.MULTILINE)
_SPACES = re.compile(r"[^\S\n]+")
_NEWLINES = re.compile(r" ?\n[ \n]*")
_STRETCHED = re.compile(r"([^\d\s])\1{2,}")
_ORDINARY = re.compile(
    r"(?:[가-힣a-z0-9.,?!~%'\"()/:;\-]| (?! )|\n(?![ \n])|[ㅋㅎㅠㅜㅇ]+(?![ㄱ-ㅣ]))*"
)
_PASSES = 8  # each pass can uncover work for an earlier one; two are nearly always enough


def readable(text: str) -> str:
    """Return the text with its characters in one canonical, lower-case, visible form.

    Idempotent, and never fails, whatever the code points.
    """
    if _ORDINARY.fullmatch(text) and not _STRETCHED.search(text):
        return text.strip()
    for _ in range(_PASSES):
        before = text
        text = _readable_once(text)
        if text == before:
            break
    return text


def _readable_once(text: str) -> str:
    text = _LIGATURES.sub(" ", _INVISIBLE.sub("", text))
    text = jamo.keep_compatibility(text, lambda part: unicodedata.normalize("NFKC", part))
    text = _MARKS.sub("", text).lower()
    text = _CONTROL.sub(" ", _DECORATION.sub("", _MARKUP.sub("", text)))
    text = _STRETCHED.sub(r"\1\1", jamo.join(text))
    return _NEWLINES.sub("\n", _SPACES.sub(" ", text)).strip()


_LOOKALIKE_VOWELS = dict(zip("1li|!r卜トh-_一", "ㅣㅣㅣㅣㅣㅏㅏㅏㅐㅡㅡㅡ", strict=True))
_LOOKALIKE_CONSONANTS = dict(zip("人入∧^己口0o7", "ㅅㅅㅅㅅㄹㅁㅇㅇㄱ", strict=True))
_SOUND_LETTERS = dict(zip("多下大小女二", "다하대소여이", strict=True))
_AFTER_CONSONANT = re.compile(r"(?<=[ㄱ-ㅎ])[1li|!r卜トh\-_一](?![a-z0-9])")
_BEFORE_VOWEL = re.compile(r"(?<![a-z0-9])[人入∧^己口0o7](?=[ㅏ-ㅣ])")
_SOUND = re.compile("[多下大小女二]")
_COUNTED = "가개건권급기년달대도동등만명박배번분살석세시억원월위인일장점조주차천초층칸편평호회"
_BETWEEN = re.compile(
    rf"(?<=[가-힣])(?:[.,·*_\-^~!|/+=@#$%&:;'\"`()\[\]{{}}<>]{{1,6}}|\d(?![{_COUNTED}]))(?=[가-힣])"
)
_LONE = r"[가-힣ㄱ-ㅎ](?=[\s.,\-_*/]|\Z)"  # a syllable or letter with nothing after it
_SPELLED_OUT = re.compile(rf"(?<!\S){_LONE}(?:[\s.,\-_*/]{{1,3}}{_LONE}){{3,}}+")
_SEPARATORS = re.compile(r"[\s.,\-_*/]+")
# One and the same sign after each syllable, spaces apart.
_FILLED = re.compile(r"(?:[가-힣]([^\s가-힣]) ?)[가-힣](?:\1 ?[가-힣]){2,}")
_QUOTED_WORDS = re.compile(r"(?<!\S)\"[^\"\s]+\"[.,?!]?(?:\s+\"[^\"\s]+\"[.,?!]?){2,}")
_TRAILING_OFF = re.compile(r"(?<=[가-힣])(?:\.{2,}|…)\s*(?=[가-힣])")
_COLUMN = re.compile(r"^\S{1,12}(?:\n\S{1,12}){3,}$", re.MULTILINE)  # a word to a line


def unmasked(text: str) -> str:
    """Return readable text with look-alikes, fillers between syllables and spread spacing undone.

    Idempotent. Equals its argument for nearly all ordinary text.
    """
    for _ in range(_PASSES):
        before = text
        text = _unmasked_once(text)
        if text == before:
            break
    return text


def _unmasked_once(readable_text: str) -> str:
    text = _AFTER_CONSONANT.sub(lambda found: _LOOKALIKE_VOWELS[found[0]], readable_text)
    text = _BEFORE_VOWEL.sub(lambda found: _LOOKALIKE_CONSONANTS[found[0]], text)
    text = _SOUND.sub(lambda found: _SOUND_LETTERS[found[0]], text)
    text = _FILLED.sub(lambda found: found[0].replace(found[1], ""), text)
    text = _QUOTED_WORDS.sub(lambda found: found[0].replace('"', ""), text)
    text = _TRAILING_OFF.sub(" ", text)
    text = _BETWEEN.sub("", text)
    text = _SPELLED_OUT.sub(lambda found: _SEPARATORS.sub("", found[0]), text)
    text = _COLUMN.sub(lambda found: found[0].replace("\n", " "), text)
    text = jamo.unstretch(text)
    return text if text == readable_text else readable(text)
