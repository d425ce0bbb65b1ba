"""The guarded OpenAI client, over real sockets."""

from __future__ import annotations

import asyncio
import functools
import gc
import gzip
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import openai
import pytest

from guardrail import ConfigError, Guard, Policy, UnguardedCall
from guardrail.integrations.openai import guard_client
from guardrail.integrations.openai_http import unguarded
from guardrail.testing import StubClassifier

from ..conftest import Answering, Mode
from .openai_calls import (
    ASKS,
    MESSAGES,
    USER,
    Answer,
    Ask,
    Seen,
    done,
    entered,
    items,
    run,
    says,
    seen_of,
)
from .openai_upstream import (
    Asked,
    Reply,
    Said,
    Upstream,
    call_events,
    chat,
    chat_stream,
    chunk,
    message_events,
    response_stream,
    sse,
)

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
MARKER = "나쁜말"
UNSAFE = f"안녕하세요, 고객님. 그럼 {MARKER}부터 알려 드릴게요. 이어서 말씀드릴게요."
REFUSAL = "죄송합니다"


def using(mode: Mode, reply: Reply, guard: Guard, use: Callable[[Any], Awaitable[Any]]) -> Any:
    """Use a guarded client of an upstream, and return what comes of it."""
    with Upstream(reply) as upstream:
        return run(mode, upstream, guard, use)


@pytest.fixture
def guard() -> Guard:
    return Guard(StubClassifier(MARKER))


@pytest.fixture(params=ASKS)
def ask(request: pytest.FixtureRequest) -> Ask:
    return ASKS[request.param]


def test_a_safe_reply_comes_whole(mode: Mode, ask: Ask, guard: Guard) -> None:
    """What passes, passes to the character, as without a guard."""
    assert seen_of(mode, ask, says(SAFE), guard).text == SAFE


def test_an_unsafe_reply_is_replaced(mode: Mode, ask: Ask, guard: Guard) -> None:
    """No way of asking shows anything of an unsafe passage; the refusal ends the reply."""
    seen = seen_of(mode, ask, says(UNSAFE), guard)

    assert MARKER not in seen.all
    assert REFUSAL in seen.text
    assert seen.finish == "content_filter"


def test_usage_stays_with_a_refusal(mode: Mode, guard: Guard) -> None:
    """What a blocked reply has cost is told all the same."""

    async def use(client: Any) -> tuple[int, int]:
        reply = await done(client.chat.completions.create(model="m", messages=MESSAGES))
        other = await done(client.responses.create(model="m", input=USER))
        return reply.usage.total_tokens, other.usage.total_tokens

    assert using(mode, says(UNSAFE), guard, use) == (8, 8)


def test_structured_replies_are_parsed_if_safe(mode: Mode, guard: Guard) -> None:
    """`parse` works as ever, in both APIs."""
    text = json.dumps({"answer": SAFE}, ensure_ascii=False)

    async def use(client: Any) -> list[Any]:
        chat, responses = client.chat.completions, client.responses
        one = await done(chat.parse(model="m", messages=MESSAGES, response_format=Answer))
        two = await done(responses.parse(model="m", input=USER, text_format=Answer))
        return [one.choices[0].message.parsed, two.output_parsed]

    assert using(mode, says(text), guard, use) == [Answer(answer=SAFE)] * 2


def test_structured_replies_are_not_parsed_if_unsafe(mode: Mode, guard: Guard) -> None:
    """`parse` of a chat raises the SDK's own error; of a response it gives None."""
    text = json.dumps({"answer": UNSAFE})

    async def use(client: Any) -> None:
        chat, responses = client.chat.completions, client.responses
        with pytest.raises(openai.ContentFilterFinishReasonError) as caught:
            await done(chat.parse(model="m", messages=MESSAGES, response_format=Answer))
        if hasattr(caught.value, "completion"):  # from openai 3 on
            (choice,) = caught.value.completion.choices
            assert (choice.message.content, choice.message.refusal[:5]) == (None, REFUSAL)
        reply = await done(responses.parse(model="m", input=USER, text_format=Answer))
        assert reply.output_parsed is None
        assert reply.output[0].content[0].refusal.startswith(REFUSAL)

    using(mode, says(text), guard, use)


