"""One TOML file, and the environment before it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail import (
    Category,
    ConfigError,
    Guard,
    GuardrailError,
    JsonlHook,
    LoggingHook,
    OnError,
    OnUnsafe,
    Policy,
)
from guardrail.audit import RecordText
from guardrail.config import Config
from guardrail.policy import Mode
from guardrail.testing import StubClassifier
from guardrail.window import Window

Write = Callable[[str], Path]
STUB = '[classifier]\nkind = "guardrail.testing:StubClassifier"\n'


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    for name in os.environ:
        if name.upper().startswith("GUARDRAIL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "guardrail.toml"
        path.write_text(text, "utf-8")
        return path

    return write


# Reading


def test_nothing_has_to_be_configured() -> None:
    """Without a file and variables everything has its default."""
    assert Config.load().policy == Policy()


def test_a_file_sets_the_policy(write: Write) -> None:
    """Its keys are the fields of `Policy`."""
    path = write(
        '[policy]\nmode = "monitor"\non_error = "open"\ntimeout = 2\n'
        '[policy.categories.O1]\naction = "allow"\nthreshold = 0.7\n'
    )

    assert Config.load(path).policy == Policy.model_validate(
        {
            "mode": Mode.MONITOR,
            "on_error": OnError.OPEN,
            "timeout": 2.0,
            "categories": {Category.O1: {"action": OnUnsafe.ALLOW, "threshold": 0.7}},
        }
    )


def test_a_variable_names_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """GUARDRAIL_CONFIG is read where no path is given."""
    monkeypatch.setenv("GUARDRAIL_CONFIG", str(write('[policy]\nmode = "monitor"')))

    assert Config.load().policy.mode is Mode.MONITOR


def test_a_path_goes_before_the_variable(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for is read."""
    monkeypatch.setenv("GUARDRAIL_CONFIG", "/nowhere")

    assert Config.load(write("")).policy == Policy()


def test_a_variable_goes_before_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the table is kept."""
    path = write('[policy]\nmode = "monitor"\ncontact = "1588"')
    monkeypatch.setenv("GUARDRAIL_POLICY__MODE", "enforce")
    policy = Config.load(path).policy

    assert (policy.mode, policy.contact) == (Mode.ENFORCE, "1588")


@pytest.mark.parametrize("name", ["O1", "o1"])
def test_a_variable_may_set_one_key_of_a_category(
    name: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file says of the category otherwise is kept, its words included."""
    path = write(
        f'[policy.categories.{name}]\naction = "monitor"\nthreshold = 0.1\n'
        f'[policy.categories.{name}.refusal]\nko = "가"\nen = "a"\n'
    )
    monkeypatch.setenv("GUARDRAIL_POLICY__CATEGORIES__O1__THRESHOLD", "0.7")
    monkeypatch.setenv("GUARDRAIL_POLICY__CATEGORIES__O1__REFUSAL__KO", "나")

    assert Config.load(path).policy.of(Category.O1).model_dump() == {
        "action": "monitor",
        "threshold": 0.7,
        "refusal": {"ko": "나", "en": "a"},
    }


def test_a_variable_may_hold_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written as JSON."""
    monkeypatch.setenv("GUARDRAIL_POLICY", '{"mode": "monitor"}')

    assert Config.load().policy.mode is Mode.MONITOR


def test_false_switches_off_what_may_be_none(write: Write) -> None:
    """A file has no None."""
    policy = Config.load(write("[policy]\ntimeout = false\nwindow = false")).policy

    assert (policy.timeout, policy.window) == (None, None)


def test_editors_may_leave_their_mark(tmp_path: Path) -> None:
    """Windows editors begin a file with a byte order mark."""
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbf[policy]\nmode = 'monitor'")

    assert Config.load(path).policy.mode is Mode.MONITOR


# Classifiers


def test_other_keys_are_the_classifiers_arguments(write: Write) -> None:
    """A classifier of one's own is named by its place."""
    guard = Guard.from_config(write(STUB + 'unsafe = "나쁜"'))

    assert guard.check(user="x", assistant="나쁜 말").blocked


