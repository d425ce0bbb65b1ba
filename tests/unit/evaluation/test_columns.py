"""Columns are found by their usual names, or as the caller says."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import ConfigError
from guardrail.evaluation.columns import Columns, rows_of
from guardrail.evaluation.rows import BadRow, Judged, Row
from guardrail.evaluation.usual import USUAL
from guardrail.types import Role

KOR_ETHICAL = {"category": "성차별", "question": "물음", "answer": "답", "label": 1}
PKU = {
    "prompt": "question",
    "prompt_k": "물음",
    "response_0": "first",
    "response_1": "second",
    "response_0_ko": "첫째",
    "response_1_ko": "둘째",
    "is_response_0_safe": True,
    "is_response_1_safe": False,
    "safer_response_id": 0,
}


def read(record: dict[str, Any], columns: Columns | None = None) -> list[Row]:
    return list(rows_of(record, (columns or Columns()).found_in(record)))


def test_the_ethical_questions_of_the_card_are_read() -> None:
    """Question and answer; 1 is unsafe; categories keep their own names."""
    (one,) = read(KOR_ETHICAL)

    assert (one.asked, one.text, one.unsafe, one.category) == ("물음", "답", True, "성차별")


def test_each_reply_of_pku_safe_rlhf_is_a_row() -> None:
    """The Korean replies are judged, each with its own label."""
    rows = read(PKU)

    assert [(one.asked, one.text, one.unsafe) for one in rows] == [
        ("물음", "첫째", False),
        ("물음", "둘째", True),
    ]


def test_a_prompt_alone_is_judged_as_the_users_turn() -> None:
    """No reply, or an empty cell for one."""
    (one,) = read({"prompt": "부탁", "response": None, "label": 1})

    assert (one.judged, one.conversation[-1].role) == (Judged.USER, Role.USER)


@pytest.mark.parametrize(("as_user", "role"), [(False, Role.ASSISTANT), (True, Role.USER)])
def test_a_text_alone_has_the_role_the_caller_gives(as_user: bool, role: Role) -> None:
    """A reply unless said otherwise."""
    (one,) = read({"text": "말", "label": 0}, Columns(text_is_user=as_user))

    assert (one.judged, one.conversation[-1].role) == (Judged.TEXT, role)


def test_messages_keep_their_history() -> None:
    """The last message is judged, whatever came before."""
    messages = [
        {"role": "system", "content": "넌 봇"},
        {"from": "human", "value": "안녕"},
        {"role": "assistant", "content": "반가워요"},
    ]
    (one,) = read({"messages": messages, "label": "safe"})

    assert [turn.content for turn in one.conversation] == ["넌 봇", "안녕", "반가워요"]


def test_the_gateways_review_export_is_read() -> None:
    """Its rows name what was judged and what a person said of it."""
    export = {
        "id": "e1", "user": "물음", "assistant": "답", "unsafe": True, "category": "O3",
        "source": "review", "review": "missed", "score": 0.2, "action": "allow",
    }  # fmt: skip
    (one,) = read(export)

    assert (one.text, one.unsafe, one.category, one.source) == ("답", True, "O3", "review")


@pytest.mark.parametrize("label", [True, 1, 1.0, "1", "unsafe", " Harmful", "유해", "TRUE"])
def test_usual_labels_of_unsafe_are_known(label: object) -> None:
    """However a set writes it."""
    assert read({"text": "말", "label": label})[0].unsafe


@pytest.mark.parametrize("label", [False, 0, 0.0, "0", "safe", "none", "무해"])
def test_usual_labels_of_safe_are_known(label: object) -> None:
    """However a set writes it."""
    assert not read({"text": "말", "label": label})[0].unsafe


def test_a_column_of_safety_means_the_opposite() -> None:
    """`is_safe` is true where nothing is wrong."""
    assert not read({"text": "말", "is_safe": True})[0].unsafe


def test_the_caller_says_which_values_mean_unsafe() -> None:
    """All others then mean safe."""
    columns = Columns(unsafe_when=("gender", "race"))

    assert [read({"text": "말", "label": x}, columns)[0].unsafe for x in ("race", "none")] == [
        True,
        False,
    ]


def test_a_column_to_report_by_that_is_not_there_is_told() -> None:
    """With those that are; it has no role that --column could name."""
    with pytest.raises(ConfigError, match=r"^there is no column 'shop'; there are text, label$"):
        read({"text": "말", "label": 1}, Columns(by=("shop",)))


@pytest.mark.parametrize(
    ("said", "label"),
    [("1", 1.0), ("1", True), ("true", 1), ("2", 2.0), ("Bad", " bad "), ("위험", "위험 ")],
)
def test_values_that_mean_unsafe_are_compared_as_people_read_them(said: str, label: object) -> None:
    """Parquet has 1.0 or True where CSV has 1; case and spaces do not matter."""
    columns = Columns(unsafe_when=(said,))

    assert read({"text": "말", "label": label}, columns)[0].unsafe
    assert not read({"text": "말", "label": "other"}, columns)[0].unsafe


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"text": "말", "label": None}, "no label"),
        ({"text": "말", "label": float("nan")}, "no label"),
        ({"text": "말", "label": "maybe"}, "neither safe nor unsafe"),
        ({"text": "말", "label": 0.7}, "neither safe nor unsafe"),
        ({"text": None, "label": 1}, "no text"),
        ({"text": 7, "label": 1}, "'text' is int, not text"),
        ({"messages": [{"role": "user"}], "label": 1}, "messages are not a list"),
        ({"messages": [], "label": 1}, "do not end in"),
    ],
)
def test_a_record_that_is_no_row_says_why(record: dict[str, Any], reason: str) -> None:
    """In words that many records share, so that they can be counted."""
    with pytest.raises(BadRow, match=reason):
        read(record)


def test_named_columns_go_before_usual_ones() -> None:
    """The caller's word counts, in any case of letters."""
    record = {"answer": "아니", "Rewrite": "이것", "label": 1}

    assert read(record, Columns(assistant="rewrite"))[0].text == "이것"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(assistant="reponse"), "there is no column 'reponse'.*from x, label"),
        (Columns(by=("kind",)), "there is no column 'kind'"),
        (Columns(), "no column holds text"),
    ],
)
def test_a_column_that_is_missing_is_named(columns: Columns, message: str) -> None:
    """With those that there are."""
    with pytest.raises(ConfigError, match=message):
        columns.found_in(["x", "label"])