def test_a_structured_stream_ends_in_the_refusal(mode: Mode, guard: Guard) -> None:
    """The helper of responses takes a refusal for what it is."""
    text = json.dumps({"answer": UNSAFE}, ensure_ascii=False)

    async def use(client: Any) -> str:
        stream = client.responses.stream(model="m", input=USER, text_format=Answer)
        async with entered(stream) as events:
            return (
                [event async for event in items(events)][-1].response.output[0].content[-1].refusal
            )

    assert using(mode, says(text), guard, use).startswith(REFUSAL)


def call_reply(asked: Asked) -> Said:
    arguments = json.dumps({"query": UNSAFE if asked.body["model"] == "bad" else SAFE})
    if asked.path.endswith("/responses"):
        return Said(response_stream(*call_events(arguments)))
    function = {"name": "look_up", "arguments": arguments}
    call = {"index": 0, "id": "c", "type": "function", "function": function}
    chunks = [chunk(role="assistant", tool_calls=[call]), chunk(0, "tool_calls")]
    return Said([*map(sse, chunks), sse("[DONE]")])


def test_a_message_after_a_withheld_item_is_in_its_place(mode: Mode, guard: Guard) -> None:
    """The helper of responses finds each item where the events say, with a picture left out."""
    picture = {"id": "i", "type": "image_generation_call", "status": "completed", "result": "AAAA"}
    drawn = {"type": "response.output_item.done", "output_index": 0, "item": picture}
    said = Said(response_stream(drawn, *message_events(SAFE, 1)))

    async def use(client: Any) -> list[Any]:
        async with entered(client.responses.stream(model="m", input=USER)) as events:
            return [event async for event in items(events)]

    events = using(mode, lambda _: said, guard, use)

    assert {event.output_index for event in events if hasattr(event, "output_index")} == {0}
    assert events[-1].response.output_text == SAFE


def test_calls_of_tools_are_judged(mode: Mode, guard: Guard) -> None:
    """Through the SDK's helpers: safe ones come whole, unsafe ones not at all."""

    async def use(client: Any) -> None:
        for model, calls in (("good", 1), ("bad", 0)):
            seen = Seen()
            chat = client.chat.completions.stream(model=model, messages=MESSAGES)
            async with entered(chat) as events:
                kinds = [seen.note(event).type async for event in items(events)]
            assert kinds.count("tool_calls.function.arguments.done") == calls
            async with entered(client.responses.stream(model=model, input=USER)) as events:
                kinds = [seen.note(event).type async for event in items(events)]
            assert kinds.count("response.function_call_arguments.done") == calls
            assert json.dumps(MARKER)[1:-1] not in seen.all

    using(mode, call_reply, guard, use)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "realtime": lambda client: client.realtime.connect(model="m"),
    "beta.realtime": lambda client: client.beta.realtime.connect(model="m"),
    "responses.connect": lambda client: client.responses.connect(),
    "beta.responses": lambda client: client.beta.responses.connect(),
    "assistants": lambda client: client.beta.threads.runs.create("t", assistant_id="a"),
    "batches": lambda client: client.batches.create(),
    "completions": lambda client: client.completions.create(model="m", prompt="p"),
    "images": lambda client: client.images.generate(prompt="p"),
    "conversations": lambda client: client.conversations.items.list("c"),
    "videos": lambda client: client.videos.list(),
    "stored chats": lambda client: client.chat.completions.retrieve("c"),
    "stored responses": lambda client: client.responses.retrieve("r"),
    "raw": lambda client: client.responses.with_raw_response.retrieve("r"),
    "raw, of the client": lambda client: client.with_raw_response.batches.retrieve("b"),
    "post": lambda client: client.post("/news", body={}, cast_to=object),
    "elsewhere": lambda client: client.post("http://127.0.0.1:9/chat/completions", cast_to=object),
    "files": lambda client: client.files.content("f"),
}


@pytest.mark.parametrize("door", REFUSED)
def test_what_cannot_be_guarded_is_refused(mode: Mode, guard: Guard, door: str) -> None:
    """Nothing is sent, and the error says what to do; it is not retried either."""

    async def use(client: Any) -> int:
        with pytest.raises(UnguardedCall, match="guard"):
            await done(REFUSED[door](client.with_options(max_retries=2)))
        return len(upstream.asked)

    with Upstream(says(UNSAFE)) as upstream:
        assert run(mode, upstream, guard, use) == 0


