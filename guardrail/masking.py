"""Hides personal numbers and addresses in Korean text that is kept.

Patterns run over a plain copy of the text (ASCII digits, one kind of dash, nothing invisible), and
end where the digits end rather than at a word's boundary: Korean particles are written on to what
they follow. What is found is replaced in the text itself.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["mask"]

# How a found span is written: no digit is kept, and a reader still sees what stood there.
_EMAIL, _RESIDENT, _CARD = "[이메일]", "[주민등록번호]", "[카드번호]"
_PHONE, _ACCOUNT = "[전화번호]", "[계좌번호]"

_DASHES = "‐‑‒–—―−﹣－ㅡ─ー~∼～·ㆍ・"
_FILLERS = "\u115f\u1160\u3164\uffa0"
# Whether there is anything to look at closely: a digit, a spelt-out mobile number, an address.
_SUSPECT = re.compile(r"\d|[⁰-₉①-⒛⓪⓵-⓽❶-➓]|@|＠|﹫|골뱅이|\(at\)|\[at\]|[공영]\s?일", re.IGNORECASE)

_S = r"[ ]{0,2}[-./)]?[ ]{0,2}"  # between the groups of a number
_MONTH_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_DATE_HEAD = re.compile(r"(?:19|20)\d\d[-. ]?(?:0[1-9]|1[0-2])[-. ]?(?:0[1-9]|[12]\d|3[01])")
_SPELT = "[0-9공영일이삼사오육륙칠팔구]"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern, what its findings are replaced by, and what else must hold for one."""

    token: str
    pattern: re.Pattern[str]
    holds: Callable[[re.Match[str]], bool] = lambda _: True


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
    if text.isascii():
        return text.translate(_SPACES), range(len(text))
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
    if char in _FILLERS or unicodedata.category(char) in ("Cf", "Mn", "Me"):
        return ""
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    if char.isspace():
        return "\n" if char in "\r\n\v\f\x85\u2028\u2029" else " "
    plain = unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 and plain.isascii() else char


_PLAIN = _Plain()
_SPACES = str.maketrans("\t", " ")


def _spans(plain: str) -> list[tuple[int, int, str]]:
    """Return what is to be hidden, in order; where two overlap, the surer kind."""
    taken: list[tuple[int, int, str]] = []
    for rule in _RULES:
        for found in rule.pattern.finditer(plain):
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
_ACCOUNT_WORD = (
    r"계좌(?!번호\])|통장|예금주|입금|송금|이체|은행|뱅크|농협|수협|신협|새마을금고|우체국|국민|신한|우리"
    r"|하나|기업|카뱅|토스|account"
)
_OTHER_WORD = r"주문|예약|접수|송장|운송장|배송|등록증|사업자|상품|모델|일련|쿠폰|상담|order|tracking"
_WORD = re.compile(rf"(?P<account>{_ACCOUNT_WORD})|{_OTHER_WORD}", re.IGNORECASE)
_REACH = 20  # characters a word stands before its number
_COUNTED = re.compile(r" ?(?:원|만|억|천|개|명|건|번째|년|월|일|시|분|초|점|%|퍼센트|포인트|won|krw)", re.I)


def _called_account(found: re.Match[str]) -> bool | None:
    """Whether the words before a number call it an account; None where none says what it is."""
    before = found.string[max(0, found.start("it") - _REACH) : found.start("it")]
    words = list(_WORD.finditer(before))
    return words[-1]["account"] is not None if words else None


def _is_account(found: re.Match[str]) -> bool:
    said = _called_account(found)
    if said is False or _COUNTED.match(found.string, found.end("it")):
        return False
    digits = len(_digits(found))
    if said:
        return 9 <= digits <= 16
    groups = found["it"].split("-")
    grouped = len(groups) in (3, 4) and " " not in found["it"] and len(groups[0]) >= 2
    return grouped and 11 <= digits <= 15 and not _DATE_HEAD.match(found["it"])


def _is_resident(found: re.Match[str]) -> bool:
    """Whether six and seven digits are a person's: thirteen in a row may be an order's."""
    return "-" in found["it"] or " " in found["it"] or _called_account(found) is not False


def _is_landline(found: re.Match[str]) -> bool:
    return _called_account(found) is None or not found["it"].isdecimal()


_RULES = (
    _Rule(
        _EMAIL,
        re.compile(
            r"(?P<it>(?:(?<![\w.%+-])|(?<=[^\x00-\x7f]))(?:[A-Za-z0-9._%+-]++|[가-힣]{1,20}+)"
            r" ?(?:@|\(at\)|\[at\]|골뱅이) ?(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})",
            re.IGNORECASE,
        ),
    ),
    _Rule(
        _RESIDENT,
        re.compile(rf"(?<!\d)(?P<it>\d\d{_MONTH_DAY}[ ]{{0,2}}-?[ ]{{0,2}}[1-8]\d{{6}})(?!\d)"),
        _is_resident,
    ),
    _Rule(
        _CARD,
        re.compile(
            rf"(?<!\d)(?P<it>\d{{4}}{_S}\d{{4}}{_S}\d{{4}}{_S}\d{{4}}|\d{{4}}{_S}\d{{6}}{_S}\d{{4,5}})(?!\d)"
        ),
        _is_card,
    ),
    _Rule(
        _PHONE,  # mobile
        re.compile(
            rf"(?<![\d+])(?P<it>(?:\+?\(?82{_S}\(?0?\)?{_S}|\(?0)1[016789]{_S}\d{{3,4}}{_S}\d{{4}})(?!\d)"
        ),
    ),
    _Rule(
        _PHONE,  # mobile, some of it in words
        re.compile(
            rf"(?<!\d)(?P<it>[0공영][ ]?[1일][ ]?[016789공영일육륙칠팔구]{_S}(?:{_SPELT}[ ]?){{3,4}}"
            rf"[-.]?[ ]?(?:{_SPELT}[ ]?){{3}}{_SPELT})(?!\d)"
        ),
    ),
    _Rule(
        _PHONE,  # landline, internet telephone and safe numbers
        re.compile(
            rf"(?<![\d+])(?<!\d-)(?P<it>(?:\+?\(?82{_S}\(?0?\)?|\(?0)(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d)"
            rf"{_S}\d{{3,4}}{_S}\d{{4}})(?!-?\d)"
        ),
        _is_landline,
    ),
    _Rule(
        _ACCOUNT,
        re.compile(r"(?<![\d,.+-])(?P<it>\d{2,16}(?:[- ]\d{1,9}){0,4})(?![\d,]|[-.]\d)"),
        _is_account,
    ),
)
