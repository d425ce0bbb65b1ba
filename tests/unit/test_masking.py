"""Personal numbers are hidden however they are written, and other numbers are left alone."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guardrail.masking import mask

# Written on to what they follow, without a space.
PARTICLES = [
    "",
    "이에요",
    "입니다",
    "으로",
    "로",
    "은",
    "는",
    "이고",
    "에서",
    "요",
    "번으로",
    ".",
    ",",
    "!",
    ")",
    "\n",
]
# Nobody sees them: zero-width marks, a soft hyphen, fillers of Hangul, an emoji's selector.
INVISIBLE = [
    "\u200b",
    "\u200c",
    "\u200d",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "\u3164",
    "\ufe0f",
    "\u20e3",
    "\u202e",
]
WIDE = {ord("0") + digit: ord("０") + digit for digit in range(10)} | {
    ord("-"): "－",
    ord("@"): "＠",
}
ARABIC = {ord("0") + digit: ord("٠") + digit for digit in range(10)}
BEFORE = ["", "제 번호는 ", "연락처:", "(", "번호는", "문의 → ", "👉", "가격은 3,000원이고 "]

Disguise = Callable[[str], str]


def luhn(digits: str) -> str:
    """Return the digits with the one that makes them pass the Luhn test."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[::-2]]
    return digits + str(-(sum(doubled) + sum(map(int, digits[-2::-2]))) % 10)


def digits(least: int, most: int | None = None) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=least if most is None else most)


def joined(*groups: st.SearchStrategy[str], by: list[str]) -> st.SearchStrategy[str]:
    """Return the groups with one separator between all of them."""
    return st.tuples(st.sampled_from(by), *groups).map(lambda parts: parts[0].join(parts[1:]))


HEADS = st.sampled_from(["010", "011", "016", "017", "018", "019"])
ABROAD = st.sampled_from(["+82 10", "+8210", "+82-10", "82-10", "(+82)10", "+82 (0)10", "+82 010"])
AREAS = st.sampled_from(
    ["02", "031", "032", "041", "051", "053", "062", "064", "070", "0502", "0505"]
)
MOBILE = joined(HEADS, digits(3, 4), digits(4), by=["", "-", " ", ".", "/", " - "])
BIRTHS = st.dates().map(lambda day: day.strftime("%y%m%d"))
SEX = st.tuples(st.sampled_from("12345678"), digits(6)).map("".join)
BINS = st.sampled_from(["4", "51", "55", "35", "62", "94", "2221"])
CARDS = st.tuples(BINS, digits(15)).map(lambda parts: luhn("".join(parts)[:15]))
NAMES = st.text("abcdefghijkXYZ0123456789._%+-", min_size=1, max_size=12)
HOSTS = st.sampled_from(["example.com", "naver.com", "mail.shop.co.kr", "a-b.io"])

KINDS = {
    "[전화번호]": st.one_of(
        MOBILE,
        joined(ABROAD, digits(4), digits(4), by=["", "-", " "]),
        joined(AREAS, digits(3, 4), digits(4), by=["-", " ", "."]),
    ),
    "[주민등록번호]": joined(BIRTHS, SEX, by=["-", "", " - ", " "]),
    "[카드번호]": st.tuples(CARDS, st.sampled_from(["", "-", " "])).map(
        lambda parts: parts[1].join(parts[0][at : at + 4] for at in range(0, 16, 4))
    ),
    "[이메일]": st.tuples(NAMES, HOSTS).map("@".join),
    "[계좌번호]": st.one_of(
        joined(
            st.sampled_from(["110", "1002", "3333", "352"]), digits(2, 3), digits(6, 7), by=["-"]
        ),
        joined(st.sampled_from(["301", "123"]), digits(4), digits(4), digits(2), by=["-"]),
    ),
}


@st.composite
def disguises(draw: st.DrawFn) -> Disguise:
    """A way to write a number so that naive patterns miss it."""
    wide = draw(st.sampled_from([{}, WIDE, ARABIC]))
    invisible = draw(st.sampled_from(["", *INVISIBLE]))
    step = draw(st.integers(1, 5))

    def disguise(value: str) -> str:
        written = value.translate(wide)
        parts = (written[at : at + step] for at in range(0, len(written), step))
        return invisible.join(parts)

    return disguise


