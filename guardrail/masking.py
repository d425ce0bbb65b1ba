"""Hides personal numbers and addresses in Korean text that is kept.

Patterns run over a plain copy of the text (ASCII digits, one kind of dash, nothing invisible), and
end where the digits end rather than at a word's boundary: Korean particles are written on to what
they follow. What is found is replaced in the text itself.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from guardrail.letters import FILLERS

__all__ = ["mask"]

# How a found span is written: no digit is kept, and a reader still sees what stood there.
_EMAIL, _RESIDENT, _CARD = "[이메일]", "[주민등록번호]", "[카드번호]"
_PHONE, _ACCOUNT = "[전화번호]", "[계좌번호]"

_DASHES = "‐‑‒–—―−﹣－ㅡ─ー~∼～·ㆍ・"
# Whether there is anything to look at closely: a digit, a spelt-out mobile number, an address.
_SUSPECT = re.compile(r"\d|[⁰-₉①-⒛⓪⓵-⓽❶-➓]|@|＠|﹫|골뱅이|\(at\)|\[at\]|[공영]\s?일", re.IGNORECASE)

_S = r"[ ]{0,2}[-./)]?[ ]{0,2}"  # between the groups of a number
_MONTH_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_DATE_HEAD = re.compile(r"(?:19|20)\d\d[-. ]?(?:0[1-9]|1[0-2])[-. ]?(?:0[1-9]|[12]\d|3[01])")
_APART = r"(?<!\d)(?<!(?<!\d)\d{3}-)(?<!(?<!\d)\d{4}-)"  # not the middle of an account number
_ABROAD = rf"(?:\(\+?82\)|\+?82\)?){_S}(?:\(0\)[ ]?)?"
_AREA = r"(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d)"
_SPELT = "[0-9공영일이삼사오육륙칠팔구]"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern, what its findings are replaced by, and what else must hold for one.

    `hint` is what every finding has, and most texts have not: quicker to look for.
    """

    token: str
    pattern: re.Pattern[str]
    holds: Callable[[re.Match[str]], bool] = lambda _: True
    hint: re.Pattern[str] = re.compile(r"(?:\d\D*+){9}")


def mask(text: str) -> str:
    """Return the text with phone, resident, card and account numbers and e-mails replaced.

    Seen through: full-width and other digits, invisible characters between them, a particle
    attached. Left alone: prices, dates, order and tracking numbers called so, and the numbers of
    businesses and helplines (1588-0000, 109). A card number must pass the Luhn test; an account
    number must be grouped like one, or stand beside a word such as 계좌 or a bank's name.
    """
    if not _SUSPECT.search(text):
        return text
    plain, places = _plain(text)
    pieces, end = [], 0
    for start, stop, token in _spans(plain):
        pieces += [text[end : places[start]], token]
        end = places[stop - 1] + 1
    return "".join([*pieces, text[end:]])


def _plain(text: str) -> tuple[str, range | list[int]]:
    """Return the plain copy, and the place in the text of each of its characters."""
    if not _ODD.search(text):
        return text, range(len(text))
    kept = [(place, plain) for place, char in enumerate(text) if (plain := _PLAIN[char])]
    return "".join(plain for _, plain in kept), [place for place, _ in kept]


class _Plain(dict[str, str]):
    """The plain form of a character, worked out once; empty for what nobody sees."""

    def __missing__(self, char: str) -> str:
        self[char] = found = _plain_form(char)
        return found


def _plain_form(char: str) -> str:
    if char in _DASHES:
        return "-"
    if char in FILLERS or unicodedata.category(char) in ("Cf", "Mn", "Me"):
        return ""
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    if char.isspace():
        return "\n" if char in "\r\n\v\f\x85\u2028\u2029" else " "
    plain = unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 and plain.isascii() else char


_PLAIN = _Plain()
# What is not its own plain form: all but ASCII, Hangul (not ㅡ, which serves as a dash) and marks.
_ODD = re.compile(r"[^\n -~가-힣ㄱ-ㅠㅢㅣ…“”‘’]")


def _spans(plain: str) -> list[tuple[int, int, str]]:
    """Return what is to be hidden, in order; where two overlap, the surer kind."""
    taken: list[tuple[int, int, str]] = []
    for rule in _RULES:
        for found in rule.pattern.finditer(plain) if rule.hint.search(plain) else ():
            start, stop = found.span("it")
            if rule.holds(found) and _is_free(taken, start, stop):
                taken.insert(bisect_left(taken, (start, stop, "")), (start, stop, rule.token))
    return taken


def _is_free(taken: list[tuple[int, int, str]], start: int, stop: int) -> bool:
    at = bisect_left(taken, (start, stop, ""))
    after = at == len(taken) or taken[at][0] >= stop
    return after and (at == 0 or taken[at - 1][1] <= start)


def _digits(found: re.Match[str]) -> str:
    return re.sub(r"\D", "", found["it"])


def _is_card(found: re.Match[str]) -> bool:
    digits = _digits(found)
    return bool(_ISSUERS.match(digits)) and _passes_luhn(digits)