def test_later_releases_open_no_doors(guard: Guard) -> None:
    """A resource or method that is not known stays shut, whatever is behind it."""

    class Later(openai.OpenAI):
        @functools.cached_property
        def telepathy(self) -> Any:
            return self

        @functools.cached_property
        def responses(self) -> Any:
            return LaterResponses(self)

        @functools.cached_property
        def audio(self) -> Any:
            return LaterAudio(self)

        def beam(self) -> str:
            return UNSAFE

    class LaterResponses(openai.resources.responses.Responses):
        def beam(self) -> str:
            return UNSAFE

    class LaterAudio(openai.resources.audio.Audio):
        def beam(self) -> str:
            return UNSAFE

    Later.__module__ = "openai"
    client = guard_client(Later(api_key="k"), guard)
    for shut in (client, client.telepathy, client.responses, client.audio):
        with pytest.raises(UnguardedCall):
            shut.beam()
    client.close()


def test_a_program_may_add_to_its_client(guard: Guard) -> None:
    """What a program's own class can do stays, guarded where it asks for replies."""

    class Mine(openai.OpenAI):
        def ask(self, text: str) -> str:
            messages: Any = [{"role": "user", "content": text}]
            return str(self.chat.completions.create(model="m", messages=messages))

    with Upstream(says(UNSAFE)) as upstream:
        client = guard_client(Mine(api_key="k", base_url=upstream.url), guard)
        assert MARKER not in client.ask(USER)
        client.close()


def test_looking_at_what_is_shut_does_no_harm(guard: Guard) -> None:
    """Tracers wrap the methods of a client, whether or not anybody calls them."""
    client = guard_client(openai.OpenAI(api_key="k"), guard)

    wrapped = functools.wraps(client.completions.create)(lambda: None)

    assert wrapped() is None
    assert not hasattr(client.completions.create, "__name__")
    client.close()


def test_the_socket_is_out_of_reach(mode: Mode, guard: Guard) -> None:
    """A response leads nowhere but to what is judged."""

    async def use(client: Any) -> Any:
        raw = client.chat.completions.with_raw_response
        return (await done(raw.create(model="m", messages=MESSAGES))).http_response

    assert "network_stream" not in using(mode, says(SAFE), guard, use).extensions


def test_what_carries_no_reply_passes(mode: Mode, guard: Guard) -> None:
    """Vectors, verdicts, names and the caller's own files."""

    def reply(asked: Asked) -> Said:
        vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
        name = {"id": UNSAFE, "object": "model", "created": 1, "owned_by": "o"}
        data = [vector] if asked.path.endswith("embeddings") else [name]
        return Said({"object": "list", "data": data, "id": "x", "results": []})

    async def use(client: Any) -> None:
        vectors = await done(client.embeddings.create(model="m", input="i"))
        assert vectors.data[0].embedding == [0.5]
        assert [model.id async for model in items(await done(client.models.list()))] == [UNSAFE]
        await done(client.files.create(file=b"f", purpose="user_data"))
        await done(client.files.list())
        await done(client.moderations.create(input=UNSAFE))

    using(mode, reply, guard, use)


def test_copies_keep_the_guard(mode: Mode, guard: Guard) -> None:
    """With other options, another HTTP client, or made anew from its own class."""

    async def use(client: Any) -> None:
        other = unguarded(type(client)(api_key="k")._client)
        copies = [
            client.copy(),
            client.with_options(timeout=3).with_options(max_retries=1),
            client.with_options(http_client=other),
            client.with_options(base_url=str(client.base_url).rstrip("/")),
            type(client)(api_key="k", base_url=client.base_url),
        ]
        for one in copies:
            seen = Seen()
            await ASKS["chat.streamed"](one, seen)
            assert isinstance(one, openai.OpenAI if mode is Mode.SYNC else openai.AsyncOpenAI)
            assert (seen.finish, MARKER in seen.all) == ("content_filter", False)
        for one in copies[2:]:
            await done(one.close())

    using(mode, says(UNSAFE), guard, use)


