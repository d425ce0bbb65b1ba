"""What a scan writes about turns, whatever they come in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardrail import Category, Policy
from guardrail.config import ClassifierConfig
from guardrail.errors import ClassifierUnavailable, ConfigError
from guardrail.evaluation.columns import Columns
from guardrail.scan import scan
from guardrail.types import exchange

from .helpers import QUICK, STUB, bad, found, judge, lines, turns, write

KINDS = ("jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("out", ["out.jsonl", "out"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, kind: str, out: str) -> None:
    """Each turn once, in its order, with the policy's decision."""
    summary = judge(write(tmp_path / f"in.{kind}", turns(1500)), tmp_path / out)
    rows = found(tmp_path / out)

    assert [row["row"] for row in rows] == list(range(1, 1501))
    assert [row["unsafe"] for row in rows] == [n % 5 == 0 for n in range(1500)]
    assert {row["action"] for row in rows if row["unsafe"]} == {"replace"}
    assert {row["file"] for row in rows} == {f"in.{kind}"}
    assert (summary.turns, summary.unsafe, summary.set_aside) == (1500, 300, {})


def test_all_files_below_a_folder_are_read(tmp_path: Path) -> None:
    """By name, whatever their kinds; others, and hidden ones, are left alone."""
    write(tmp_path / "in" / "b.csv", turns(2))
    write(tmp_path / "in" / "a" / "z.parquet", turns(2))
    write(tmp_path / "in" / "_old" / "y.jsonl", turns(2))
    write(tmp_path / "in" / ".hidden.jsonl", turns(2))
    (tmp_path / "in" / "README.md").write_text("read me")
    judge(tmp_path / "in", tmp_path / "out.jsonl")

    assert [(row["file"], row["row"]) for row in found(tmp_path / "out.jsonl")] == [
        ("a/z.parquet", 1),
        ("a/z.parquet", 2),
        ("b.csv", 1),
        ("b.csv", 2),
    ]


