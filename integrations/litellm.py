"""Guards LiteLLM: its proxy as a `CustomGuardrail`, its SDK and Router by wrapping their calls.

In the proxy's configuration:

    guardrails:
      - guardrail_name: guardrail
        litellm_params:
          guardrail: guardrail.integrations.litellm.LiteLLMGuardrail
          mode: post_call
          default_on: true

In a program: `completion = guard_call(litellm.completion, guard)`, and the same for `acompletion`,
`responses`, `aresponses` and a Router's methods. LiteLLM's own callbacks cannot hold back what the
SDK streams, nor see its sync calls at all.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from guardrail.errors import ConfigError, GuardrailError, needing
from guardrail.guard import Guard
from guardrail.integrations.failures import aattempt, attempt, passable, words_of
from guardrail.integrations.litellm_calls import (
    GuardedAsyncChunks,
    GuardedChunks,
    UnguardedLiteLLMCall,
    call_of,
    conversations,
    is_whole,
    refused,
    replaced,
    stream_in,
)
from guardrail.integrations.openai_wire import arefusal, refusal
from guardrail.types import Outcome, Role, Turn

with needing("litellm"):
    from litellm.exceptions import ModifyResponseException
    from litellm.integrations.custom_guardrail import CustomGuardrail
    from litellm.types.guardrails import GuardrailEventHooks

__all__ = ["LiteLLMGuardrail", "guard_call"]

F = TypeVar("F", bound=Callable[..., Any])

_JUDGED = ("completion", "acompletion", "responses", "aresponses")
# Calls whose answers hold no reply of a model; all others but the judged ones are refused.
_WITHOUT_REPLY = (
    *("embedding", "aembedding", "embeddings", "moderation", "amoderation", "rerank", "arerank"),
    *("transcription", "atranscription", "audio_transcription", "speech", "aspeech"),
    *("acreate_file", "afile_retrieve", "afile_delete", "afile_list"),
    "apply_guardrail",  # the page for trying this very guardrail
)
_REPLIES_WITHOUT_TEXT = (
    *("EmbeddingResponse", "TranscriptionResponse", "RerankResponse", "OpenAIModerationResponse"),
    *("HttpxBinaryResponseContent", "OpenAIFileObject"),
)
# LiteLLM looks for these in a class itself, and silently passes over what is inherited.
_HOOKS = (
    *("async_pre_call_hook", "async_post_call_success_hook", "apply_guardrail"),
    "async_post_call_streaming_iterator_hook",
)
# Options under which LiteLLM would drop what the guardrail returns, or leave streams to themselves.
_NOT_GUARDING = {"run_in_parallel": (None, False), "stream_scope": (None, "both")}


class LiteLLMGuardrail(CustomGuardrail):
    """A guardrail of LiteLLM's proxy: blocks unsafe replies, and holds back what is not judged.

    It goes before and after each call, whatever the `mode`: before it refuses calls whose replies
    it could not judge, and after it judges the replies, whole and streamed.

    LiteLLM calls no guardrail for `/assistants` and `/threads`. A proxy whose configuration has
    `assistant_settings` does not start; without them, too, a request there that names a
    `custom_llm_provider` the proxy has a key for is answered unjudged, so close these paths.

    Args:
        guard: judges; without one, the one that `config` or `GUARDRAIL_CONFIG` describes.
        config: path of a TOML file; see `Guard.from_config`.
        options: LiteLLM's own: `guardrail_name`, `default_on`, ...

    Raises:
        ConfigError: an option, or the proxy's own, would have replies passed that nobody judged.
    """

    use_native_lifecycle_hooks = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name in _HOOKS:
            if name not in vars(cls):
                setattr(cls, name, getattr(cls, name))
        super().__init_subclass__(**kwargs)

    def __init__(
        self, guard: Guard | None = None, *, config: str | None = None, **options: Any
    ) -> None:
        _check(options)
        hooks = [GuardrailEventHooks.pre_call, GuardrailEventHooks.post_call]
        options.setdefault("guardrail_name", "guardrail")
        super().__init__(**{**options, "event_hook": hooks})
        self.guard = Guard.from_config(config) if guard is None else guard

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> dict[str, Any]:
        """Refuse a call that cannot be guarded, and judge what the user said, if that is wanted."""
        kind = getattr(call_type, "value", call_type)
        if kind in _WITHOUT_REPLY:
            return data
        if kind not in _JUDGED:
            raise UnguardedLiteLLMCall(
                f"{kind!r} may carry replies that nobody would judge; guarded are {_JUDGED}"
            )
        outcome = await arefusal(call_of(data), self.guard)
        if outcome is not None:
            raise self._blocked(outcome, data)
        return data

    async def async_post_call_success_hook(
        self, data: dict[str, Any], user_api_key_dict: Any, response: Any
    ) -> Any:
        """Return a whole reply as the caller may see it."""
        if type(response).__name__ in _REPLIES_WITHOUT_TEXT:
            return response
        call = call_of(data, response)
        return replaced(call, response, await self.guard.areview(conversations(call, response)))

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> Any:
        """Yield a streamed reply as far as it is judged."""
        chunks = GuardedAsyncChunks(call_of(request_data), response, self.guard)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> Any:
        """Return what the caller learns of a failure whose words did not pass; None if they did."""
        if isinstance(original_exception, GuardrailError | ModifyResponseException):
            return None
        asked = call_of({"messages": [], **request_data}).asked
        outcomes = await self.guard.areview(words_of(original_exception, asked))
        told = passable(original_exception, outcomes)
        if told is original_exception:
            return None
        from fastapi import HTTPException  # the proxy's, which the SDK does without

        return HTTPException(getattr(original_exception, "status_code", 500), str(told))

    async def apply_guardrail(
        self, inputs: Any, request_data: dict[str, Any], input_type: str, logging_obj: Any = None
    ) -> Any:
        """Judge texts that LiteLLM hands over by themselves, as its own test page does."""
        asked = call_of({"messages": [], **request_data}).asked
        role = Role.USER if input_type == "request" else Role.ASSISTANT
        before = () if role is Role.USER else asked
        texts = inputs.get("texts") or []
        outcomes = await self.guard.areview([(*before, Turn(role, text)) for text in texts])
        return {**inputs, "texts": [outcome.text for outcome in outcomes]}

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], call_type: Any
    ) -> dict[str, Any]:
        """Refuse what the SDK would stream past its callbacks."""
        if self._is_for_sdk(kwargs, GuardrailEventHooks.pre_call):
            if kwargs.get("stream"):
                raise UnguardedLiteLLMCall(
                    "LiteLLM's callbacks cannot hold back a stream of its SDK; use "
                    "guard_call(litellm.acompletion, guard)"
                )
            await self.async_pre_call_hook(None, None, kwargs, call_type)
        return kwargs

    async def async_post_call_success_deployment_hook(
        self, request_data: dict[str, Any], response: Any, call_type: Any
    ) -> Any:
        """Return a whole reply of the SDK as the caller may see it."""
        if self._is_for_sdk(request_data, GuardrailEventHooks.post_call):
            return await self.async_post_call_success_hook(request_data, None, response)
        return None

    def _is_for_sdk(self, request: Mapping[str, Any], hook: GuardrailEventHooks) -> bool:
        from_proxy = request.get("proxy_server_request") is not None
        return not from_proxy and self.should_run_guardrail(data=request, event_type=hook) is True

    def _blocked(self, outcome: Outcome, data: dict[str, Any]) -> Exception:
        return cast(
            "Exception",
            ModifyResponseException(
                message=outcome.text,
                model=str(data.get("model", "")),
                request_data=data,
                guardrail_name=self.guardrail_name,
            ),
        )


def _check(options: Mapping[str, Any]) -> None:
    for name, allowed in _NOT_GUARDING.items():
        if options.get(name) not in allowed:
            raise ConfigError(f"with {name}={options[name]!r}, LiteLLM would pass unjudged replies")
    if "logging_only" in str(options.get("event_hook")):
        raise ConfigError("mode 'logging_only' would pass unjudged replies; use 'post_call'")
    proxy = sys.modules.get("litellm.proxy.proxy_server")  # nothing to look at in the SDK
    if proxy is not None and proxy.proxy_config.get_config_state().get("assistant_settings"):
        raise ConfigError(
            "with assistant_settings, LiteLLM would pass unjudged replies: it calls no guardrail "
            "for assistants and threads; take them out of the proxy's configuration"
        )


def guard_call(call: F, guard: Guard) -> F:
    """Return one of LiteLLM's calls with its replies guarded.

    Args:
        call: `litellm.completion`, `acompletion`, `responses` or `aresponses`, or a method of a
            Router of these names; the result is called the same way.
        guard: judges.

    Raises:
        UnguardedCall: at a call, when its reply cannot be judged, or it failed in words that did
            not pass.
    """

    @functools.wraps(call)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        asked = call_of(_arguments(call, args, kwargs))
        outcome = refusal(asked, guard)
        if outcome is not None:
            return refused(asked, outcome)
        reply = attempt(lambda: call(*args, **kwargs), guard, asked.asked)
        if is_whole(reply):
            return replaced(asked, reply, guard.review(conversations(asked, reply)))
        return GuardedChunks(asked, stream_in(reply), guard)

    @functools.wraps(call)
    async def aguarded(*args: Any, **kwargs: Any) -> Any:
        asked = call_of(_arguments(call, args, kwargs))
        outcome = await arefusal(asked, guard)
        if outcome is not None:
            return refused(asked, outcome, on_a_loop=True)
        reply = await aattempt(lambda: call(*args, **kwargs), guard, asked.asked)
        if is_whole(reply):
            return replaced(asked, reply, await guard.areview(conversations(asked, reply)))
        return GuardedAsyncChunks(asked, stream_in(reply), guard)

    return cast("F", aguarded if inspect.iscoroutinefunction(call) else guarded)


def _arguments(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a call's arguments by their names."""
    given = inspect.signature(call).bind(*args, **kwargs).arguments
    return {**given, **given.pop("kwargs", {})}