@pytest.mark.parametrize(
    ("text", "value"), [("0.5", 0.5), ("true", True), ("7", 7), ("cuda:0", "cuda:0"), ("", "")]
)
def test_arguments_from_the_environment_have_their_types(
    text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers and booleans do not come as strings: "false" would be true."""
    monkeypatch.setenv("GUARDRAIL_CLASSIFIER__ARGUMENT", text)

    assert Config.load().classifier.model_extra == {"argument": value}


@pytest.mark.parametrize("kind", ["embeded", ".x:Y", "x:", ":Y", "x y:Z", ""])
def test_an_unknown_classifier_is_refused(kind: str, write: Write) -> None:
    """The message lists the known ones."""
    with pytest.raises(
        ConfigError, match=r"classifier\.kind = .*'embedded'.*'kosafeguard'.* or 'module:Class'"
    ):
        Config.load(write(f'[classifier]\nkind = "{kind}"'))


@pytest.mark.parametrize(
    "kind",
    [
        "no_such_module:X",
        "guardrail.testing:X",
        "guardrail.testing:ListHook",
        "os:getcwd",
        "os:sep",
    ],
)
def test_what_is_no_classifier_is_refused(kind: str, write: Write) -> None:
    """Neither a missing one nor another kind of thing judges replies."""
    with pytest.raises(ConfigError, match=f"kind = '{kind}'"):
        Config.load(write(f'[classifier]\nkind = "{kind}"')).classifier.build()


def test_a_module_that_fails_is_named(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises when imported, the configuration is what led there."""
    (tmp_path / "failing_module.py").write_text("raise RuntimeError('no licence')")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigError, match=r"failing_module:X.*no licence"):
        Config.load(write('[classifier]\nkind = "failing_module:X"')).classifier.build()


def test_an_unknown_argument_is_refused(write: Write) -> None:
    """The classifier's own complaint is passed on."""
    with pytest.raises(ConfigError, match="unexpected keyword argument 'treshold'"):
        Guard.from_config(write(STUB + "treshold = 1"))


# Audit


def test_records_go_where_the_file_says(write: Write, tmp_path: Path) -> None:
    """A file and the log are one line of configuration each."""
    path = write(f'[audit]\nfile = "{tmp_path}/audit.jsonl"\nlog = true\ntext = "hash"')
    config = Config.load(path).audit
    file, log = config.hooks()
    assert isinstance(file, JsonlHook)
    file.close()

    assert (type(log), config.text) == (LoggingHook, RecordText.HASH)


def test_records_go_nowhere_by_default() -> None:
    """What users say is kept only where someone asks for it."""
    config = Config.load().audit

    assert (config.hooks(), config.text) == ([], RecordText.NONE)


def test_a_file_that_cannot_be_written_is_an_error(write: Write, tmp_path: Path) -> None:
    """It shows at start-up, not at the first decision."""
    with pytest.raises(ConfigError, match=r"cannot write audit records to .*No such file"):
        Guard.from_config(write(STUB + f'[audit]\nfile = "{tmp_path}/no/such/folder"'))