def test_the_given_client_stays_as_it_is(mode: Mode, guard: Guard) -> None:
    """It keeps working without a guard, while the guarded one lives and after it is gone."""

    async def use(client: Any) -> list[str]:
        texts = []
        guarded: Any = guard_client(client, guard)
        for one in (client, guarded, client):
            reply = await done(one.chat.completions.create(model="m", messages=MESSAGES))
            texts.append(reply.choices[0].message.content)
        del guarded, one
        gc.collect()
        reply = await done(client.chat.completions.create(model="m", messages=MESSAGES))
        return [*texts, reply.choices[0].message.content]

    with Upstream(says(UNSAFE)) as upstream:
        plain, guarded, *again = run(mode, upstream, None, use)
        assert [plain, *again] == [UNSAFE] * 3
        assert guarded.startswith(REFUSAL)
        assert upstream.connections == 1


def test_azure_is_guarded(mode: Mode, guard: Guard) -> None:
    """With deployments in the path, chosen by the call or by the client."""
    kind = openai.AzureOpenAI if mode is Mode.SYNC else openai.AsyncAzureOpenAI
    with Upstream(says(UNSAFE)) as upstream:
        endpoint = upstream.url.removesuffix("/v1")

        async def main() -> None:
            for deployment in (None, "d"):
                client: Any = guard_client(
                    kind(
                        api_key="k",
                        api_version="v",
                        azure_endpoint=endpoint,
                        azure_deployment=deployment,
                    ),
                    guard,
                )
                for ask in ("chat.create", "chat.streamed", "responses.create"):
                    seen = Seen()
                    await ASKS[ask](client.with_options(timeout=5), seen)
                    assert (seen.finish, MARKER in seen.all) == ("content_filter", False)
                await done(client.close())

        asyncio.run(main())
    paths = {asked.path.partition("?")[0] for asked in upstream.asked}
    assert {f"/openai/deployments/{name}/chat/completions" for name in "md"} <= paths


def test_retries_and_errors_are_the_clients_own(mode: Mode, guard: Guard) -> None:
    """A failure is retried, and what fails for good raises the SDK's error, without a reply in it."""

    def reply(asked: Asked) -> Said:
        error = {"message": "later", "failed_generation": UNSAFE}
        if asked.body["model"] == "bad":
            return Said({"error": error}, status=400)
        headers = {"retry-after-ms": "1"}
        count = sum(one.body.get("model") == "m" for one in upstream.asked)
        return Said({"error": error}, 503, headers) if count == 1 else Said(chat(SAFE))

    async def use(client: Any) -> None:
        create = client.with_options(max_retries=1).chat.completions.create
        reply = await done(create(model="m", messages=MESSAGES))
        assert reply.choices[0].message.content == SAFE
        with pytest.raises(openai.BadRequestError, match="later") as caught:
            await done(create(model="bad", messages=MESSAGES))
        assert MARKER not in caught.value.response.text + str(caught.value.body)

    with Upstream(reply) as upstream:
        run(mode, upstream, guard, use)


def test_a_whole_reply_that_is_none_is_refused(mode: Mode, guard: Guard) -> None:
    """What cannot be judged is an error, raised at once."""

    async def use(client: Any) -> int:
        with pytest.raises(UnguardedCall):
            await done(client.chat.completions.create(model="m", messages=MESSAGES))
        return len(upstream.asked)

    with Upstream(lambda _: Said(f"<html>{UNSAFE}")) as upstream:
        assert run(mode, upstream, guard, use, max_retries=2) == 1


def test_compressed_replies_are_judged(mode: Mode, guard: Guard) -> None:
    """What is judged is what the reply says, not how it is packed."""

    def reply(_: Asked) -> Said:
        packed = gzip.compress(json.dumps(chat(UNSAFE)).encode())
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return Said(packed, headers=headers)

    assert seen_of(mode, ASKS["chat.create"], reply, guard).text.startswith(REFUSAL)


def endless(_: Asked) -> Said:
    parts = itertools.chain([f"{MARKER}. "], itertools.repeat("더 "))
    return Said((sse(chunk(content=part)) for part in parts), pause=0.002)


def test_upstream_is_cut_off_when_a_reply_is(mode: Mode, guard: Guard) -> None:
    """After a block the connection is closed, however much upstream still wants to say."""
    with Upstream(endless) as upstream:
        seen = Seen()
        run(mode, upstream, guard, lambda client: ASKS["chat.streamed"](client, seen))

        assert upstream.cut.wait(5)
    assert seen.finish == "content_filter"