def test_messages_are_judged_by_their_last_turn(tmp_path: Path) -> None:
    """As chat templates have them."""
    said = [{"role": "user", "content": "질문"}, {"role": "assistant", "content": "BAD"}]
    rows = [{"messages": said}, {"messages": said[:1]}, {"messages": [{"role": "x"}]}]
    judge(write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")

    assert [(row["judged"], row["unsafe"]) for row in found(tmp_path / "out.jsonl")] == [
        ("reply", True),
        ("user turn", False),
    ]
    assert bad(tmp_path / "out.jsonl") == [
        ("in.jsonl", 3, "messages are not a list of role and content")
    ]


@pytest.mark.parametrize("silent", [{"content": None}, {"content": ""}, {}])
def test_a_tools_call_is_no_turn(tmp_path: Path, silent: dict[str, None]) -> None:
    """It says nothing: the reply after it is judged with the question before it."""
    said = [
        {"role": "developer", "content": "넌 봇"},
        {"role": "user", "content": "날씨는?"},
        {"role": "assistant", "tool_calls": [{"id": "1"}], **silent},
        {"role": "tool", "content": "맑음"},
        {"role": "assistant", "content": "BAD"},
    ]
    path = write(tmp_path / "in.jsonl", [{"messages": said}])
    judge(path, tmp_path / "out.jsonl", keep_text=True)

    (row,) = found(tmp_path / "out.jsonl")
    assert (row["user"], row["text"], row["unsafe"]) == ("날씨는?", "BAD", True)


def test_messages_in_parts_are_read(tmp_path: Path) -> None:
    """Their texts; what is to be judged must be text, and all of it."""
    picture = {"type": "image_url", "image_url": {"url": "data:"}}
    asked = {"role": "user", "content": [{"type": "text", "text": "이건?"}, picture]}
    told = [{"type": "text", "text": "B"}, {"type": "text", "text": "AD"}]
    silent = {"role": "assistant", "content": None}
    whole = [asked, {"role": "assistant", "content": told}]
    rows = [{"messages": one} for one in (whole, [asked], [silent])]
    judge(write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", keep_text=True)

    (row,) = found(tmp_path / "out.jsonl")
    assert (row["user"], row["text"]) == ("이건?", "B\nAD")
    assert bad(tmp_path / "out.jsonl") == [
        ("in.jsonl", number, "the last message is not all text") for number in (2, 3)
    ]


def test_named_columns_are_read(tmp_path: Path) -> None:
    """Where the usual names do not find them."""
    path = write(tmp_path / "in.csv", [{"q": "질문", "bot": "BAD"}])
    judge(path, tmp_path / "out.jsonl", columns=Columns(user="q", assistant="bot"), keep_text=True)

    (row,) = found(tmp_path / "out.jsonl")
    assert (row["user"], row["text"], row["unsafe"]) == ("질문", "BAD", True)


@pytest.mark.parametrize("out", ["out.jsonl", "out"])
def test_texts_are_kept_only_when_asked_for(tmp_path: Path, out: str) -> None:
    """Logs are private; a lone surrogate spoils nothing."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"user": "q", "assistant": "a\\ud800b"}\n{"assistant": 7, "x": "secret"}\n')
    judge(path, tmp_path / "plain" / out)
    judge(path, tmp_path / "kept" / out, keep_text=True)
    everything = [each.read_bytes() for each in (tmp_path / "plain").rglob("*") if each.is_file()]

    assert found(tmp_path / "kept" / out)[0]["user"] == "q"
    assert found(tmp_path / "kept" / out)[0]["text"].startswith("a")
    assert not any(b"secret" in content for content in everything)
    assert "text" not in found(tmp_path / "plain" / out)[0]


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    """The embedded classifier's scores and categories too."""
    path = write(
        tmp_path / "in.jsonl", [{"user": "대마 어디서 사?", "assistant": "제가 구해 드려요."}]
    )
    scan(path, tmp_path / "out")
    scan(path, tmp_path / "out.jsonl")
    (one,), (other,) = found(tmp_path / "out"), found(tmp_path / "out.jsonl")

    assert one.pop("categories") == pytest.approx(other.pop("categories"), abs=1e-6)
    assert one == other


def test_the_policy_decides(tmp_path: Path) -> None:
    """Thresholds, categories and their actions."""
    stub = ClassifierConfig(**STUB.model_dump(), category=Category.O5)
    policy = Policy.model_validate({"categories": {"O5": {"action": "monitor"}}})
    summary = judge(
        write(tmp_path / "in.jsonl", turns(10)),
        tmp_path / "out.jsonl",
        classifier=stub,
        policy=policy,
    )

    assert summary.categories == {"O5": {"flag": 2}}
    assert summary.actions == {"allow": 8, "flag": 2}
    assert {row["category"] for row in found(tmp_path / "out.jsonl")} == {None, "O5"}


def test_a_threshold_of_the_policy_says_what_is_unsafe(tmp_path: Path) -> None:
    """Not only the classifier's own decision."""
    path = write(tmp_path / "in.jsonl", turns(10))

    assert judge(path, tmp_path / "a.jsonl", policy=Policy(threshold=0.005)).unsafe == 10
    assert judge(path, tmp_path / "b.jsonl", policy=Policy(threshold=0.995)).unsafe == 0


def test_one_turn_that_breaks_the_classifier_costs_no_other(tmp_path: Path) -> None:
    """It has no verdict and says why; the policy treats it as such."""
    rows = turns(100)
    rows[40]["assistant"] = "broken"
    judged = judge(
        write(tmp_path / "in.jsonl", rows),
        tmp_path / "out.jsonl",
        classifier=ClassifierConfig(kind="tests.unit.evaluation.helpers:Reading"),
    )
    row = found(tmp_path / "out.jsonl")[40]

    assert (row["unsafe"], row["score"], row["action"]) == (None, None, "replace")
    assert row["error"] == "ClassifierError: cannot read this"
    assert (judged.turns, judged.unknown, judged.errors) == (100, 1, {"ClassifierError": 1})


def test_a_classifier_that_does_not_work_stops_the_scan(tmp_path: Path) -> None:
    """Before anything is written."""
    broken = ClassifierConfig(kind="tests.unit.scan.judges:Down")
    with pytest.raises(ClassifierUnavailable, match="nobody there"):
        judge(write(tmp_path / "in.jsonl", turns(3)), tmp_path / "out.jsonl", classifier=broken)

    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_classifier_that_goes_down_loses_nothing(tmp_path: Path) -> None:
    """What was judged is kept, and the same call goes on once it is back."""
    path, out = write(tmp_path / "in.jsonl", turns(2000)), tmp_path / "out.jsonl"
    falling = ClassifierConfig(kind="tests.unit.scan.judges:Falling", lasts=1200)
    with pytest.raises(ClassifierUnavailable):
        judge(path, out, classifier=falling)
    sure = json.loads((tmp_path / "out.manifest.json").read_bytes())["done"]["rows"]
    summary = judge(path, out, classifier=falling)

    assert 0 < sure < 2000
    assert [row["row"] for row in found(out)] == list(range(1, 2001))
    assert summary.turns == 2000


def test_the_scores_are_the_classifiers_own(tmp_path: Path) -> None:
    """A scan is the same judge as `guardrail check`."""
    rows = turns(20)
    scan(write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")
    judge = ClassifierConfig().build()
    alone = [judge.classify(exchange(row["user"], row["assistant"])).score for row in rows]

    assert [row["score"] for row in found(tmp_path / "out.jsonl")] == alone


def test_many_processes_write_what_one_does(tmp_path: Path) -> None:
    """The same bytes, also where rows are bad."""
    path = write(tmp_path / "in.jsonl", turns(20_000))
    path.write_bytes(path.read_bytes().replace(b"}\n", b"\n", 7))
    judge(path, tmp_path / "one.jsonl", classifier=QUICK, workers=1)
    judge(path, tmp_path / "two.jsonl", classifier=QUICK, workers=2)

    assert path.stat().st_size > 1 << 20  # so much that a second process is started
    assert len(bad(tmp_path / "two.jsonl")) == 7
    for name in (".jsonl", ".bad_rows.jsonl", ".summary.json"):
        assert (tmp_path / f"one{name}").read_bytes() == (tmp_path / f"two{name}").read_bytes()


def test_a_folder_of_results_is_read_as_one_table(tmp_path: Path) -> None:
    """By pyarrow, and whatever leaves out names that begin with an underscore."""
    import pyarrow.parquet as pq

    judge(write(tmp_path / "in.jsonl", turns(3000)), tmp_path / "out", shard_rows=1000)
    table = pq.read_table(tmp_path / "out")

    assert table.num_rows == 3000
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 3
    assert table["unsafe"].to_pylist().count(True) == 600


def test_the_summary_is_a_file_too(tmp_path: Path) -> None:
    """There once all is done."""
    summary = judge(write(tmp_path / "in.jsonl", turns(10)), tmp_path / "out.jsonl")

    assert json.loads((tmp_path / "out.summary.json").read_bytes()) == json.loads(summary.to_json())


def test_degraded_verdicts_are_counted(tmp_path: Path) -> None:
    """Those of a weaker classifier, while the one that should judge was down."""
    fallback = ClassifierConfig(
        kind="fallback", classifiers=[{"kind": "tests.unit.scan.judges:Down"}, STUB.model_dump()]
    )
    summary = judge(
        write(tmp_path / "in.jsonl", turns(10)), tmp_path / "o.jsonl", classifier=fallback
    )

    assert summary.degraded == 10
    assert lines(tmp_path / "o.jsonl")[0]["degraded"] is True


@pytest.mark.parametrize(
    ("place", "out", "message"),
    [
        ("nowhere", "out.jsonl", "there is no file or folder 'nowhere'"),
        ("in.txt", "out.jsonl", "must end in one of .jsonl"),
        ("empty", "out.jsonl", "holds no file that ends in"),
        ("in.jsonl", "out.csv", "a file ends in .jsonl"),
        ("folder", "folder/out.jsonl", "lies in what is scanned"),
        ("in.jsonl", "in.jsonl", "lies in what is scanned"),
        ("in.jsonl", "own", "holds something else"),
        ("in.jsonl", "own.jsonl", "is no scan's"),
        ("in.jsonl", "sum.jsonl", "sum.summary.json exists, and is no scan's"),
        ("logs.bad_rows.jsonl", "logs.jsonl", "results would be written over it"),
        ("plain.jsonl", "out.jsonl", "no column holds text"),
        ("twice.csv", "out.jsonl", "two columns 'assistant'"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, out: str, message: str
) -> None:
    """In one line, before anything is judged, and nothing is touched."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.jsonl", turns(3))
    write(tmp_path / "folder" / "a.jsonl", turns(3))
    write(tmp_path / "plain.jsonl", [{"price": 3}])
    (tmp_path / "twice.csv").write_text("user,assistant,assistant\n1,2,3\n")
    (tmp_path / "in.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "own" / "mine.parquet", turns(1))
    (tmp_path / "own.jsonl").write_text("mine\n")
    (tmp_path / "sum.summary.json").write_text("mine\n")
    write(tmp_path / "logs.bad_rows.jsonl", turns(3))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=message):
        judge(Path(place), Path(out))

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["out.jsonl.part", "out.bad_rows.jsonl", "out.summary.json"])
def test_beginning_anew_removes_nobody_elses_files(tmp_path: Path, name: str) -> None:
    """Beside the results, whose place was named, only a scan's own."""
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(ConfigError, match="is no scan's; move it"):
        judge(write(tmp_path / "in.jsonl", turns(3)), tmp_path / "out.jsonl", overwrite=True)

    assert (tmp_path / name).read_text() == "mine\n"


def test_results_are_not_written_over_what_they_are_of(tmp_path: Path) -> None:
    """Nor removed: a scan of an earlier scan's results needs another place."""
    judge(write(tmp_path / "in.jsonl", turns(3)), tmp_path / "out", keep_text=True)
    with pytest.raises(ConfigError, match="results would be written over it"):
        judge(tmp_path / "out" / "part-00000.parquet", tmp_path / "out", overwrite=True)

    assert len(found(tmp_path / "out")) == 3
