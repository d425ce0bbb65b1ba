"""Files of every kind give the same rows; what is wrong in them is set aside or told."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from guardrail.errors import ConfigError
from guardrail.evaluation.columns import Columns
from guardrail.evaluation.data import Dataset, require_labels
from guardrail.evaluation.readers import Hub, hub_id, separator_of
from tests.unit.evaluation.helpers import jsonl

RECORDS = [
    {"user": "환불 되나요?", "assistant": '네, "3일" 안에\n됩니다', "unsafe": False},
    {"user": "물음", "assistant": "나쁜 대답", "unsafe": True},
]


def write(path: Path, kind: str) -> Path:
    match kind:
        case "jsonl":
            return jsonl(path / "set.jsonl", RECORDS)
        case "parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(RECORDS), path / "set.parquet")
            return path / "set.parquet"
        case _:
            suffix, encoding, separator = kind.split(" ")
            with (path / f"set.{suffix}").open("w", encoding=encoding, newline="") as file:
                writer = csv.DictWriter(file, list(RECORDS[0]), delimiter=separator)
                writer.writeheader()
                writer.writerows(RECORDS)
            return path / f"set.{suffix}"


@pytest.mark.parametrize(
    "kind",
    [
        *("jsonl", "parquet", "csv utf-8 ,", "csv utf-8-sig ,", "csv cp949 ,", "tsv utf-8 \t"),
        *("csv utf-8-sig ;", "csv cp949 ;", "csv utf-16 \t", "tsv utf-16 \t", "csv utf-16 ,"),
    ],
)
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    """Also line breaks in cells, and whatever Excel writes: code pages, semicolons, UTF-16."""
    rows = list(Dataset.open(write(tmp_path, kind)).rows())

    assert [(one.asked, one.text, one.unsafe) for one in rows] == [
        (record["user"], record["assistant"], record["unsafe"]) for record in RECORDS
    ]


def test_records_that_are_no_rows_are_set_aside(tmp_path: Path) -> None:
    """Counted by reason, with where the first one stands."""
    path = jsonl(tmp_path / "set.jsonl", [*RECORDS, {"user": "?", "unsafe": None}, ["x"]])
    path.write_bytes(path.read_bytes() + b"{torn\n\n")
    survey = Dataset.open(path).survey

    assert (survey.rows, survey.unsafe) == (2, 1)
    assert survey.left_out == {"no label": 1, "not a JSON object": 1, "not JSON": 1}
    assert survey.examples["not JSON"] == "line 5"


def test_a_label_that_no_row_has_is_told(tmp_path: Path) -> None:
    """A slip in --unsafe-when would make all rows safe; of sets read together one must have it."""
    graded = jsonl(tmp_path / "graded.jsonl", [{"text": "a", "label": x} for x in ("ok", "Bad ")])
    fine = jsonl(tmp_path / "fine.jsonl", [{"text": "b", "label": "ok"}])
    require_labels([Dataset.open(one, Columns(unsafe_when=("bad",))) for one in (fine, graded)])

    with pytest.raises(ConfigError, match=r"no row's label is 'bda', .* found 'ok', 'Bad '"):
        require_labels([Dataset.open(graded, Columns(unsafe_when=("bda",)))])


def test_two_columns_of_one_name_are_told(tmp_path: Path) -> None:
    """Else the last would count; those without a name are no matter."""
    path = tmp_path / "set.csv"
    path.write_text("text,label,label,,\na,1,0,,\n")
    with pytest.raises(ConfigError, match="two columns are called 'label'"):
        Dataset.open(path).survey  # noqa: B018
    path.write_text("text,label,,\na,1,,\n")

    assert Dataset.open(path).survey.unsafe == 1


@pytest.mark.parametrize("name", ["missing.jsonl", "no such thing", "set.xlsx"])
def test_a_file_that_is_not_there_is_told(name: str) -> None:
    """With what could stand there instead."""
    with pytest.raises(ConfigError, match=r"owner/name on the Hugging Face hub|must end in"):
        Dataset.open(name).survey  # noqa: B018 - it is read now


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    """By its name's ending."""
    (tmp_path / "set.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"must end in one of \.jsonl"):
        Dataset.open(tmp_path / "set.txt").survey  # noqa: B018


def test_a_broken_parquet_file_is_told(tmp_path: Path) -> None:
    """In one line, not by a traceback."""
    (tmp_path / "set.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ConfigError, match=r"set\.parquet"):
        Dataset.open(tmp_path / "set.parquet").survey  # noqa: B018


def test_a_file_without_rows_is_told(tmp_path: Path) -> None:
    """With the reasons."""
    path = jsonl(tmp_path / "set.jsonl", [{"text": None, "label": 1}])
    with pytest.raises(ConfigError, match=r"no row can be judged: no text \(line 1\)"):
        Dataset.open(path).survey  # noqa: B018


def test_names_choose_the_cards_sets(tmp_path: Path) -> None:
    """A copy under the card's name is read as that set is."""
    path = jsonl(tmp_path / "copy.jsonl", [{"question": "q", "answer": "a", "label": 1}])
    data = Dataset.open(f"kor-ethical-qa={path}")

    assert (data.name, [row.unsafe for row in data.rows()]) == ("kor-ethical-qa", [True])


def test_a_sample_is_drawn_from_the_whole_and_stays_the_same(tmp_path: Path) -> None:
    """The seed alone decides, and the order is the file's."""
    records = [{"text": str(number), "label": 0} for number in range(100)]
    path = jsonl(tmp_path / "set.jsonl", records)
    drawn = [
        [int(row.text) for row in Dataset.open(path, sample=10, seed=seed).rows()]
        for seed in (0, 0, 1)
    ]

    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == sorted(drawn[0])
    assert max(drawn[0]) > 50


def test_the_first_rows_can_be_had(tmp_path: Path) -> None:
    """As the author of the card took them."""
    path = jsonl(tmp_path / "set.jsonl", [{"text": str(n), "label": 0} for n in range(9)])

    assert [row.text for row in Dataset.open(path, first=3).rows()] == ["0", "1", "2"]


def test_data_are_told_apart_by_their_content(tmp_path: Path) -> None:
    """Not by name or kind, so a changed file is judged anew."""
    one = write(tmp_path, "jsonl")
    two = write(tmp_path, "csv utf-8 ,")

    assert Dataset.open(one).digest == Dataset.open(two).digest
    assert Dataset.open(one).digest != Dataset.open(one, sample=1).digest


def test_a_set_of_the_hub_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the library's own cache; a folder of that name stands for the hub here."""
    pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "set").mkdir(parents=True)
    jsonl(tmp_path / "own" / "set" / "train.jsonl", RECORDS)
    jsonl(tmp_path / "own" / "set" / "test.jsonl", RECORDS[:1])
    data = Dataset.open("mine=own/set:train")

    assert [row.text for row in data.rows()] == [record["assistant"] for record in RECORDS]
    with pytest.raises(ConfigError, match="add :SPLIT to its name"):
        Dataset.open("own/set").survey  # noqa: B018


def test_a_place_on_the_hub_has_an_owner_a_revision_and_a_split() -> None:
    """Each as it is written after the name."""
    assert hub_id("a/b") == Hub("a/b")
    assert hub_id("a/b@v1.2:test") == Hub("a/b", "v1.2", "test")
    assert hub_id("b") is None
    assert hub_id("./a/b") is None


@pytest.mark.parametrize(
    ("header", "usual", "separator"),
    [
        ("text,label", ",", ","),
        ("text;label", ",", ";"),
        ("text\tlabel", ",", "\t"),
        ("text", ",", ","),
        ("질문;답변;유해 (O, X)", ",", ";"),
        ('"what; who; when","label"', ",", ","),
        ("user\tsaid, or wrote", "\t", "\t"),
        ("", ",", ","),
    ],
)
def test_the_separator_is_what_makes_most_of_the_header(
    header: str, usual: str, separator: str
) -> None:
    """The usual one unless another makes more cells; what is quoted makes none."""
    assert separator_of(header, usual) == separator


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "shift_jis"])
def test_text_in_no_known_encoding_says_how_to_save_it(tmp_path: Path, encoding: str) -> None:
    """UTF-16 that does not say so cannot be told from other bytes; nor can other code pages."""
    path = tmp_path / "set.csv"
    path.write_bytes("text,label\n日本語の文章です。ゑヱ,1\n".encode(encoding))

    with pytest.raises(ConfigError, match="save it as CSV UTF-8"):
        list(Dataset.open(path).rows())


@pytest.mark.parametrize(("file", "said"), [("b.csv", "such as 'b.csv'"), ("b.doc", "end in .jso")])
def test_a_folder_says_to_name_its_files(tmp_path: Path, file: str, said: str) -> None:
    """Unless it is a data set to the `datasets` library."""
    (tmp_path / file).write_text("")

    with pytest.raises(ConfigError, match=rf"is a folder and not a data set.*{said}"):
        list(Dataset.open(tmp_path).rows())
