"""What goes into chains and comes out of them, as messages and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable
from langchain_core.runnables.utils import AddableDict

from guardrail.errors import UnguardedCall
from guardrail.integrations.langchain.conversation import asked
from guardrail.integrations.langchain.passage import Wrap
from guardrail.types import Conversation, question

__all__ = ["default_wrap", "message_of", "question_in"]


def question_in(value: Any, key: str | None) -> Conversation:
    """Return what the user said, of a chain's input.

    Args:
        value: a text, a prompt, a message or several, or a mapping that holds one of these.
        key: where in the mapping; None for `messages`, or else the only text in it.

    Raises:
        UnguardedCall: it is not to be seen.
    """
    match value:
        case str():
            return question(value)
        case PromptValue():
            return asked(value.to_messages())
        case BaseMessage():
            return asked([value])
        case list() | tuple():
            return asked(convert_to_messages(value))
        case Mapping():
            return question_in(value[_input_key(value, key)], None)
    raise UnguardedCall(f"there is no user's turn in a {type(value).__name__}, the chain's input")


def _input_key(value: Mapping[str, Any], key: str | None) -> str:
    texts = [name for name, one in value.items() if isinstance(one, str)]
    found = key or ("messages" if "messages" in value else "".join(texts[:1]))
    if found in value and (key or found == "messages" or len(texts) == 1):
        return found
    known = ", ".join(map(repr, value))
    raise UnguardedCall(
        f"which of the chain's inputs is the user's turn? Name it by input_key=; there are {known}"
    )


def message_of(output: Any, key: str | None) -> tuple[AIMessage, Wrap | None]:
    """Return what a chain put out, whole or a chunk, as a message, and what makes it of one.

    A mapping without the key says nothing, and has nothing to make it of.

    Raises:
        UnguardedCall: it cannot be judged.
    """
    match output:
        case str():
            return AIMessageChunk(content=output), lambda message, _: str(message.text)
        case AIMessage():
            return output, lambda message, _: message
        case Mapping() if key is not None:
            return _value_of(output, key)
        case Mapping():
            raise UnguardedCall(
                "which of the chain's outputs is the reply? Name it by output_key=; there are "
                + ", ".join(map(repr, output))
            )
    raise UnguardedCall(
        f"a chain's output must be a text, an AIMessage, or a mapping with one of these, not "
        f"{type(output).__name__}; guard the model in the chain with guard_model, or an agent "
        "with GuardrailMiddleware"
    )


def _value_of(output: Mapping[str, Any], key: str) -> tuple[AIMessage, Wrap | None]:
    if key not in output:
        return AIMessageChunk(content=""), None
    message, wrap = message_of(output[key], None)
    kind = AddableDict if isinstance(output, AddableDict) else dict
    return message, wrap and (lambda one, info: kind({**output, key: wrap(one, info)}))


def default_wrap(chain: Runnable[Any, Any], key: str | None) -> Wrap:
    """Return what makes an output of a message where the chain has put none out yet."""
    try:
        speaks = chain.OutputType is not str and key is None and _is_message(chain.OutputType)
    except TypeError:  # the chain does not know
        speaks = False
    if speaks:
        return lambda message, _: message
    if key is not None:
        return lambda message, _: AddableDict({key: str(message.text)})
    return lambda message, _: str(message.text)


def _is_message(kind: Any) -> bool:
    """Whether a type is a class of messages, or a union of such."""
    kinds = getattr(kind, "__args__", (kind,))
    return any(isinstance(one, type) and issubclass(one, BaseMessage) for one in kinds)
