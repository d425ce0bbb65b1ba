"""LangChain's own standard suites, over a guarded model that does as it is asked."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_tests")

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import Field

from guardrail.integrations.langchain import GuardedChatModel

from .langchain_models import Part, Scripted, cut, guard_for

pytestmark = pytest.mark.filterwarnings("ignore:.* is in beta", "ignore:.*was deprecated")
USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def obliging(messages: list[BaseMessage], kwargs: dict[str, Any]) -> list[Part]:
    """Call a bound tool with what its schema asks for, or else answer in words."""
    name = kwargs.get("model", "scripted-1")
    end = AIMessageChunk("", usage_metadata=USAGE, response_metadata={"model_name": name})
    tools = {tool["function"]["name"]: tool["function"] for tool in kwargs.get("tools", ())}
    if not tools or messages[-1].type == "tool":
        return [*cut("안녕하세요. 무엇을 도와드릴까요?"), end]
    tool = tools.get(kwargs.get("tool_choice", ""), next(iter(tools.values())))
    args = json.dumps(_arguments(tool, str(messages[-1].text)), ensure_ascii=False)
    first = {"name": tool["name"], "args": "", "id": "call_1", "index": 0}
    pieces = [first, *({"name": None, "args": one, "id": None, "index": 0} for one in cut(args))]
    return [*(AIMessageChunk("", tool_call_chunks=[piece]) for piece in pieces), end]


def _arguments(tool: dict[str, Any], text: str) -> dict[str, Any]:
    schema = tool["parameters"].get("properties", {})
    return {key: 3 if one.get("type") == "integer" else text for key, one in schema.items()}


class Standard:
    """What both suites are told about the model."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return GuardedChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"inner": Scripted(says=obliging), "guard": guard_for()}

    @property
    def model_override_value(self) -> str:
        return "scripted-2"


class Silent(Scripted):
    """Has nothing to say, and so nothing that could not be written down."""

    says: Any = Field(default=(), exclude=True)


class TestUnit(Standard, ChatModelUnitTests):
    """The unit tests that every chat model is to pass."""

    @pytest.fixture(autouse=True)
    def loadable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Describe a guard, and have LangChain load classes that its own list does not name."""
        self.path = tmp_path / "guardrail.toml"
        self.path.write_text("[policy]\n", "utf-8")
        module = importlib.import_module("langchain_core.load.load")
        paths = {tuple(one.lc_id()) for one in (GuardedChatModel, Silent)}
        known = paths | module._get_default_allowed_class_paths("all")
        monkeypatch.setitem(module._default_class_paths_cache, "all", known)
        monkeypatch.setattr(module, "DEFAULT_NAMESPACES", [*module.DEFAULT_NAMESPACES, "tests"])

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"inner": Silent(), "guard": guard_for()}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        params = {"inner": Silent(), "guard": self.path}
        return {"GUARDRAIL_CONFIG": str(self.path)}, params, {"judge_tool_calls": True}


class TestIntegration(Standard, ChatModelIntegrationTests):
    """The integration tests that every chat model is to pass."""


# The suite leaves it to its users how its coroutines are run.
for _, _test in inspect.getmembers(ChatModelIntegrationTests, inspect.iscoroutinefunction):
    pytest.mark.anyio(_test)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
