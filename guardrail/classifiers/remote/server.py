"""One request to an OpenAI-compatible server, over kept connections.

Not with the openai library, which takes several times the processor's time for retries, models of
the answer and headers that are not wanted here.
"""

from __future__ import annotations

import json
import os
from typing import Any

import aiohttp
from yarl import URL

from guardrail.classifiers.remote.answers import Answered, Answers
from guardrail.classifiers.remote.failures import NoAnswer, refused, translated
from guardrail.classifiers.remote.writing import Prompt
from guardrail.errors import ConfigError
from guardrail.proxies import proxy_for

__all__ = ["Server"]

_TOP = 20  # log-probabilities asked for: the most that the API allows
_MOST_BYTES = 1 << 20  # an answer has some 4 kB
_KEEP_S = 4.0  # servers drop idle connections after 5 s; asking at that moment would fail


class Server:
    """Asks one model of one server; used on one event loop, and by one who limits time and number.

    Args:
        base_url: ends in `/v1` for most servers.
        answers: reads what it answers.
        api_key: sent as a bearer token.
        chat: whether it is asked by chat, or by raw completion.

    Raises:
        ConfigError: base_url is no address.
    """

    def __init__(self, base_url: str, answers: Answers, *, api_key: str | None, chat: bool) -> None:
        self.name = f"the server at {base_url}"
        self._answers = answers
        self._url = _url(base_url, "/chat/completions" if chat else "/completions")
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"} | (
            {"authorization": f"Bearer {api_key}"} if api_key else {}
        )
        self._body = {"model": answers.model, "max_tokens": 1, "temperature": 0} | (
            {"logprobs": True, "top_logprobs": _TOP} if chat else {"logprobs": _TOP}
        )
        self._session: aiohttp.ClientSession | None = None  # made on the loop that it belongs to

    async def ask(self, prompt: Prompt) -> bytes:
        """Return what the server answers; see `read`.

        Raises:
            ClassifierError: it does not answer.
        """
        body = json.dumps({**self._body, **prompt.body}).encode()
        try:
            response, content = await self._post(body)
        except Exception as error:  # the library's, TLS's, the system's: no answer has come
            raise translated(error) from error
        if not 200 <= response.status < 300:
            raise refused(response.status, response.headers)
        return content

    def read(self, content: bytes, prompt: Prompt) -> Answered:
        """Return what the model says in the server's answer to a prompt.

        Raises:
            ClassifierError: something else than a label.
        """
        return self._answers.read(content, prompt)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def leave(self) -> None:
        """Forget the connections: they belong to the process that this one was forked from."""
        if self._session is not None:
            self._session.detach()

    async def _post(self, body: bytes) -> tuple[aiohttp.ClientResponse, bytes]:
        """Return the server's answer and its content."""
        self._session = self._session or self._connected()
        async with self._session.post(
            self._url,
            data=body,
            allow_redirects=False,  # texts go where they are meant to go, or nowhere
        ) as response:
            return response, await _content(response)

    def _connected(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=_Connector(limit=0, keepalive_timeout=_KEEP_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            proxy=proxy_for(str(self._url)),
        )


class _Connector(aiohttp.TCPConnector):
    """Connections that hold nobody else's answer, and that a forked process's copy leaves alone.

    What came while a connection was idle would be taken for the answer to the next text. And to
    close one in a forked process would take it out of the event loop that both share in the kernel.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._process = os.getpid()

    async def _get(self, *given: Any) -> Any:
        while kept := await super()._get(*given):
            if kept.protocol is not None and not kept.protocol.should_close:
                break
            kept.close()
        return kept

    def __del__(self, *given: Any) -> None:
        if self._process == os.getpid():
            super().__del__(*given)


def _url(base_url: str, path: str) -> URL:
    try:
        url = URL(base_url.rstrip("/") + path)
    except ValueError as error:
        raise ConfigError(f"base_url is {base_url!r}, which is no address: {error}") from error
    if not url.host:
        raise ConfigError(f"base_url is {base_url!r}, which names no host")
    return url


async def _content(response: aiohttp.ClientResponse) -> bytes:
    """Return a body, errors' too, unless it grows too long."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise NoAnswer("it compresses its answer, though asked not to")
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise NoAnswer(f"its answer is longer than {_MOST_BYTES} bytes")
    return b"".join(pieces)
