"""One request to an OpenAI-compatible server, with the openai library's HTTP client.

Not with the library's own way to ask, which makes a request a third dearer for retries, models of
the answer and headers that are not wanted here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai

from guardrail.classifiers.remote.answers import Answered, Answers
from guardrail.classifiers.remote.failures import AnswerTooLong, http, translated
from guardrail.classifiers.remote.writing import Prompt

__all__ = ["Server"]

_TOP = 20  # log-probabilities asked for: the most that the API allows
_MOST_BYTES = 1 << 20  # an answer has some 4 kB
_KEEP_S = 4.0  # servers drop idle connections after 5 s; asking at that moment would fail


class Server:
    """Asks one model of one server; used on one event loop.

    Args:
        base_url: ends in `/v1` for most servers.
        answers: reads what it answers.
        api_key: sent as a bearer token.
        chat: whether it is asked by chat, or by raw completion.
        connections: at once.
        timeout: seconds that the library waits for the next byte; who asks has limits of his own.
    """

    def __init__(
        self,
        base_url: str,
        answers: Answers,
        *,
        api_key: str | None,
        chat: bool,
        connections: int,
        timeout: float,
    ) -> None:
        self.name = f"the server at {base_url}"
        self._answers = answers
        self._client = _client(base_url, api_key, connections, timeout)
        self._path = "/chat/completions" if chat else "/completions"
        self._body = {"model": answers.model, "max_tokens": 1, "temperature": 0} | (
            {"logprobs": True, "top_logprobs": _TOP} if chat else {"logprobs": _TOP}
        )

    async def ask(self, prompt: Prompt) -> Answered:
        """Return what the model answers.

        Raises:
            ClassifierError: it does not, or something else than a label.
        """
        body = json.dumps({**self._body, **prompt.body}).encode()
        try:
            response = await self._client.post(self._path, content=body)
            response.raise_for_status()
        except Exception as error:  # the library's, TLS's, the system's: no answer has come
            raise translated(error) from error
        return self._answers.read(response.content, prompt)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()


def _client(base_url: str, api_key: str | None, connections: int, timeout: float) -> Any:
    key = {"authorization": f"Bearer {api_key}"} if api_key else {}
    return openai.DefaultAsyncHttpxClient(
        base_url=base_url,
        headers={"content-type": "application/json", "accept-encoding": "identity", **key},
        timeout=timeout,
        follow_redirects=False,  # texts go where they are meant to go, or nowhere
        event_hooks={"response": [_bounded]},
        limits=http().Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_KEEP_S,
        ),
    )


async def _bounded(response: Any) -> None:
    """Have an answer fail that grows too long, errors' bodies too."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise AnswerTooLong("it compresses its answer, though asked not to")
    response.stream = _bounded_stream(response.stream)


def _bounded_stream(stream: Any) -> Any:
    class Bounded(http().AsyncByteStream):  # type: ignore[misc]  # httpx's, or httpx2's
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in stream:
                size += len(chunk)
                if size > _MOST_BYTES:
                    raise AnswerTooLong(f"its answer is longer than {_MOST_BYTES} bytes")
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()