# Messages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[policy\n", "Expected ']'"),
        ("polcy = 1", "unknown key 'polcy'; known are audit, classifier, gateway"),
        ("[policy]\nmod = 1", "unknown key 'policy.mod'; known are categories, .*mode"),
        ("policy = 1", "policy = 1: should be a table"),
        ('[policy]\nmode = "x"', "policy.mode = 'x': Input should be 'enforce' or 'monitor'"),
        ("[policy]\nthreshold = 2", "policy.threshold = 2: .*less than or equal to 1"),
        ("[policy]\ntimeout = 0", "policy.timeout = 0: .*greater than 0"),
        ('[policy]\nlanguage = "fr"', "policy.language = 'fr': .*'ko', 'en', 'auto'"),
        ("[policy.categories.O7]", "unknown key 'policy.categories.O7'; known are O1, O2"),
        (
            "[policy.categories.o1]\nactoin = 1",
            "unknown key 'policy.categories.O1.actoin'; known are action, refusal, threshold",
        ),
        (
            '[policy.fallback]\nko = "{x}"',
            r"policy.fallback.ko = '{x}': unknown field \{x\}; known",
        ),
        ("[policy.window]\nfirst = 0", "policy.window.first = 0: .*greater than or equal to 1"),
        ('[audit]\ntext = "x"', "audit.text = 'x': .*'none', 'hash' or 'text'"),
    ],
)
def test_a_message_names_the_file_the_key_and_what_is_right(
    text: str, message: str, write: Write
) -> None:
    """One line is enough to mend it."""
    path = write(text)

    with pytest.raises(ConfigError, match=f"^{path}: {message}") as raised:
        Config.load(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GUARDRAIL_POLICY__MODE", "x", "policy.mode = 'x': .*'enforce' or 'monitor'"),
        ("guardrail_policy__mode", "x", "policy.mode = 'x'"),
        ("GUARDRAIL_POLICY__MOD", "x", "unknown key 'policy.mod'; known are"),
        ("GUARDRAIL_POLICY", '{"mode": "x"}', "policy.mode = 'x'"),
        ("GUARDRAIL_POLICY", "{", "a table is JSON: Expecting property name"),
        ("GUARDRAIL_POLICY__CATEGORIES__O1__THRESHOLD", "7", "policy.categories.O1.threshold"),
        ("GUARDRAIL_POLICY__CATEGORIES__O7__ACTION", "x", "unknown key 'policy.categories.O7'"),
        ("GUARDRAIL_POLICY_MODE", "x", "unknown variable; write GUARDRAIL_POLICY__MODE"),
        ("GUARDRAIL_POLCY__MODE", "x", "unknown table 'polcy'; known are .*policy"),
        ("GUARDRAIL_MODE", "x", "unknown variable; write GUARDRAIL_POLICY__MODE"),
        ("GUARDRAIL_CONFIG", "/no/such/file", "cannot read '/no/such/file'"),
    ],
)
def test_a_message_names_the_variable(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place to mend is the environment, and no file is blamed."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigError, match=f"^{variable.upper()}: {message}"):
        Config.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[classifier]\nthreshold = 2", "embedded.* threshold must be a number from 0 to 1, not 2"),
        ('[classifier]\nweights = "none.npz"', "there is none at 'none.npz'"),
        ('[audit]\nfile = "/nope/x"', "audit.file: there is no folder '/nope'"),
        ("[policy]\nthreshold = false", "policy.threshold = False: should be a number"),
        ("[policy]\ntimeout = true", "policy.timeout = True: should be a number"),
    ],
)
def test_what_cannot_be_built_is_found_and_placed(write: Write, text: str, message: str) -> None:
    """By a look at the file alone, before anything is served."""
    path = write(text)
    with pytest.raises(ConfigError, match=f"{path}: .*{message}"):
        Config.load(path).check()
    if "policy" not in text:
        with pytest.raises(ConfigError, match=f"^{path}: "):
            Guard.from_config(path)


def test_what_cannot_be_built_may_be_a_variables_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is named."""
    monkeypatch.setenv("GUARDRAIL_CLASSIFIER__THRESHOLD", "abc")

    with pytest.raises(ConfigError, match=r"^GUARDRAIL_CLASSIFIER__THRESHOLD: .*'abc'"):
        Guard.from_config()


@pytest.mark.parametrize("key", ["TIMEOUT", "WINDOW"])
def test_a_variable_switches_off(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the word that a file has for it."""
    monkeypatch.setenv(f"GUARDRAIL_POLICY__{key}", "false")

    assert getattr(Config.load().policy, key.lower()) is None


