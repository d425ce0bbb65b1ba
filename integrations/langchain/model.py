"""A chat model whose replies are judged before anybody sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from os import PathLike
from typing import Annotated, Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from guardrail.errors import UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.langchain.binding import guarded_models
from guardrail.integrations.langchain.conversation import asked, opening
from guardrail.integrations.langchain.dark import aunseen, unseen
from guardrail.integrations.langchain.passage import Passage, Wrap, agated, gated
from guardrail.integrations.langchain.results import (
    as_chunk,
    chunk,
    chunk_taker,
    result_of,
    result_taker,
    whole,
)

__all__ = ["GuardedChatModel", "guard_model"]

# What a guarded model takes over from the model in it, unless told otherwise.
_INHERITED = ("callbacks", "tags", "verbose", "disable_streaming", "output_version")


def guard_model(
    model: BaseChatModel, guard: Guard, *, judge_tool_calls: bool = True
) -> GuardedChatModel:
    """Return the chat model with its replies guarded, whole and streamed.

    An agent that asks for a structure by a tool (`ToolStrategy`) takes a refusal for none, and asks
    again up to its `recursion_limit`: guard such a one with `GuardrailMiddleware`.

    Args:
        model: any chat model. Bind tools and the like to the guarded one.
        guard: judges, and decides what callers get.
        judge_tool_calls: judge the arguments of tool calls too; a reply whose arguments are unsafe
            is replaced whole, so that no tool runs.

    Raises:
        UnguardedCall: it is no chat model.
    """
    if not isinstance(model, BaseChatModel):
        raise UnguardedCall(
            f"a {type(model).__name__} is no chat model; guard it with guard_runnable, and a model "
            "with tools bound to it before they are bound"
        )
    return GuardedChatModel(inner=model, guard=guard, judge_tool_calls=judge_tool_calls)


def _guard(value: Any) -> Any:
    return Guard.from_config(value) if isinstance(value, str | PathLike) else value


class GuardedChatModel(BaseChatModel):
    """A chat model that hands over only what a guard has passed.

    Nobody's callbacks see the model inside at work; they see this one. A reply that is replaced
    says so in its `response_metadata`: `finish_reason` is `content_filter`, and `guardrail` holds
    the verdict. Content that cannot be judged (images, audio, log probabilities) is left out, and
    named under `withheld` there. An error passes if its words do; else it becomes `UnguardedCall`.

    It is serialised without its guard, which `load` takes from `secrets_map={"GUARDRAIL_CONFIG":
    guard}` or builds from the file which that variable names.

    Args:
        inner: the model.
        guard: judges; the path of a configuration file builds one.
        judge_tool_calls: whether the arguments of tool calls are judged too.
        hold_streams: whether a streamed reply is shown only once the whole of it is judged, as
            the policy's `window` can have it for all; half a structure would pass for a whole one.
    """

    inner: BaseChatModel
    guard: Annotated[Guard, BeforeValidator(_guard)]
    judge_tool_calls: bool = True
    hold_streams: bool = False
    # Verdicts are never cached. The model inside keeps its cache, and what comes of it is judged.
    cache: Literal[False] = Field(default=False, frozen=True, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: dict[str, Any]) -> dict[str, Any]:
        inner = values.get("inner")
        if not isinstance(inner, BaseChatModel):
            return values
        return {name: getattr(inner, name) for name in _INHERITED} | values

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        passage = self._passage(whole, AIMessage, messages)
        results: list[ChatResult] = []
        source = unseen(lambda: iter([self.inner._generate_with_cache(messages, stop, **kwargs)]))
        take = result_taker(passage, results)
        replies = dict(gated(self.guard, asked(messages), source, take, passage, None))
        return result_of(replies, results)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        passage = self._passage(whole, AIMessage, messages)
        results: list[ChatResult] = []
        source = aunseen(lambda: self._areply(messages, stop, kwargs))
        take = result_taker(passage, results)
        passing = agated(self.guard, asked(messages), source, take, passage, None)
        return result_of({choice: reply async for choice, reply in passing}, results)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        passage = self._passage(chunk, AIMessageChunk, messages)
        source = unseen(lambda: self._chunks(messages, stop, kwargs))
        take, window = chunk_taker(passage), None if self.hold_streams else ...
        for _, one in gated(self.guard, asked(messages), source, take, passage, window):
            yield one

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        passage = self._passage(chunk, AIMessageChunk, messages)
        source = aunseen(lambda: self._achunks(messages, stop, kwargs))
        take, window = chunk_taker(passage), None if self.hold_streams else ...
        passing = agated(self.guard, asked(messages), source, take, passage, window)
        async with aclosing(passing):
            async for _, one in passing:
                yield one

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        """Yield the reply of the model inside as it comes, or in one chunk if it cannot stream."""
        if not self.inner._should_stream(async_api=False, **{**kwargs, "stream": True}):
            yield as_chunk(self.inner._generate_with_cache(messages, stop, **kwargs))
            return
        if self.inner.rate_limiter is not None:
            self.inner.rate_limiter.acquire(blocking=True)
        yield from self.inner._stream(messages, stop, **kwargs)

    async def _achunks(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        if not self.inner._should_stream(async_api=True, **{**kwargs, "stream": True}):
            yield as_chunk(await self.inner._agenerate_with_cache(messages, stop, **kwargs))
            return
        if self.inner.rate_limiter is not None:
            await self.inner.rate_limiter.aacquire(blocking=True)
        chunks = self.inner._astream(messages, stop, **kwargs)
        try:
            async for one in chunks:
                yield one
        finally:
            if hasattr(chunks, "aclose"):  # here, on the task that it was opened on
                await chunks.aclose()

    async def _areply(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> AsyncGenerator[ChatResult, None]:
        yield await self.inner._agenerate_with_cache(messages, stop, **kwargs)

    def _passage(
        self, wrap: Wrap, kind: type[AIMessage], messages: Sequence[BaseMessage]
    ) -> Passage:
        return Passage(wrap, kind, judge_calls=self.judge_tool_calls, opening=opening(messages))

    def _should_stream(self, **kwargs: Any) -> bool:
        return self.inner._should_stream(**kwargs)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools as the model inside does."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return guarded_models(self.inner.bind_tools(tools, **kwargs), self._around)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Have replies in a structure, as the model inside does.

        Replies are judged whole, tool calls with them, for they may be the reply. An unsafe one
        gives what an unparsable one does: None or an error, and with `include_raw` the refusal.
        """
        structured = self.inner.with_structured_output(schema, include_raw=include_raw, **kwargs)
        judging = self.model_copy(update={"judge_tool_calls": True, "hold_streams": True})
        return guarded_models(structured, judging._around)

    def _around(self, model: BaseChatModel) -> GuardedChatModel:
        """Return this guarded model, around another one."""
        return self.model_copy(update={"inner": model})

    def get_token_ids(self, text: str) -> list[int]:
        """Return what the model inside does."""
        return self.inner.get_token_ids(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Return what the model inside does."""
        return self.inner.get_num_tokens_from_messages(messages, tools)

    @property
    def _llm_type(self) -> str:
        return f"guarded-{self.inner._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return dict(self.inner._identifying_params)

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return self.inner._get_invocation_params(stop, **kwargs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop, **kwargs)

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        return self.inner._combine_llm_outputs(llm_outputs)

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self.inner.profile

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether models like this can be; one can if the model inside can."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where `load` finds the class."""
        return ["guardrail", "integrations", "langchain"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """What is not written down, and the name it is asked for by."""
        return {"guard": "GUARDRAIL_CONFIG"}

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """Return what `dumps` writes down."""
        if self.inner.is_lc_serializable():
            return super().to_json()
        return self.to_json_not_implemented()
