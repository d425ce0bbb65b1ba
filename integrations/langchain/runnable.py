"""Any chain, with its replies judged before anybody sees them."""
# ruff: noqa: A002 - `input` is LangChain's name for it

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForChainRun as AsyncManager
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.callbacks import CallbackManagerForChainRun as SyncManager
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.utils import ConfigurableFieldSpec
from pydantic import ConfigDict

from guardrail.errors import UnguardedCall
from guardrail.guard import Guard
from guardrail.integrations.langchain.binding import refuse_watched
from guardrail.integrations.langchain.dark import aunseen, darkened, unseen
from guardrail.integrations.langchain.outputs import default_wrap, message_of, question_in
from guardrail.integrations.langchain.passage import Passage, Piece, agated, gated

__all__ = ["GuardedRunnable", "guard_runnable"]

Input = TypeVar("Input")
Output = TypeVar("Output")


def guard_runnable(
    chain: Runnable[Input, Output],
    guard: Guard,
    *,
    input_key: str | None = None,
    output_key: str | None = None,
    judge_tool_calls: bool = True,
    observers: Sequence[BaseCallbackHandler] = (),
) -> Runnable[Input, Output]:
    """Return the chain with its replies guarded, whole and streamed.

    Nobody's callbacks see the steps inside, for they hold replies that are not judged yet; and a
    graph inside of it, run by another graph, has no part in that one's stream and memory, so it
    cannot pause for an answer. An error of a step passes if its words do; else it becomes
    `UnguardedCall`.

    Args:
        chain: puts out a text, an `AIMessage`, or a mapping that holds one of these.
        guard: judges, and decides what callers get.
        input_key: where the user's turn is, if the input is a mapping with several texts.
        output_key: where the reply is, if the output is a mapping; what else it holds passes.
        judge_tool_calls: judge the arguments of tool calls too.
        observers: handlers that may see the steps inside, a tracer of one's own, say.

    Raises:
        UnguardedCall: a step has handlers or a memory of its own, which would get all of it.
    """
    refuse_watched(chain)
    return GuardedRunnable(
        chain=chain,
        guard=guard,
        input_key=input_key,
        output_key=output_key,
        judge_tool_calls=judge_tool_calls,
        observers=tuple(observers),
    )


class GuardedRunnable(RunnableSerializable[Any, Any]):
    """A chain that hands over only what a guard has passed; see `guard_runnable`."""

    chain: Runnable[Any, Any]
    guard: Guard
    input_key: str | None = None
    output_key: str | None = None
    judge_tool_calls: bool = True
    observers: tuple[BaseCallbackHandler, ...] = ()

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return what the chain does, or the refusal in its place."""
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Do what `invoke` does, without blocking the event loop."""
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Yield what the chain does, each part once it is judged."""
        yield from self.transform(iter([input]), config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Do what `stream` does, for `async for`."""

        async def inputs() -> AsyncIterator[Any]:
            yield input

        async for output in self.atransform(inputs(), config, **kwargs):
            yield output

    def transform(
        self, input: Iterator[Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Do what `stream` does, once the input is there."""
        yield from self._transform_stream_with_config(input, self._transform, config, **kwargs)

    async def atransform(
        self, input: AsyncIterator[Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Do what `transform` does, for `async for`."""
        outputs = self._atransform_stream_with_config(input, self._atransform, config, **kwargs)
        async for output in outputs:
            yield output

    def _invoke(
        self, value: Any, run_manager: SyncManager, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        inside = self._inside(config)
        source = unseen(lambda: iter([self.chain.invoke(value, inside, **kwargs)]), self.observers)
        passage, take = self._passage(AIMessage)
        asked = question_in(value, self.input_key)
        outputs = [one for _, one in gated(self.guard, asked, source, take, passage, None)]
        return outputs[0]

    async def _ainvoke(
        self, value: Any, run_manager: AsyncManager, config: RunnableConfig, **kwargs: Any
    ) -> Any:
        inside = self._inside(config)

        async def reply() -> AsyncGenerator[Any, None]:
            yield await self.chain.ainvoke(value, inside, **kwargs)

        passage, take = self._passage(AIMessage)
        asked = question_in(value, self.input_key)
        source = aunseen(reply, self.observers)
        outputs = [one async for _, one in agated(self.guard, asked, source, take, passage, None)]
        return outputs[0]

    def _transform(
        self,
        inputs: Iterator[Any],
        run_manager: SyncManager,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[Any]:
        whole, inside = _sum([*inputs]), self._inside(config)
        source = unseen(lambda: self.chain.stream(whole, inside, **kwargs), self.observers)
        passage, take = self._passage(AIMessageChunk)
        asked = question_in(whole, self.input_key)
        for _, output in gated(self.guard, asked, source, take, passage):
            yield output

    async def _atransform(
        self,
        inputs: AsyncIterator[Any],
        run_manager: AsyncManager,
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        whole, inside = _sum([one async for one in inputs]), self._inside(config)
        source = aunseen(lambda: self.chain.astream(whole, inside, **kwargs), self.observers)
        passage, take = self._passage(AIMessageChunk)
        asked = question_in(whole, self.input_key)
        async with aclosing(agated(self.guard, asked, source, take, passage)) as outputs:
            async for _, output in outputs:
                yield output

    def _passage(self, kind: type[AIMessage]) -> tuple[Passage, Callable[[Any], Iterator[Piece]]]:
        """Return the passage of a call, and what takes outputs into it."""
        passage = Passage(
            default_wrap(self.chain, self.output_key), kind, judge_calls=self.judge_tool_calls
        )

        def take(output: Any) -> Iterator[Piece]:
            message, wrap = message_of(output, self.output_key)
            yield from passage.take(message, output, wrap)

        return passage, take

    def _inside(self, config: RunnableConfig) -> RunnableConfig:
        """Return the configuration for the chain: the same, but for who watches."""
        inside = darkened(config, self.observers)
        inside.pop("run_id", None)
        inside.pop("run_name", None)
        return inside

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The chain's."""
        return self.chain.InputType

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The chain's."""
        return self.chain.OutputType

    def get_input_schema(self, config: RunnableConfig | None = None) -> Any:
        """Return the chain's."""
        return self.chain.get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> Any:
        """Return the chain's."""
        return self.chain.get_output_schema(config)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """The chain's."""
        return self.chain.config_specs


def _sum(inputs: list[Any]) -> Any:
    """Return what chunks of an input make together; of what does not add up, the last."""
    if not inputs:
        raise UnguardedCall("a chain without any input has no user's turn to judge its reply by")
    whole = inputs[0]
    for one in inputs[1:]:
        try:
            whole = whole + one
        except TypeError:
            whole = one
    return whole
