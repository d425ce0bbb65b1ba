"""What the gate costs, and whether it leaks (python -m tests.benchmarks.gate).

A fake model writes 120 tokens of three Korean letters, one every 5 ms; a stub classifier takes
20 ms. A forbidden phrase of six letters slides over 115 places of the reply.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from guardrail import Guard
from guardrail.testing import StubClassifier
from guardrail.types import exchange

PHRASE = "나쁜말하는중"
PLACES = 115
CLASSIFIER_S, TOKEN_S, TOKENS = 0.02, 0.005, 120
REPLIES = {
    "with sentences": "고객님 문의 주셔서 감사합니다 저희 매장은 매일 열 시에 문을 열어요 ",
    "without a space": "고객님문의주셔서감사합니다저희매장은매일열시에문을열어요그리고",
}


async def model(text: str) -> AsyncIterator[str]:
    """Write a text token by token."""
    for at in range(0, len(text), 3):
        await asyncio.sleep(TOKEN_S)
        yield text[at : at + 3]


async def leaks(reply: str, place: int) -> bool:
    """Whether any letter of the phrase is shown when it stands at a place."""
    text = reply[: place * 3] + PHRASE + reply[place * 3 + len(PHRASE) :]
    guard = Guard(StubClassifier(PHRASE, delay=CLASSIFIER_S))
    *shown, _refusal = [chunk async for chunk in guard.astream(user="q", chunks=model(text))]
    return not set(PHRASE).isdisjoint("".join(shown))


async def timed(chunks: AsyncIterator[str]) -> tuple[float, float]:
    """Return the milliseconds until the first chunk and until the end."""
    began = time.perf_counter()
    first = 0.0
    async for _ in chunks:
        first = first or time.perf_counter() - began
    return first * 1e3, (time.perf_counter() - began) * 1e3


async def added(reply: str, rounds: int = 7) -> tuple[float, float]:
    """Return the median milliseconds that the guard adds to the first text and to the whole."""
    guard = Guard(StubClassifier(PHRASE, delay=CLASSIFIER_S))
    firsts, wholes = [], []
    for _ in range(rounds):
        bare = await timed(model(reply))
        guarded = await timed(guard.astream(user="q", chunks=model(reply)))
        firsts.append(guarded[0] - bare[0])
        wholes.append(guarded[1] - bare[1])
    return statistics.median(firsts), statistics.median(wholes)


async def checks(reply: str) -> tuple[int, float]:
    """Return how many checks a reply takes, and characters judged per character."""
    classifier = StubClassifier(PHRASE, delay=CLASSIFIER_S)
    async for _ in Guard(classifier).astream(user="q", chunks=model(reply)):
        pass
    return len(classifier.seen), sum(map(len, classifier.seen)) / len(reply)


async def per_second(call: Callable[[str], Awaitable[str]], at_once: int = 50) -> float:
    """Return how many calls a second are answered with so many at once."""
    rounds = 40

    async def client() -> None:
        for _ in range(rounds):
            await call("q")

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    return at_once * rounds / (time.perf_counter() - began)


async def throughput(reply: str) -> tuple[float, float]:
    """Return calls a second through the guard, and judged by hand with nothing around it."""
    classifier = StubClassifier(PHRASE, delay=CLASSIFIER_S)

    async def handler(_: str) -> str:
        return reply

    async def by_hand(message: str) -> str:
        answer = await handler(message)
        (verdict,) = await classifier.aclassify_many([exchange(message, answer)])
        return "no" if verdict.unsafe else answer

    guarded = Guard(classifier).protect(handler)
    return await per_second(guarded), await per_second(by_hand)


async def main() -> None:
    """Measure, and print."""
    for name, sentence in REPLIES.items():
        reply = (sentence * TOKENS)[: TOKENS * 3]
        leaked = sum(await asyncio.gather(*(leaks(reply, place) for place in range(PLACES))))
        first, whole = await added(reply)
        count, read = await checks(reply)
        print(
            f"{name}: shown in part {leaked} of {PLACES}; first text +{first:.0f} ms, whole "
            f"+{whole:.0f} ms; {count} checks, {read:.2f} characters judged per character"
        )
    ours, by_hand = await throughput(reply)
    print(f"50 at once: {ours:.0f} calls a second guarded, {by_hand:.0f} by hand")


if __name__ == "__main__":
    asyncio.run(main())