def test_a_file_is_not_to_blame_for_a_variable(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both are read, the message names the one that is wrong."""
    monkeypatch.setenv("GUARDRAIL_POLICY__TIMEOUT", "soon")

    with pytest.raises(ConfigError, match=r"^GUARDRAIL_POLICY__TIMEOUT: "):
        Config.load(write('[policy]\nmode = "monitor"'))


def test_a_variable_is_not_to_blame_for_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the other way round."""
    monkeypatch.setenv("GUARDRAIL_POLICY__TIMEOUT", "1")
    path = write('[policy]\nmode = "x"')

    with pytest.raises(ConfigError, match=f"^{path}: policy.mode"):
        Config.load(path)


def test_every_mistake_is_told_at_once(write: Write) -> None:
    """One line each."""
    with pytest.raises(ConfigError) as raised:
        Config.load(write('[policy]\nmode = "x"\nthreshold = 2\ncolour = 1'))

    assert len(str(raised.value).splitlines()) == 3


@pytest.mark.parametrize("content", [b"\xff\xfe", b'x = "\xff"'])
def test_a_file_that_is_no_text_is_an_error(content: bytes, tmp_path: Path) -> None:
    """The message names the file."""
    path = tmp_path / "x.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=f"^{path}: "):
        Config.load(path)


@pytest.mark.parametrize("path", ["/no/such/file", "/"])
def test_a_file_that_cannot_be_read_is_an_error(path: str) -> None:
    """The message names the file and the reason."""
    with pytest.raises(ConfigError, match=f"^cannot read '{path}': .+"):
        Config.load(path)


# Writing

PROBABILITIES = st.none() | st.floats(0, 1)
WORDS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="{}")).filter(str.strip)
TEXTS = st.fixed_dictionaries({"ko": WORDS, "en": WORDS})
POLICIES = st.builds(
    Policy,
    mode=st.sampled_from(Mode),
    threshold=PROBABILITIES,
    on_error=st.sampled_from(OnError),
    timeout=st.none() | st.floats(0.001, 3600),
    check_input=st.booleans(),
    language=st.sampled_from(["auto", "ko", "en"]),
    service_name=st.text(),
    contact=st.text(),
    fallback=TEXTS,
    categories=st.dictionaries(
        st.sampled_from(Category),
        st.fixed_dictionaries(
            {"action": st.sampled_from(OnUnsafe), "threshold": PROBABILITIES, "refusal": TEXTS}
        ),
    ),
    window=st.none() | st.builds(Window, first=st.integers(1, 99)),
)


@given(POLICIES)
def test_a_written_policy_reads_back_the_same(policy: Policy) -> None:
    """Whatever was set, a file can say it."""
    text = Config.model_construct(policy=policy).to_toml()

    assert Config(**tomllib.loads(text)).policy.spelled_out() == policy.spelled_out()


def test_a_text_keeps_its_line_breaks() -> None:
    """Those of Windows too."""
    config = Config.model_construct(policy=Policy(contact="a\r\nb\nc\r"))

    assert tomllib.loads(config.to_toml())["policy"]["contact"] == "a\r\nb\nc\r"


def test_the_written_defaults_are_the_defaults(write: Write) -> None:
    """A file made by `policy init` changes nothing until it is edited."""
    config = Config.load(write(Config().to_toml()))

    assert (config.policy.spelled_out(), config.classifier.kind, config.audit.file) == (
        Policy().spelled_out(),
        "embedded",
        None,
    )


def test_every_error_is_one_of_ours() -> None:
    """Callers catch GuardrailError; nothing of a library's shows through."""
    with pytest.raises(GuardrailError):
        Config.load(__file__)


def test_a_guard_is_built_from_a_file(write: Write) -> None:
    """Classifier, policy and hooks come together."""
    guard = Guard.from_config(write(STUB + '[policy]\nmode = "monitor"'))

    assert (type(guard.classifier), guard.policy.mode) == (StubClassifier, Mode.MONITOR)
