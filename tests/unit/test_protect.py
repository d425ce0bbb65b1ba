"""The decorator: whatever kind of handler, its replies are guarded and the rest is as it was."""

# ruff: noqa: ARG001, ARG004 - the handlers have the parameters that the tests are about

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from guardrail import ConfigError, Guard, InvalidTurnError, Language, Policy
from guardrail.audit import Status
from guardrail.testing import ListHook, ScriptedHandler, StubClassifier
from guardrail.types import Conversation
from tests.conftest import Answering, Mode

REFUSAL = Policy().refusal(None, Language.EN)


@pytest.fixture
def guard() -> Guard:
    """A guard that lets everything through but BAD."""
    return Guard(StubClassifier(unsafe="BAD"), Policy(language="en"))


class Asked:
    """Says what the reply was judged by: the user's words, as the classifier got them."""

    def __init__(self) -> None:
        self.users: list[str] = []
        self.guard = Guard(Answering(self._answer), Policy(on_error="open"))

    def _answer(self, conversations: Any) -> None:
        self.users += [one[-2].content for one in conversations]


# What is guarded


def test_a_safe_reply_is_the_handlers_own(mode: Mode, guard: Guard) -> None:
    """Nothing is added to it."""
    assert mode.converse(guard, lambda message: f"echo {message}") == "echo hi"


def test_an_unsafe_reply_is_replaced(mode: Mode, guard: Guard) -> None:
    """The caller cannot tell it from a handler that refuses."""
    assert mode.converse(guard, lambda _: "BAD") == REFUSAL


def test_a_reply_of_a_kind_of_str_is_returned_as_it_is(mode: Mode, guard: Guard) -> None:
    """Template engines mark safe markup by a class of their own."""

    class Markup(str):
        __slots__ = ()

    assert type(mode.converse(guard, lambda _: Markup("ok"))) is Markup


@pytest.mark.parametrize("reply", [None, 3, b"BAD", ["BAD"], {"content": "BAD"}, ("BAD",)])
def test_a_reply_that_is_not_text_is_refused(mode: Mode, guard: Guard, reply: Any) -> None:
    """It cannot be judged; the message says what to return instead."""
    with pytest.raises(InvalidTurnError, match=f"handler returned {type(reply).__name__}, not str"):
        mode.converse(guard, lambda _: reply)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_coroutine_is_not_text(guard: Guard) -> None:
    """A `def` that hands out a coroutine would hand out the reply unjudged."""

    async def reply() -> str:
        return "BAD"

    with pytest.raises(InvalidTurnError, match="returned coroutine"):
        Mode.SYNC.converse(guard, lambda _: reply())


@pytest.mark.parametrize(
    "error", [ValueError("no stock"), KeyError("x"), TimeoutError(), OSError()]
)
def test_the_handlers_own_error_passes_unchanged(
    mode: Mode, guard: Guard, error: Exception
) -> None:
    """It is the application's, and no business of the guard's policy."""

    def fail(_: str) -> str:
        raise error

    with pytest.raises(type(error)) as raised:
        mode.converse(guard, fail)
    assert raised.value is error


def test_the_handlers_error_is_no_decision(mode: Mode) -> None:
    """Nothing is recorded where nothing was decided."""
    hook = ListHook()
    with pytest.raises(ZeroDivisionError):
        mode.converse(Guard(StubClassifier(), hooks=[hook]), lambda _: str(1 / 0))

    assert hook.records == []


def test_the_handler_is_called_once(mode: Mode, guard: Guard) -> None:
    """Replies cost money."""
    bot = ScriptedHandler("one", "two")

    assert (mode.converse(guard, bot), bot.heard) == ("one", ["hi"])


# Kinds of handlers


def test_it_works_bare_and_with_arguments(guard: Guard) -> None:
    """`@guard.protect`, `@guard.protect()` and `@guard.protect(user=...)` are the same."""

    def handler(message: str) -> str:
        return "BAD"

    decorated = (
        guard.protect(handler),
        guard.protect()(handler),
        guard.protect(user="message")(handler),
    )
    assert [one("hi") for one in decorated] == [REFUSAL] * 3


class Bot:
    """A bot as an object."""

    reply_of_the_shop = "BAD"

    def reply(self, message: str) -> str:
        return self.reply_of_the_shop

    async def areply(self, message: str) -> str:
        return self.reply_of_the_shop

    @classmethod
    def of_class(cls, message: str) -> str:
        return cls.reply_of_the_shop

    @staticmethod
    def static(message: str) -> str:
        return "BAD"

    def __call__(self, message: str) -> str:
        return self.reply_of_the_shop


class AsyncBot:
    """A bot as an async object."""

    async def __call__(self, message: str) -> str:
        return "BAD"