def test_upstream_is_cut_off_when_the_caller_leaves(mode: Mode) -> None:
    """Closing a stream closes its source, and leaves no task or thread behind."""

    async def use(client: Any) -> None:
        create = client.chat.completions.create
        stream = await done(create(model="m", messages=MESSAGES, stream=True))
        async for _ in items(stream):
            break
        await done(stream.close())
        assert upstream.cut.wait(5)
        assert len(asyncio.all_tasks()) == 1

    with Upstream(endless) as upstream:
        run(mode, upstream, Guard(StubClassifier("?")), use)


def test_a_cancelled_stream_is_closed() -> None:
    """Cancelling the task that reads closes upstream, and leaves no task behind."""

    async def use(client: Any) -> None:
        task = asyncio.create_task(ASKS["chat.streamed"](client, Seen()))
        await asyncio.to_thread(upstream.sending.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(upstream.cut.wait, 5)
        gc.collect()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1

    with Upstream(endless) as upstream:
        run(Mode.ASYNC, upstream, Guard(StubClassifier("?", delay=0.01)), use)


def test_a_stream_that_is_dropped_is_closed_without_a_word() -> None:
    """What is left half-read and let go of ends with its task, and the event loop has no complaint."""
    complaints: list[Any] = []

    async def leave(client: Any) -> None:
        create = client.chat.completions.create
        async for _ in await create(model="m", messages=MESSAGES, stream=True):
            break

    async def use(client: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        await leave(client)
        async with asyncio.timeout(5):
            while not upstream.cut.is_set() or len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.01)
                gc.collect()  # the SDK's streams are in a cycle with what they read from

    with Upstream(endless) as upstream:
        run(Mode.ASYNC, upstream, Guard(StubClassifier("?", delay=0.001)), use)
    assert complaints == []


def test_a_stream_that_breaks_off_raises(mode: Mode, guard: Guard) -> None:
    """An upstream that dies in mid-stream raises as ever, and nothing unjudged is shown."""
    seen = Seen()

    def reply(_: Asked) -> Said:
        def pieces() -> Iterator[bytes]:
            yield sse(chunk(content="이것은 아직 "))
            raise OSError

        return Said(pieces())

    with pytest.raises(Exception, match=r"(?i)connection|peer"):
        seen_of(mode, lambda client, _: ASKS["chat.streamed"](client, seen), reply, guard)
    assert seen.text == ""


def test_hooks_of_the_http_client_see_what_the_caller_sees(mode: Mode, guard: Guard) -> None:
    """A program that logs responses logs refusals."""
    logged = []

    def log(response: Any) -> None:
        logged.append(response.read().decode())

    async def alog(response: Any) -> None:
        logged.append((await response.aread()).decode())

    async def use(client: Any) -> None:
        hooks = {"response": [log if mode is Mode.SYNC else alog]}
        http = type(unguarded(client._client))(event_hooks=hooks)
        other = client.with_options(http_client=http)
        await done(other.chat.completions.create(model="m", messages=MESSAGES))
        await done(other.close())

    using(mode, says(UNSAFE), guard, use)

    (text,) = logged
    assert MARKER not in text
    assert REFUSAL in text


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_clients_of_both_http_libraries_are_guarded(mode: Mode, guard: Guard, name: str) -> None:
    """The SDK takes either; so does the guard."""
    library = pytest.importorskip(name)
    kind = library.Client if mode is Mode.SYNC else library.AsyncClient

    for ask in ("chat.create", "chat.streamed"):
        seen = seen_of(mode, ASKS[ask], says(UNSAFE), guard, http_client=kind())
        assert (seen.finish, MARKER in seen.all) == ("content_filter", False)


def test_a_slow_upstream_times_out_as_ever(mode: Mode, guard: Guard) -> None:
    """The client's own timeout holds."""

    def reply(_: Asked) -> Said:
        time.sleep(0.3)
        return Said(chat(SAFE))

    with pytest.raises(openai.APITimeoutError):
        seen_of(mode, ASKS["chat.create"], reply, guard, timeout=0.05)


def test_connections_are_used_again(mode: Mode, guard: Guard) -> None:
    """As often as without a guard: always for whole replies, and for streams on event loops."""

    def connections(guard: Guard | None, ask: str) -> int:
        async def use(client: Any) -> None:
            for _ in range(3):
                await ASKS[ask](client, Seen())

        with Upstream(says(SAFE)) as upstream:
            run(mode, upstream, guard, use)
        return upstream.connections

    for ask in ("chat.create", "chat.streamed", "responses.streamed"):
        assert connections(guard, ask) <= connections(None, ask)


def test_a_classifier_that_fails_lets_nothing_pass(mode: Mode, ask: Ask) -> None:
    """No verdict is no pass, for every way of asking."""
    guard = Guard(Answering(RuntimeError("down")))

    seen = seen_of(mode, ask, says(SAFE), guard)

    assert seen.text.startswith(REFUSAL)
    assert SAFE[:5] not in seen.all


def test_streams_at_once_do_not_mix(mode: Mode) -> None:
    """One guard serves many streams, each its own."""
    guard = Guard(StubClassifier(MARKER, delay=0.003))
    texts = [f"{SAFE} {number}번" if number % 2 else f"{number}번 {UNSAFE}" for number in range(8)]

    def reply(asked: Asked) -> Said:
        return Said(chat_stream(texts[int(asked.body["messages"][0]["content"])]))

    async def one(client: Any, number: int) -> str:
        messages = [{"role": "user", "content": f"{number}"}]
        create = client.chat.completions.create
        stream = await done(create(model="m", messages=messages, stream=True))
        return "".join(
            [part.choices[0].delta.content or "" async for part in items(stream) if part.choices]
        )

    async def use(client: Any) -> list[str]:
        if mode is Mode.ASYNC:
            return await asyncio.gather(*(one(client, number) for number in range(8)))
        threads = (asyncio.to_thread(asyncio.run, one(client, number)) for number in range(8))
        return await asyncio.gather(*threads)

    for number, seen in enumerate(using(mode, reply, guard, use)):
        if number % 2:
            assert seen == texts[number]
        else:
            assert texts[number].startswith(seen.partition("I'm sorry")[0].partition(REFUSAL)[0])
            assert MARKER not in seen


@pytest.mark.parametrize(
    "ask", ["chat.create", "chat.streamed", "responses.create", "responses.streamed"]
)
def test_an_input_stage_comes_before_the_call(mode: Mode, ask: str) -> None:
    """Where what the user said is blocked, upstream is not asked, and the refusal is the reply."""
    guard = Guard(StubClassifier(USER), Policy(check_input=True))
    seen = Seen()

    with Upstream(says(SAFE)) as upstream:
        run(mode, upstream, guard, lambda client: ASKS[ask](client, seen))

    assert (upstream.asked, seen.finish) == ([], "content_filter")
    assert seen.text.startswith(REFUSAL)


def test_an_input_that_passes_is_judged_once(mode: Mode) -> None:
    """The stage is not gone through again when the reply streams."""
    classifier = StubClassifier(MARKER)
    guard = Guard(classifier, Policy(check_input=True))

    seen_of(mode, ASKS["chat.streamed"], says(SAFE), guard)

    assert classifier.seen.count(USER) == 1


def test_only_clients_without_a_guard_are_taken(guard: Guard) -> None:
    """A second guard, or something that is no client, is a mistake."""
    client = guard_client(openai.OpenAI(api_key="k"), guard)
    for wrong in (client, client.copy(), object()):
        with pytest.raises(ConfigError, match="guard_client takes"):
            guard_client(wrong, guard)  # type: ignore[type-var]
    client.close()


def test_the_client_is_of_the_same_class(guard: Guard) -> None:
    """For `isinstance`, for its name, and for what it tells the server about itself."""
    plain = openai.OpenAI(api_key="k")

    client = guard_client(plain, guard)

    assert isinstance(client, openai.OpenAI)
    assert client.user_agent == plain.user_agent
    assert repr(type(client)) == repr(type(plain))
    client.close()
    assert client.is_closed()
    assert plain.is_closed()


def test_a_missing_library_is_named() -> None:
    """The error names the extra to install."""
    code = (
        "import sys; sys.modules['openai'] = None\n"
        "from guardrail.errors import MissingExtraError\n"
        "try: import guardrail.integrations.openai\n"
        "except MissingExtraError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "guardrail-ko[openai]" in said.stdout
