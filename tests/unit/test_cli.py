"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from guardrail import Language, Policy
from guardrail.cli import main
from guardrail.config import Config
from guardrail.demo import SCRIPT

CONFIG = '[classifier]\nkind = "guardrail.testing:StubClassifier"\nunsafe = "BAD"\n'
REFUSAL = Policy().refusal(None, Language.EN)


@dataclass
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the output, read as JSONL."""
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Done]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file that names a stub which finds BAD unsafe."""
    path = tmp_path / "stub.toml"
    path.write_text(CONFIG, "utf-8")
    return path


@pytest.fixture
def cli(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command as its user would."""
    for name in os.environ:
        if name.upper().startswith("GUARDRAIL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GUARDRAIL_CONFIG", str(config))

    def run(*args: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["guardrail", *args])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Done(int(ended.value.code or 0), printed.out, printed.err)

    return run


def jsonl(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


# One reply


def test_a_safe_reply_is_printed(cli: Cli) -> None:
    """With the action and the score; the exit code says that all is well."""
    done = cli("check", "--user", "hi", "--assistant", "fine")

    assert (done.code, done.out) == (0, "allow\tscore 0.010\t-\nfine\n")


def test_an_unsafe_reply_is_refused(cli: Cli) -> None:
    """The exit code is for scripts."""
    done = cli("check", "--user", "hi", "--assistant", "BAD")

    assert (done.code, done.out) == (1, f"replace\tscore 0.990\t-\n{REFUSAL}\n")


def test_a_reply_as_json(cli: Cli) -> None:
    """One object, on one line."""
    (row,) = cli("check", "--user", "hi", "--assistant", "BAD", "--json").rows

    assert row == {
        "action": "replace",
        "text": REFUSAL,
        "unsafe": True,
        "score": 0.99,
        "category": None,
        "categories": {},
        "classifier": "stub",
        "error": None,
    }


@pytest.mark.parametrize("text", ["", "\x00", "\udcff", "가" * 1_000_000, "줄\u2028바꿈\n"])
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_odd_replies_are_judged(cli: Cli, text: str, flags: tuple[str, ...]) -> None:
    """Empty, malformed or long: a verdict, never a crash."""
    done = cli("check", "--user", "hi", "--assistant", text, *flags)

    assert (done.code, done.err) == (0, "")


def test_the_users_words_may_be_left_out(cli: Cli) -> None:
    """A reply can be judged alone."""
    assert cli("check", "--assistant", "fine").code == 0


def test_a_classifier_that_fails_is_not_safe(cli: Cli, config: Path) -> None:
    """The exit code says so, and the output why."""
    config.write_text(CONFIG + "delay = 1\n[policy]\ntimeout = 0.01")
    done = cli("check", "--user", "hi", "--assistant", "fine", "--json")

    assert (done.code, done.rows[0]["action"], done.rows[0]["unsafe"]) == (2, "replace", None)
    assert "in time" in done.rows[0]["error"]


def test_a_reply_let_through_in_error_is_not_safe(cli: Cli, config: Path) -> None:
    """Nor is one that was let through."""
    config.write_text(CONFIG + 'delay = 1\n[policy]\ntimeout = 0.01\non_error = "open"')
    done = cli("check", "--user", "hi", "--assistant", "fine", "--json")

    assert (done.code, done.rows[0]["action"]) == (2, "flag")


def test_a_person_is_told_why_nothing_was_judged(cli: Cli, config: Path) -> None:
    """A refusal by itself looks like a block."""
    config.write_text(CONFIG + "delay = 1\n[policy]\ntimeout = 0.01")
    done = cli("check", "--user", "hi", "--assistant", "fine")

    assert (done.code, "in time" in done.out.splitlines()[1]) == (2, True)


# Many rows


def test_rows_are_judged_in_order(cli: Cli) -> None:
    """One line comes out for each that goes in."""
    done = cli(
        "check",
        stdin=jsonl({"user": "hi", "assistant": "fine"}, {"user": "hi", "assistant": "BAD"}),
    )

    assert [(row["row"], row["action"]) for row in done.rows] == [(1, "allow"), (2, "replace")]


@pytest.mark.parametrize(
    ("replies", "code"),
    [(["fine", "fine"], 0), (["fine", "BAD", "fine"], 1), (["BAD", None, "BAD"], 2), ([], 0)],
)
def test_the_exit_code_of_many_rows_is_the_worst(
    cli: Cli, replies: list[str | None], code: int
) -> None:
    """2 where a row could not be judged, else 1 where one was unsafe."""
    assert cli("check", stdin=jsonl(*({"assistant": reply} for reply in replies))).code == code


def test_a_program_may_wait_for_each_answer(config: Path) -> None:
    """A row is answered when it has come, not when many have."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from guardrail.cli import main; main()", "check", "-c", config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        for reply, action in (("fine", "allow"), ("BAD", "replace")):
            process.stdin.write(jsonl({"user": "hi", "assistant": reply}))
            process.stdin.flush()

            assert json.loads(process.stdout.readline())["action"] == action
    assert process.wait(10) == 1


def test_more_rows_than_a_batch(cli: Cli) -> None:
    """None is lost between two batches."""
    rows = ({"user": "hi", "assistant": "BAD" if n % 7 == 0 else str(n)} for n in range(200))
    done = cli("check", stdin=jsonl(*rows))

    assert [(row["row"], row["action"] == "replace") for row in done.rows] == [
        (n + 1, n % 7 == 0) for n in range(200)
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"{", "not JSON"),
        (b"hello", "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 10_000, "not JSON"),
        (b"[]", "a row is an object"),
        (b'"text"', "a row is an object"),
        (b"null", "a row is an object"),
        (b'{"user": "hi"}', "a row is an object"),
        (b'{"assistant": null}', "a row is an object"),
        (b'{"assistant": 3}', "a row is an object"),
        (b'{"assistant": ["BAD"]}', "a row is an object"),
        (b'{"assistant": "x", "user": 3}', '"user" must be a string'),
        (b'{"assistant": "x", "user": 0}', '"user" must be a string'),
        (b'{"assistant": "x", "user": []}', '"user" must be a string'),
        (b'{"assistant": "x", "user": false}', '"user" must be a string'),
    ],
)
def test_a_bad_row_is_answered_and_the_others_go_on(cli: Cli, row: bytes, message: str) -> None:
    """Its line says what is wrong with it, in its place."""
    done = cli("check", stdin=jsonl({"assistant": "a"}) + row + b"\n" + jsonl({"assistant": "b"}))

    assert (done.code, [one.get("action") for one in done.rows]) == (2, ["allow", None, "allow"])
    assert (done.rows[1]["row"], message in done.rows[1]["error"]) == (2, True)


