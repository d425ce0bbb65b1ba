"""What is done about a verdict: thresholds, actions, and the words of a refusal."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from enum import StrEnum
from itertools import chain
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from guardrail.errors import ClassifierError
from guardrail.refusals import FALLBACK, FIELDS, REFUSALS
from guardrail.settings import NoSwitch, OffByFalse, Settings
from guardrail.taxonomy import TITLES
from guardrail.types import (
    Action,
    Category,
    Conversation,
    Language,
    Outcome,
    Role,
    Stage,
    Verdict,
    last_exchange,
)
from guardrail.window import Window

__all__ = [
    "PRESENT",
    "CategoryPolicy",
    "Mode",
    "OnError",
    "OnUnsafe",
    "Policy",
    "Texts",
    "language_of",
]


class Mode(StrEnum):
    """Whether unsafe replies are replaced, or only recorded."""

    ENFORCE = "enforce"
    MONITOR = "monitor"


class OnError(StrEnum):
    """What a turn without a verdict gets: blocked, or let through and recorded as an error."""

    CLOSED = "closed"
    OPEN = "open"


class OnUnsafe(StrEnum):
    """What an unsafe reply of one category gets."""

    REFUSE = "refuse"
    FALLBACK = "fallback"
    MONITOR = "monitor"
    ALLOW = "allow"


# From the strictest: what an unsafe reply of several categories gets.
_STRICTNESS = (OnUnsafe.REFUSE, OnUnsafe.FALLBACK, OnUnsafe.MONITOR, OnUnsafe.ALLOW)
# A category counts as present from this probability on, where no threshold says otherwise.
PRESENT = 0.5

_HANGUL = re.compile("[가-힣ㄱ-ㆎ\u1100-\u11ff]")
_LATIN_WORD = re.compile("[A-Za-z]+")

_Probability = Annotated[float, NoSwitch, Field(ge=0.0, le=1.0)]


def _checked_template(template: str) -> str:
    for field in _fields_of(template):
        if field not in FIELDS:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ValueError(
                f"unknown field {{{field}}}; known are {known}; write {{{{ for a brace"
            )
    if not _fill(template, dict.fromkeys(FIELDS, "x")).strip():
        raise ValueError("a refusal must not be empty")
    return template


def _fields_of(template: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{error}; write {{{{ and }}}} for braces") from None
    if formatted := [name for _, name, spec, conversion in parts if spec or conversion]:
        raise ValueError(f"write {{{formatted[0]}}} without a format")
    return [name for _, name, _, _ in parts if name is not None]


def _fill(template: str, values: Mapping[str, str]) -> str:
    lines = (_fill_line(line, values) for line in template.splitlines())
    return "\n".join(line for line in lines if line is not None)


def _fill_line(line: str, values: Mapping[str, str]) -> str | None:
    """Return the line with its fields filled; None if it has fields and all are empty."""
    fields = _fields_of(line)
    if fields and not any(values[name] for name in fields):
        return None
    return re.sub(" {2,}", " ", line.format_map(values)).rstrip()


_Template = Annotated[str, AfterValidator(_checked_template)]


def _upper_keys(value: object) -> object:
    """Return categories under their ids; environment variables have them in lower case."""
    if not isinstance(value, Mapping):
        return value
    merged: dict[object, object] = {}
    for key, one in value.items():
        name = key.upper() if isinstance(key, str) else key
        merged[name] = _merged(merged.get(name), one)
    return merged


def _merged(earlier: object, later: object) -> object:
    if not (isinstance(earlier, Mapping) and isinstance(later, Mapping)):
        return later
    both = {**earlier, **later}
    return {
        key: _merged(earlier.get(key), one) if key in later else one for key, one in both.items()
    }


def _known_language(value: object) -> object:
    known = (*Language, "auto")
    if value not in known:
        raise ValueError(f"should be one of {', '.join(repr(str(name)) for name in known)}")
    return value


class Texts(Settings):
    """A refusal in each language; a language left out keeps its default."""

    ko: _Template | None = None
    en: _Template | None = None

    def get(self, language: Language) -> str | None:
        """Return the text in a language, if there is one of its own."""
        return self.ko if language is Language.KO else self.en


def _both(own: Texts, default: Mapping[Language, str]) -> Texts:
    return Texts(ko=own.ko or default[Language.KO], en=own.en or default[Language.EN])


class CategoryPolicy(Settings):
    """How one category is treated.

    Args:
        action: what its unsafe replies get.
        threshold: its own threshold, on its own probability; None to go by the overall one.
        refusal: its own words; the default ones where left out.
    """

    action: OnUnsafe = OnUnsafe.REFUSE
    threshold: _Probability | None = None
    refusal: Texts = Field(default_factory=Texts)


class Policy(Settings):
    """What is done about verdicts; every setting has a default that is safe to ship.

    Args:
        mode: `monitor` records what would have been blocked, and blocks nothing.
        threshold: score from which a reply is unsafe; None goes by the classifier's own decision.
        on_error: what a turn without a verdict gets.
        timeout: seconds a classifier may take for one answer, up to an hour; None (in a file,
            false) for no limit.
        check_input: also judge the user's turn, before the bot answers it. KoSafeGuard and the
            embedded classifier were made to judge replies, so this is experimental.
        language: of refusals; `auto` goes by the user's own.
        service_name: fills `{service_name}` in refusals.
        contact: fills `{contact}` in refusals.
        fallback: the words where no category is known, or its action is `fallback`.
        categories: treatment of single categories.
        window: when a streamed reply is judged; None (in a file, false) holds the whole of it.
    """

    mode: Mode = Mode.ENFORCE
    threshold: _Probability | None = None
    on_error: OnError = OnError.CLOSED
    timeout: Annotated[Annotated[float, NoSwitch, Field(gt=0.0, le=3600.0)] | None, OffByFalse] = (
        10.0
    )
    check_input: bool = False
    language: Annotated[Language | Literal["auto"], BeforeValidator(_known_language)] = "auto"
    service_name: str = ""
    contact: str = ""
    fallback: Texts = Field(default_factory=Texts)
    categories: Annotated[Mapping[Category, CategoryPolicy], BeforeValidator(_upper_keys)] = Field(
        default_factory=dict
    )
    window: Annotated[Window | None, OffByFalse] = Field(default_factory=Window)

    def of(self, category: Category) -> CategoryPolicy:
        """Return how a category is treated."""
        return self.categories.get(category) or CategoryPolicy()

    def finds_unsafe(self, verdict: Verdict) -> bool:
        """Whether the verdict reaches the thresholds.

        A category with a threshold of its own is unsafe from there on; the others go by the
        overall threshold. Below its own threshold the most probable category excuses no more of
        the score than it accounts for: what is left may not reach the overall threshold.
        """
        own, present = self._own_thresholds, self._present(verdict)
        if not own.keys().isdisjoint(present):
            return True
        if not present and self._excused(verdict):
            return False
        return verdict.unsafe if self.threshold is None else verdict.score >= self.threshold

    def wants_categories(self, verdict: Verdict) -> bool:
        """Whether the decision, or its words, depend on categories that are not known yet."""
        if verdict.categories:
            return False
        lowest = min(self._own_thresholds.values(), default=None)
        return self.finds_unsafe(verdict) or (lowest is not None and verdict.score >= lowest)

    def decide(self, conversation: Conversation, verdict: Verdict) -> Outcome:
        """Return what happens to the judged turn."""
        if not self.finds_unsafe(verdict):
            return _outcome(conversation, Action.ALLOW, verdict=verdict)
        category, action = self._decisive(verdict)
        if action is OnUnsafe.ALLOW:
            return _outcome(conversation, Action.ALLOW, verdict=verdict, category=category)
        if action is OnUnsafe.MONITOR or self.mode is Mode.MONITOR:
            return _outcome(conversation, Action.FLAG, verdict=verdict, category=category)
        worded = None if action is OnUnsafe.FALLBACK else category
        text = self.refusal(worded, self.language_for(conversation))
        return _outcome(conversation, Action.REPLACE, text, verdict=verdict, category=category)

    def decide_without(
        self, conversation: Conversation, error: ClassifierError, verdict: Verdict | None = None
    ) -> Outcome:
        """Return what happens to a turn when no verdict came, or no categories to it."""
        known_unsafe = verdict is not None and self.finds_unsafe(verdict)
        lenient = self.mode is Mode.MONITOR or (self.on_error is OnError.OPEN and not known_unsafe)
        if lenient:
            return _outcome(conversation, Action.FLAG, verdict=verdict, error=error)
        text = self.refusal(None, self.language_for(conversation))
        return _outcome(conversation, Action.REPLACE, text, verdict=verdict, error=error)

    def refusal(self, category: Category | None, language: Language) -> str:
        """Return the words shown in place of an unsafe reply; no category gives the fallback."""
        own = self.fallback if category is None else self.of(category).refusal
        default = FALLBACK if category is None else REFUSALS[category]
        values = {
            "category": "" if category is None else TITLES[category][language],
            "service_name": self.service_name,
            "contact": self.contact,
        }
        return _fill(own.get(language) or "", values) or _fill(default[language], values)

    def spelled_out(self) -> Policy:
        """Return the same policy with every category's settings and every text written down."""
        return self.model_copy(
            update={
                "fallback": _both(self.fallback, FALLBACK),
                "categories": {category: self._spelled_out(category) for category in Category},
            }
        )

    def _spelled_out(self, category: Category) -> CategoryPolicy:
        one = self.of(category)
        return one.model_copy(update={"refusal": _both(one.refusal, REFUSALS[category])})

    def language_for(self, conversation: Conversation) -> Language:
        """Return the language a refusal is written in."""
        if self.language != "auto":
            return Language(self.language)
        said = [turn.content for turn in reversed(conversation) if turn.role is Role.USER]
        _, reply = last_exchange(conversation)
        texts = (*said, reply or "")
        sure = map(language_of, texts)
        likely = (language_of(text, words=1) for text in texts)
        return next((language for language in chain(sure, likely) if language), Language.KO)

    @property
    def _own_thresholds(self) -> dict[Category, float]:
        return {
            category: one.threshold
            for category, one in self.categories.items()
            if one.threshold is not None
        }

    def _present(self, verdict: Verdict) -> list[Category]:
        """Return the categories that reach their own thresholds, or the usual one."""
        own = self._own_thresholds
        return [
            name for name, value in verdict.categories.items() if value >= own.get(name, PRESENT)
        ]

    def _excused(self, verdict: Verdict) -> bool:
        """Whether the score is of a category that is short of its own threshold."""
        if verdict.top is None or verdict.top not in self._own_thresholds:
            return False
        overall = PRESENT if self.threshold is None else self.threshold
        return verdict.score - verdict.categories[verdict.top] < overall

    def _decisive(self, verdict: Verdict) -> tuple[Category | None, OnUnsafe]:
        """Return the category that decides, and what it gets: of those present, the strictest.

        Where none is clearly present the most probable one lends its words, but no leniency.
        """
        present = self._present(verdict)
        if not present:
            top = verdict.top
            words = OnUnsafe.FALLBACK if top is None else self.of(top).action
            return top, min(words, OnUnsafe.FALLBACK, key=_STRICTNESS.index)
        decisive = min(
            present,
            key=lambda one: (_STRICTNESS.index(self.of(one).action), -verdict.categories[one]),
        )
        return decisive, self.of(decisive).action


def language_of(text: str, *, words: int = 2) -> Language | None:
    """Return the language of a text: Korean if it has any Hangul, English from some words on.

    One Latin word ("ok", "ASAP") says little: Koreans write it too.
    """
    if _HANGUL.search(text):
        return Language.KO
    return Language.EN if len(_LATIN_WORD.findall(text)) >= words else None


def _outcome(
    conversation: Conversation,
    action: Action,
    text: str | None = None,
    *,
    verdict: Verdict | None,
    category: Category | None = None,
    error: Exception | None = None,
) -> Outcome:
    judged = conversation[-1]
    shown = judged.content if text is None else text
    stage = Stage.OUTPUT if judged.role is Role.ASSISTANT else Stage.INPUT
    return Outcome(action, shown, verdict, error, stage, category)
