"""An agent with a tool and a memory, and whether anything of it tells an unsafe text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver

from guardrail.integrations.langchain import GuardrailMiddleware

from ..conftest import Mode
from .langchain_models import MARK, Scripted, Spy, by_turn, guard_for

THREAD = {"configurable": {"thread_id": "1"}}
ASK = {"messages": [{"role": "user", "content": "환불은 며칠 걸려요?"}]}


def calling(query: str) -> AIMessageChunk:
    """Return a call of the tool."""
    args = json.dumps({"query": query}, ensure_ascii=False)
    call = {"name": "search", "args": args, "id": "call_1", "index": 0}
    return AIMessageChunk("찾아볼게요.", tool_call_chunks=[call])


class Agent:
    """An agent with a tool and a memory, and what it did.

    Args:
        says: the parts of its replies, by turn.
        middleware: its middleware.
        options: of `create_agent`.
    """

    def __init__(self, *says: Any, middleware: Any = None, **options: Any) -> None:
        self.searched: list[str] = []
        self.saver = InMemorySaver()
        self.spy = Spy()
        self.config: Any = {**THREAD, "callbacks": [self.spy]}
        self.model = Scripted(says=by_turn(*says))
        guards = [GuardrailMiddleware(guard_for())] if middleware is None else middleware
        self.graph: Any = create_agent(
            self.model,
            [self.tool()],
            middleware=guards,
            checkpointer=self.saver,
            **options,
        )

    def tool(self) -> Callable[[str], str]:
        def search(query: str) -> str:
            """Search the manual."""
            self.searched.append(query)
            return "3일"

        return search

    def ask(self, mode: Mode) -> dict[str, Any]:
        """Return the state after an answer."""
        if mode is Mode.SYNC:
            return self.graph.invoke(ASK, self.config)
        return asyncio.run(self.graph.ainvoke(ASK, self.config))

    def stream(self, mode: Mode, **options: Any) -> list[Any]:
        """Return what a stream mode shows of an answer."""
        if mode is Mode.SYNC:
            return list(self.graph.stream(ASK, self.config, **options))
        return asyncio.run(listed(self.graph.astream(ASK, self.config, **options)))

    def events(self, version: str) -> list[Any]:
        """Return the events of an answer."""
        return asyncio.run(self._events(version))

    async def _events(self, version: str) -> list[Any]:
        events = self.graph.astream_events(ASK, self.config, version=version)
        if version == "v2":
            return await listed(events)
        run = await events
        return [*await listed(run), await run.output()]

    @property
    def kept(self) -> str:
        """All that is in the agent's memory."""
        history = list(self.graph.get_state_history(THREAD))
        return repr(history) + repr(self.saver.storage) + repr(self.saver.blobs)

    @property
    def watched(self) -> str:
        return "".join(self.spy.saw)


async def listed(items: Any) -> list[Any]:
    return [one async for one in items]


def encoded(text: str) -> str:
    """Return a text as it stands in a `repr` of bytes."""
    return repr(text.encode())[2:-1]


def clean(*shown: Any) -> bool:
    return not any(mark in repr(shown) for mark in (MARK, encoded(MARK), repr(encoded(MARK))[1:-1]))