# Visa; Mastercard; Amex and JCB; Discover and UnionPay; Korean cards for use at home; Diners.
_ISSUERS = re.compile(
    r"(?:4\d{15}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|35\d{14}|6\d{15}|9\d{15}|3[068]\d{12})$"
)


def _passes_luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


# The word nearest before a number says what it is; a mask's own words say nothing.
_WORD = re.compile(
    r"(?P<account>계좌(?!번호\])|통장|예금주|입금|송금|이체|은행|뱅크|농협|수협|신협|금고|우체국|account"
    r"|(?:국민|신한|우리|하나|기업|카뱅|토스|케이)(?=[ :은는이가]{0,3}$))"
    r"|(?P<person>주민(?!등록번호\])|외국인|생년)"
    r"|(?P<other>주문|예약|접수|송장|배송|사업자|상품|모델|일련|쿠폰|상담|바코드|isbn"
    r"|order|tracking|invoice)",
    re.IGNORECASE,
)
_REACH = 20  # characters that a word stands before its number
_COUNTED = re.compile(r"원|만 ?원|억|개(?!설)|명(?!의)|번째|점|%|포인트|won|krw", re.IGNORECASE)


def _called(found: re.Match[str]) -> str | None:
    """Return what the words before a number call it, if they call it anything."""
    before = found.string[max(0, found.start("it") - _REACH) : found.start("it")]
    words = list(_WORD.finditer(before))
    return words[-1].lastgroup if words else None


def _is_no_amount(found: re.Match[str]) -> bool:
    return not (found["it"].isdecimal() and _COUNTED.match(found.string, found.end("it")))


def _is_account(found: re.Match[str]) -> bool:
    number, digits = found["it"], len(_digits(found))
    said = _called(found)
    if said == "account":
        return 9 <= digits <= 16 and _is_no_amount(found)
    groups = number.split("-")
    grouped = len(groups) in (3, 4) and " " not in number and 11 <= digits <= 15
    return grouped and said != "other" and not _DATE_HEAD.match(number)


def _is_resident(found: re.Match[str]) -> bool:
    """Whether six and seven digits are a person's: thirteen in a row may be an order's."""
    return not found["it"].isdecimal() or _called(found) in (None, "person")


def _is_landline(found: re.Match[str]) -> bool:
    return not found["it"].isdecimal() or (_called(found) is None and _is_no_amount(found))


_RULES = (
    _Rule(
        _EMAIL,
        re.compile(
            r"(?P<it>(?:(?<![\w.%+-])|(?<=[^\x00-\x7f]))(?:[A-Za-z0-9._%+-]++|[가-힣]{1,20}+)"
            r" ?(?:@|\(at\)|\[at\]|골뱅이) ?(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})",
            re.IGNORECASE,
        ),
        hint=re.compile(r"@|\(at\)|\[at\]|골뱅이", re.IGNORECASE),
    ),
    _Rule(
        _RESIDENT,
        re.compile(rf"(?<!\d)(?P<it>\d\d{_MONTH_DAY}[ ]{{0,2}}-?[ ]{{0,2}}[1-8]\d{{6}})(?!\d)"),
        _is_resident,
    ),
    _Rule(
        _CARD,
        re.compile(
            rf"(?<!\d)(?P<it>\d{{4}}{_S}\d{{4}}{_S}\d{{4}}{_S}\d{{4}}"
            rf"|\d{{4}}{_S}\d{{6}}{_S}\d{{4,5}})(?!\d)"
        ),
        _is_card,
    ),
    _Rule(
        _PHONE,  # mobile
        re.compile(
            rf"{_APART}(?P<it>(?:{_ABROAD}0?1[016789]|\(01[016789]\)|01[016789])"
            rf"{_S}\d{{3,4}}{_S}\d{{4}})(?!\d)"
        ),
        _is_no_amount,
    ),
    _Rule(
        _PHONE,  # mobile, some of it in words
        re.compile(
            rf"{_APART}(?P<it>[0공영] ?[1일] ?[016789공영일육륙칠팔구]{_S}"
            rf"(?:{_SPELT} ?){{3,4}}[-.]? ?(?:{_SPELT} ?){{3}}{_SPELT})(?!\d)"
        ),
        hint=re.compile(r"[0공영] ?[1일]"),
    ),
    _Rule(
        _PHONE,  # landline, internet telephone and safe numbers
        re.compile(
            rf"(?<!\d)(?<!\d-)(?P<it>(?:{_ABROAD}0?{_AREA}|\(0{_AREA}\)|0{_AREA})"
            rf"{_S}\d{{3,4}}{_S}\d{{4}})(?!-?\d)"
        ),
        _is_landline,
    ),
    _Rule(
        _ACCOUNT,
        re.compile(r"(?<!\d)(?<!\d[,.-])(?P<it>\d{2,16}(?:[- ]\d{1,9}){0,4})(?!\d)(?![,.-]\d)"),
        _is_account,
    ),
)