@pytest.mark.parametrize(
    "handler",
    [
        Bot().reply,
        Bot.of_class,
        Bot.static,
        Bot(),
        functools.partial(Bot().reply),
        functools.partial(lambda shop, message: "BAD", "shop"),
        functools.partial(Bot()),
        lambda message: "BAD",
    ],
    ids=["method", "class method", "static", "object", "partial", "filled", "of object", "lambda"],
)
def test_every_kind_of_def_is_guarded(guard: Guard, handler: Callable[[str], str]) -> None:
    """And stays a `def`."""
    assert guard.protect(handler)("hi") == REFUSAL


@pytest.mark.parametrize(
    "handler",
    [
        Bot().areply,
        AsyncBot(),
        functools.partial(Bot().areply),
        functools.partial(AsyncBot()),
        functools.partial(functools.partial(Bot.areply, Bot())),
    ],
    ids=["method", "object", "partial", "partial of object", "partial of partial"],
)
def test_every_kind_of_async_def_is_guarded(guard: Guard, handler: Any) -> None:
    """And stays an `async def`."""
    guarded = guard.protect(handler)

    assert (inspect.iscoroutinefunction(guarded), asyncio.run(guarded("hi"))) == (True, REFUSAL)


def test_methods_are_guarded_where_they_are_defined(guard: Guard) -> None:
    """Plain, class and static ones, whichever decorator stands first."""

    class Decorated:
        @guard.protect
        def plain(self, message: str) -> str:
            return "BAD"

        @guard.protect
        @classmethod
        def of_class(cls, message: str) -> str:
            return "BAD"

        @guard.protect
        @staticmethod
        def static(message: str) -> str:
            return "BAD"

        @staticmethod
        @guard.protect
        def inside(message: str) -> str:
            return "BAD"

    one = Decorated()
    assert [one.plain("a"), one.of_class("a"), one.static("a"), one.inside("a")] == [REFUSAL] * 4


def test_a_decorator_may_have_changed_the_kind_to_def(guard: Guard) -> None:
    """What counts is what the caller calls, not what it wraps."""

    async def inner(message: str) -> str:
        return "BAD"

    @functools.wraps(inner)
    def handler(message: str) -> str:
        return asyncio.run(inner(message))

    assert guard.protect(handler)("hi") == REFUSAL


def test_a_decorator_may_have_changed_the_kind_to_async_def(guard: Guard) -> None:
    """Nor the other way round."""

    def inner(message: str) -> str:
        return "BAD"

    @functools.wraps(inner)
    async def handler(message: str) -> str:
        return await asyncio.to_thread(inner, message)

    assert asyncio.run(guard.protect(handler)("hi")) == REFUSAL


@pytest.mark.parametrize("thing", [3, "handler", property(lambda self: "BAD")])
def test_what_cannot_be_called_is_refused(guard: Guard, thing: Any) -> None:
    """At once, not when the first user comes."""
    with pytest.raises(ConfigError, match="cannot be called"):
        guard.protect(thing)


def test_a_class_is_refused(guard: Guard) -> None:
    """Its name would stand for a function from then on."""

    class Bot:
        """Replies in a method."""

    with pytest.raises(ConfigError, match="decorate the method"):
        guard.protect(Bot)


def test_signature_docstring_and_name_are_kept(mode: Mode, guard: Guard) -> None:
    """Frameworks read them."""

    def handler(message: str, *, lang: str = "ko") -> str:
        """Reply."""
        return message

    async def ahandler(message: str, *, lang: str = "ko") -> str:
        """Reply."""
        return message

    given: Any = handler if mode is Mode.SYNC else ahandler
    guarded = guard.protect(given)
    assert (inspect.signature(guarded), guarded.__doc__, guarded.__name__, kind(guarded)) == (
        inspect.signature(given),
        "Reply.",
        given.__name__,
        kind(given),
    )


def kind(handler: Any) -> bool:
    return inspect.iscoroutinefunction(handler)


def test_all_arguments_reach_the_handler(mode: Mode, guard: Guard) -> None:
    """The guard reads them and passes them on."""

    def handler(message: str, *more: int, lang: str, **options: int) -> str:
        return f"{message} {more} {lang} {options}"

    async def ahandler(message: str, *more: int, lang: str, **options: int) -> str:
        return handler(message, *more, lang=lang, **options)

    given: Any = handler if mode is Mode.SYNC else ahandler
    guarded = guard.protect(given)
    assert mode.call(guarded, "a", 1, 2, lang="ko", x=3) == "a (1, 2) ko {'x': 3}"


# The user's words


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("asked",), {}),
        ((), {"message": "asked"}),
        (("asked", "ko"), {}),
        (("asked",), {"lang": "ko"}),
        ((), {"lang": "ko", "message": "asked"}),
    ],
    ids=["by position", "by name", "first of two", "mixed", "named out of order"],
)
def test_the_first_text_is_the_users(
    mode: Mode, args: tuple[str, ...], kwargs: dict[str, str]
) -> None:
    """First in the handler's own order, however it was called."""
    asked = Asked()

    def handler(message: str, lang: str = "en") -> str:
        return "ok"

    async def ahandler(message: str, lang: str = "en") -> str:
        return "ok"

    given: Any = handler if mode is Mode.SYNC else ahandler
    mode.call(asked.guard.protect(given), *args, **kwargs)
    assert asked.users == ["asked"]


