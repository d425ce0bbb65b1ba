"""From a server's answer to a reading; whatever is not exactly one is an error."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from guardrail.classifiers.labelled import Reading
from guardrail.classifiers.remote.writing import Prompt
from guardrail.errors import ClassifierProtocolError, ClassifierUnavailable

__all__ = ["Answered", "Answers"]

_ROUNDING = 0.01  # by which a server's probabilities may add up to more than 1


class _Token(BaseModel):
    token: str
    logprob: float | None  # None is how some write minus infinity


class _Position(BaseModel):
    top_logprobs: list[_Token] = []


class _Logprobs(BaseModel):
    # Chat servers and llama.cpp list tokens in `content`; others map each token to its own.
    content: list[_Position] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None


class _Choice(BaseModel):
    logprobs: _Logprobs | None = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: Annotated[int, Field(ge=0)] | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Answer(BaseModel):
    model: str
    choices: list[_Choice]
    usage: _Usage | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer.

    Args:
        reading: of the labels.
        prompt_tokens: that the server counted, 0 if it did not.
        cached_tokens: of these, that it had read before.
    """

    reading: Reading
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads the answers of one model.

    Args:
        model: by which the server must name itself.
        labels: the tokens of safe and unsafe.
    """

    model: str
    labels: tuple[str, str]

    def read(self, content: bytes, prompt: Prompt) -> Answered:
        """Return what an answer says.

        Raises:
            ClassifierUnavailable: this is not the server, or not the model, that was asked.
            ClassifierProtocolError: the model answered something else than a label.
        """
        answer = _parsed(content)
        if answer.model != self.model:
            raise ClassifierUnavailable(
                f"the server answers with the model {answer.model!r}, and {self.model!r} was asked "
                "for; pass that as model, or give the server this name (llama-server: --alias, "
                "vLLM and SGLang: --served-model-name)"
            )
        usage = answer.usage or _Usage()
        counted, details = usage.prompt_tokens or 0, usage.prompt_tokens_details
        if usage.prompt_tokens is not None and counted < prompt.least:
            raise ClassifierProtocolError(
                f"the server read {counted} tokens of a prompt of at least {prompt.least}: it cuts "
                "what is too long; set its context as long as context_tokens"
            )
        cached = (details.cached_tokens or 0) if details else 0
        return Answered(self._reading(_first_tokens(answer)), counted, cached)

    def _reading(self, tokens: Mapping[str, float]) -> Reading:
        found = [tokens.get(label) for label in self.labels]
        if found == [None, None]:
            raise ClassifierProtocolError(
                f"neither {self.labels[0]!r} nor {self.labels[1]!r} is among the most probable "
                f"answers {list(tokens)[:5]}; is it the model that the prompt belongs to?"
            )
        bound = _most_of_another(tokens.values())
        safe, unsafe = (bound if value is None else value for value in found)
        supposed = math.exp(bound) if None in found else 0.0
        reading = Reading(safe, unsafe, supposed)
        if not reading.mass <= 1 + _ROUNDING:  # also when it is no number
            raise ClassifierProtocolError(
                f"the server's probabilities add up to {reading.mass:.3g}; they must be plain "
                "log-probabilities of the model"
            )
        return reading


def _most_of_another(listed: Collection[float]) -> float:
    """Return the log-probability that a token which is not listed has at most.

    It is no more probable than the last that is, nor than all that the listed ones leave.
    """
    rest = 1 - sum(math.exp(min(value, 0.0)) for value in listed)
    return min(*listed, math.log(rest) if rest > 0 else -math.inf)


def _parsed(content: bytes) -> _Answer:
    try:
        return _Answer.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ClassifierUnavailable(
            f"the server's answer is not the API's ({place}: {first['msg']}); check "
            "base_url (it ends in /v1)"
        ) from None


def _first_tokens(answer: _Answer) -> dict[str, float]:
    """Return the log-probabilities of the first position, by token."""
    if len(answer.choices) != 1:
        raise ClassifierProtocolError(f"the server gave {len(answer.choices)} choices, not one")
    logprobs = answer.choices[0].logprobs
    pairs: list[tuple[str, float | None]] = []
    if logprobs and logprobs.content:
        pairs = [(one.token, one.logprob) for one in logprobs.content[0].top_logprobs]
    elif logprobs and logprobs.top_logprobs:
        pairs = list((logprobs.top_logprobs[0] or {}).items())
    tokens: dict[str, float] = {}
    for token, value in pairs:
        if value is not None:
            tokens[token] = max(value, tokens.get(token, -math.inf))
    if not tokens:
        raise ClassifierProtocolError(
            "the server gave no log-probabilities; it must return the top 20 (vLLM: "
            "--max-logprobs 20)"
        )
    return tokens