@pytest.mark.parametrize("token", KINDS)
@given(data=st.data())
def test_a_personal_number_is_hidden_however_it_is_written(token: str, data: st.DataObject) -> None:
    """Neither a particle, nor wide digits, nor invisible characters keep a number in the text."""
    value = data.draw(KINDS[token])
    disguise: Disguise = data.draw(disguises()) if token != "[이메일]" else lambda value: value
    before, after = data.draw(st.sampled_from(BEFORE)), data.draw(st.sampled_from(PARTICLES))

    masked = mask(f"{before}{disguise(value)}{after} 감사합니다")

    plain = unicodedata.normalize("NFKC", masked).removeprefix(before)
    assert not any(char.isdecimal() for char in plain), masked
    assert masked.startswith(before)
    assert masked.endswith(f"{after} 감사합니다")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("제 번호는 010-1234-5678이에요", "제 번호는 [전화번호]이에요"),
        ("kim@example.com으로 보내 주세요", "[이메일]으로 보내 주세요"),
        ("메일은kim.lee@naver.com이고", "메일은[이메일]이고"),
        ("홍길동@naver.com", "[이메일]"),
        ("kim 골뱅이 naver.com", "[이메일]"),
        ("ｋｉｍ＠example．com", "[이메일]"),
        ("김철수(010.1234.5678)", "김철수([전화번호])"),
        ("(02) 123-4567로", "[전화번호]로"),
        ("0212345678번", "[전화번호]번"),
        ("010)1234-5678, 02)123-4567", "[전화번호], [전화번호]"),
        ("공일공에 일이삼사", "공일공에 일이삼사"),
        ("공일공 일이삼사 오육칠팔이요", "[전화번호]이요"),
        ("공일공-1234-5678", "[전화번호]"),
        ("0 1 0 1 2 3 4 5 6 7 8", "[전화번호]"),
        ("010·1234·5678", "[전화번호]"),
        ("①", "①"),
        ("⓪①⓪-①②③④-⑤⑥⑦⑧", "[전화번호]"),
        ("1️⃣번 010-1234-5678", "1️⃣번 [전화번호]"),
        ("900101-1234567입니다", "[주민등록번호]입니다"),
        ("외국인등록번호 9001015234567", "외국인등록번호 [주민등록번호]"),
        ("주문자 주민번호 9001011234567", "주문자 주민번호 [주민등록번호]"),
        ("3782 822463 10005로 결제", "[카드번호]로 결제"),
        ("신한 110-123-456789, 김철수", "신한 [계좌번호], 김철수"),
        ("-110-123-456789.", "-[계좌번호]."),
        ("계좌번호는 12345678901이고", "계좌번호는 [계좌번호]이고"),
        ("국민은행 12345678901234", "국민은행 [계좌번호]"),
        ("카카오뱅크 3333 01 1234567", "카카오뱅크 [계좌번호]"),
        ("계좌 12345678901 개설했어요", "계좌 [계좌번호] 개설했어요"),
        ("010-1234-5678 kim@a.co 900101-1234567", "[전화번호] [이메일] [주민등록번호]"),
    ],
)
def test_examples_from_chats(text: str, masked: str) -> None:
    """What people write is replaced, and the words around it stay."""
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "가격은 1,234,567원입니다",
        "2024-11-09 12:30:45에 도착",
        "2024.11.09 ~ 2024.11.12",
        "20241109",
        "2024-11-09-0001",
        "2024-1109-123456",
        "주문번호 20241109-1234567",
        "주문번호는 2024110912345671 입니다",
        "주문번호 2411091234567",
        "운송장 1234-5678-9012",
        "택배 송장번호: 123456789012",
        "대표번호 1588-0000, 1577-0199",
        "자살예방 상담전화 109, 경찰 112, 02-120",
        "사업자등록번호 123-45-67890",
        "계좌로 50000원, 5000000000원 입금",
        "우리 매장 대기번호 123456789",
        "버전 1.2.3.4, IP 192.168.0.100",
        "ISBN 9788901234567, 바코드 8801234567893",
        "1700000000000",
        "3.141592653589793, 0.123456789012",
        "550e8400-e29b-41d4-a716-446655440000",
        "4111-1111-1111-1112",
        "100-200, 3-4-5, 1-2-3-4",
        "11월 9일 오후 3시 30분, 010",
        "이메일 주소 @ 있어요, @shop_official",
        "제곱미터는 m²이고 ½컵",
        "영일만에서 일출을",
        "[계좌번호] 12345678901",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    """Prices, dates, order numbers and the numbers of businesses are not anybody's."""
    assert mask(text) == text


@given(st.integers(0, 10**12))
def test_a_price_is_no_personal_number(price: int) -> None:
    """An amount stays readable, with separators or without."""
    text = f"총 {price:,}원, 계좌로 {price}원 입금"

    assert mask(text) == text


@given(st.datetimes())
def test_a_time_is_no_personal_number(moment: object) -> None:
    """Neither is a date with its time."""
    assert mask(f"{moment}에 접수") == f"{moment}에 접수"


@given(st.text(st.sampled_from("0123456789-. @()가계좌원신한은행주문a\u200b０ㅡ\n"), max_size=60))
@example("0" * 40)
def test_masking_twice_changes_nothing_more(text: str) -> None:
    """What is left in a masked text needs no masking."""
    once = mask(text)

    assert mask(once) == once


@given(st.text())
def test_text_without_digits_or_addresses_stays(text: str) -> None:
    """Masking changes a text only where there is something to hide."""
    harmless = "".join(
        char
        for char in unicodedata.normalize("NFKC", text)
        if char not in "@공영" and not char.isdigit()
    )

    assert mask(harmless) == harmless


@pytest.mark.parametrize(
    "unit",
    [
        "0",
        "01",
        "1-",
        "010-",
        "a",
        "a@",
        "a.",
        "@",
        "가",
        "계좌",
        "1 ",
        "02-123-",
        "공일",
        "\u200b1",
    ],
)
def test_a_hostile_text_takes_no_longer(unit: str) -> None:
    """No text makes the patterns go back and forth: time grows with length."""
    text = unit * (60_000 // len(unit))
    started = time.perf_counter()

    mask(text)

    assert time.perf_counter() - started < 2.0