def test_a_setting_that_is_no_columns_is_refused() -> None:
    """With the roles that there are."""
    with pytest.raises(ConfigError, match="one of user, assistant"):
        Columns.parse(["answer=reply"])


@pytest.mark.parametrize(
    ("written", "read_as"),
    [("o3", "O3"), ("O1: Violence and Hate.", "O1"), ("O12", "O12"), ("S4", "S4"), ("", None)],
)
def test_categories_are_ours_where_they_are_so_named(written: str, read_as: str | None) -> None:
    """Other names stay."""
    assert read({"text": "말", "label": 1, "category": written})[0].category == read_as


KOREAN = [
    ({"사용자": "물음", "챗봇": "답", "위험": "위험"}, True),
    ({"고객": "물음", "상담원": "답", "유해": "무해"}, False),
    ({"질의": "물음", "응답": "답", "라벨": "안전"}, False),
    ({"질문": "물음", "답변": "답", "위험 여부": "Y"}, True),
    ({"질문": "물음", "답변": "답", "유해여부": "X"}, False),
    ({"질문": "물음", "답변": "답", "유해 여부": " O "}, True),
    ({"질문": "물음", "답변": "답", "안전": "O"}, False),
    ({"질문": "물음", "답변": "답", "안전": "위험"}, True),
    ({"질문": "물음", "답변": "답", "안전": "안전"}, False),
    ({"질문": "물음", "답변": "답", "안전 여부": "N"}, True),
    ({"질문": "물음", "답변": "답", "레이블": "유해"}, True),
]


@pytest.mark.parametrize(("record", "unsafe"), KOREAN)
def test_korean_columns_and_labels_are_read(record: dict[str, Any], unsafe: bool) -> None:
    """As teams call them; a column that says what is safe is read the other way round."""
    (one,) = read(record)

    assert (one.asked, one.text, one.unsafe) == ("물음", "답", unsafe)


def test_an_utterance_is_a_text() -> None:
    """`발화` says nothing of who spoke."""
    (one,) = read({"발화": "말", "유해": 1})

    assert (one.text, one.judged, one.unsafe) == ("말", Judged.TEXT, True)


@pytest.mark.parametrize("label", ["O", "X", "o", "×"])
@pytest.mark.parametrize("column", ["label", "라벨"])
def test_circles_and_crosses_under_a_name_that_asks_nothing_are_no_labels(
    column: str, label: str
) -> None:
    """A circle may be praise; who knows says it by --unsafe-when."""
    with pytest.raises(BadRow, match="--unsafe-when"):
        read({"text": "말", column: label})


def test_names_are_found_however_their_letters_are_composed() -> None:
    """As a Mac may write them, with spaces around, in any case; also those that are named."""
    (one,) = read(
        {unicodedata.normalize("NFD", " 상담원"): "답", "My Label ": 1},
        Columns(unsafe="my label"),
    )

    assert (one.text, one.unsafe) == ("답", True)


@pytest.mark.parametrize("role", USUAL)
def test_the_usual_names_are_those_of_the_documentation(role: str) -> None:
    """The table says all of them, in the order they are looked for."""
    guide = Path(__file__).parents[3] / "docs" / "evaluation.md"
    (line,) = (
        one for one in guide.read_text("utf-8").splitlines() if one.startswith(f"| `{role}`")
    )
    names = line.split(" | ")[1].split(":")[0].removesuffix(" |")

    assert names.split(", ") == list(USUAL[role])