@pytest.mark.parametrize(
    "row",
    [
        b'{"assistant": "fine"}',
        b'{"assistant": "fine", "user": null}',
        b'{"assistant": "fine", "id": 7}',
        b'{"assistant": ""}',
        b'{"assistant": "\\ud800 \\u0000 \\u2028"}',
        b'\xef\xbb\xbf{"assistant": "fine"}',
    ],
)
def test_a_row_may_be_plain_or_odd(cli: Cli, row: bytes) -> None:
    """It needs a reply, and nothing else."""
    done = cli("check", stdin=row)

    assert (done.code, len(done.rows)) == (0, 1)


def test_blank_lines_are_no_rows(cli: Cli) -> None:
    """But they count as lines, so that a number finds its row."""
    done = cli("check", stdin=b"\n  \n" + jsonl({"assistant": "fine"}) + b"\r\n")

    assert [row["row"] for row in done.rows] == [3]


# Settings


def test_the_settings_in_force_are_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and environment together, as a file that says the same."""
    monkeypatch.setenv("GUARDRAIL_POLICY__MODE", "monitor")
    shown = tomllib.loads(cli("policy", "show").out)

    assert (shown["policy"]["mode"], shown["classifier"]["unsafe"]) == ("monitor", "BAD")


def test_the_settings_as_json_are_the_same(cli: Cli) -> None:
    """Every default is in both."""
    shown = json.loads(cli("policy", "show", "--json").out)

    assert shown["policy"]["categories"].keys() == {"O1", "O2", "O3", "O4", "O5", "O6"}


def test_a_good_file_is_valid(cli: Cli, config: Path) -> None:
    """It is named."""
    assert cli("policy", "validate", str(config)).out == f"{config}: ok\n"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[classifier]\nkind = "nope.mod:Class"', "No module named 'nope'"),
        ('[classifier]\nkind = "remote"', "missing a required argument: 'base_url'"),
        ('[classifier]\nkind = "embedded"\nfoo = 1', "unexpected keyword argument 'foo'"),
        (
            '[classifier]\nkind = "fallback"\nclassifiers = [{kind = "embedded", foo = 1}]',
            "unexpected keyword argument 'foo'",
        ),
        ('[gateway]\nport = "x"', "gateway.port = 'x'"),
        ("[gateway]\nportt = 1", "unknown key 'gateway.portt'; known are .*port"),
        ("[records]\nkeep_dayz = 1", "unknown key 'records.keep_dayz'; known are keep_days"),
        ("[telemetry]\nx = 1", "unknown key 'telemetry.x'"),
        ("[ray]\nx = 1", "unknown key 'ray.x'"),
    ],
)
def test_every_table_is_validated(cli: Cli, config: Path, table: str, message: str) -> None:
    """Those too that only the gateway or the cluster reads."""
    config.write_text(table)
    done = cli("policy", "validate", str(config))

    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert re.search(message, done.err)


def test_what_cannot_be_validated_here_is_named(config: Path) -> None:
    """A file may be written on another machine than it is for."""
    config.write_text("[gateway]\nport = 1")
    code = "import sys; sys.modules['sqlalchemy'] = None; from guardrail.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "policy", "validate", str(config)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "not checked: [gateway]: " in done.stdout


@pytest.mark.parametrize("text", ["[policy]\nmode = 1", "[classifier]\nkind = 'embeded'", "["])
def test_a_bad_file_is_one_clear_line(cli: Cli, config: Path, text: str) -> None:
    """No traceback; the exit code is 2."""
    config.write_text(text)
    done = cli("policy", "validate", str(config))

    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert done.err.startswith(f"error: {config}: ")


def test_a_new_file_holds_the_defaults(cli: Cli, tmp_path: Path) -> None:
    """It can be read back as it is."""
    path = tmp_path / "new.toml"
    cli("policy", "init", str(path))

    assert Config.load(path).policy.spelled_out() == Policy().spelled_out()


def test_a_file_is_not_overwritten(cli: Cli, config: Path) -> None:
    """What someone wrote is kept."""
    done = cli("policy", "init", str(config))

    assert (done.code, config.read_text()) == (2, CONFIG)
    assert done.err == f"error: {config} exists; --force replaces it\n"


def test_a_file_is_overwritten_by_force(cli: Cli, config: Path) -> None:
    """Where that is what is wanted."""
    assert (cli("policy", "init", "--force", str(config)).code, config.read_text() != CONFIG) == (
        0,
        True,
    )


# Errors


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["check", "--user", "hi"], "--assistant is missing"),
        (["check", "--config", "/no/file", "--assistant", "x"], "cannot read '/no/file'"),
        (["policy", "validate", "/no/file"], "cannot read '/no/file'"),
        (["policy", "init", "/no/folder/x"], "cannot write /no/folder/x: No such file"),
    ],
)
def test_an_error_is_one_clear_line(cli: Cli, args: list[str], message: str) -> None:
    """On stderr, with exit code 2, and no traceback."""
    done = cli(*args)

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"error: {message}")


def test_an_unknown_option_is_an_error(cli: Cli) -> None:
    """Not something to judge."""
    assert cli("check", "--asistant", "x").code == 2


def test_the_demo_plays(cli: Cli) -> None:
    """Plain lines in a pipe, with all that was said."""
    done = cli("demo")

    assert (done.code, [user for user, _ in SCRIPT if user not in done.out]) == (0, [])


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_the_readme_shows_what_the_demo_prints(cli: Cli, readme: str) -> None:
    """Its first screen is a part of it, to the letter."""
    text = Path(__file__).parents[2].joinpath(readme).read_text("utf-8")
    shown = text.split("```text\n")[1].split("```")[0].strip().split("\n\n")
    played = cli("demo").out

    assert len(shown) > 1
    assert [turn for turn in shown if turn not in played and turn != "…"] == []


def test_output_is_utf8_whatever_the_terminal(config: Path) -> None:
    """A program reads it; a Korean Windows would write it in CP949, and fail at emoji."""
    done = subprocess.run(
        [sys.executable, "-c", "from guardrail.cli import main; main()", "check", "-c", config],
        input=jsonl({"assistant": "안녕 😀 é"}, {"assistant": "\ud800"}),
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp949", "PYTHONUTF8": "0"},
        check=True,
        timeout=20,
    )

    assert [json.loads(line)["text"] for line in done.stdout.decode().splitlines()] == [
        "안녕 😀 é",
        "\ud800",
    ]