@pytest.mark.parametrize(
    ("args", "kwargs", "user"),
    [
        (("s-1", "asked"), {}, "asked"),
        (("s-1",), {"message": "asked"}, "asked"),
        ((), {"session": "s-1", "message": "asked"}, "asked"),
        (("s-1",), {}, "by default"),
    ],
    ids=["by position", "by name", "both by name", "by default"],
)
def test_a_parameter_may_be_named(
    mode: Mode, args: tuple[str, ...], kwargs: dict[str, str], user: str
) -> None:
    """Handlers whose first text is something else say which one is the user's."""
    asked = Asked()

    def handler(session: str, message: str = "by default") -> str:
        return "ok"

    async def ahandler(session: str, message: str = "by default") -> str:
        return "ok"

    given: Any = handler if mode is Mode.SYNC else ahandler
    mode.call(asked.guard.protect(user="message")(given), *args, **kwargs)
    assert asked.users == [user]


def test_a_method_may_name_its_parameter() -> None:
    """`self` is no hindrance."""
    asked = Asked()

    class Decorated:
        @asked.guard.protect(user="message")
        def reply(self, session: str, message: str) -> str:
            return "ok"

    Decorated().reply("s-1", "asked")
    assert asked.users == ["asked"]


def test_an_unknown_parameter_is_refused_at_once(guard: Guard) -> None:
    """The message lists those there are."""
    with pytest.raises(ConfigError, match="no parameter 'mesage'; it has 'message', 'lang'"):

        @guard.protect(user="mesage")
        def handler(message: str, lang: str) -> str:
            return "ok"


@pytest.mark.parametrize("args", [(), (3,), (None,)])
def test_a_call_without_the_users_words_is_refused(
    mode: Mode, guard: Guard, args: tuple[Any, ...]
) -> None:
    """The reply is judged in their light; the message says how to name the parameter."""
    bot = ScriptedHandler("ok")
    with pytest.raises(InvalidTurnError, match=r"@guard\.protect\(user="):
        mode.call(guard.protect(mode.handler(bot)), *args)

    assert bot.heard == []


def test_a_named_parameter_that_is_not_text_is_refused(mode: Mode, guard: Guard) -> None:
    """Nothing else stands in for it."""
    handler = guard.protect(user="message")(mode.handler(lambda _: "ok"))

    with pytest.raises(InvalidTurnError, match="user turn holds int"):
        mode.call(handler, message=3)


def test_a_wrong_call_is_the_handlers_to_refuse(mode: Mode, guard: Guard) -> None:
    """A guarded handler complains as the bare one does."""
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        mode.call(guard.protect(mode.handler(lambda _: "ok")), "hi", colour="red")


def test_a_builtin_may_be_guarded(guard: Guard) -> None:
    """Some have no signature."""
    handler: Any = max

    assert guard.protect(handler)("a", "BAD", key=len) == REFUSAL


# The input stage


def test_the_bot_does_not_hear_what_the_input_stage_stops(mode: Mode) -> None:
    """No reply is paid for, and none is there to leak."""
    bot = ScriptedHandler("ok")
    guard = Guard(StubClassifier(unsafe="BAD"), Policy(check_input=True, language="en"))

    assert (mode.converse(guard, bot, user="BAD"), bot.heard) == (REFUSAL, [])


def test_what_passes_the_input_stage_is_answered_and_judged(mode: Mode) -> None:
    """Both sides are recorded."""
    hook = ListHook()
    guard = Guard(StubClassifier(unsafe="BAD"), Policy(check_input=True), hooks=[hook])
    mode.converse(guard, lambda _: "BAD")

    assert [(one.stage, one.status) for one in hook.records] == [
        ("input", Status.ALLOWED),
        ("output", Status.BLOCKED),
    ]


@pytest.mark.parametrize(("on_error", "heard"), [("closed", []), ("open", ["hi"])])
def test_an_input_stage_that_fails_goes_by_the_policy(
    mode: Mode, on_error: str, heard: list[str]
) -> None:
    """Closed, the bot is not asked; open, it is."""
    bot = ScriptedHandler("ok")
    policy = Policy.model_validate({"check_input": True, "on_error": on_error})
    mode.converse(Guard(StubClassifier(error=RuntimeError("down")), policy), bot)

    assert bot.heard == heard


def test_there_is_no_input_stage_unless_asked_for(mode: Mode) -> None:
    """The model judges replies."""
    classifier = StubClassifier()
    mode.converse(Guard(classifier), lambda _: "reply", user="question")

    assert classifier.seen == ["reply"]


def test_the_reply_is_judged_in_the_light_of_the_question(mode: Mode) -> None:
    """The classifier reads both."""
    seen: list[Conversation] = []
    mode.converse(Guard(Answering(seen.extend)), lambda _: "reply", user="question")

    assert [[turn.content for turn in one] for one in seen] == [["question", "reply"]]
