"""Talk to a shop's bot through the guard.

Run: python examples/customer_service_bot.py   (a scripted bot, offline)
Or with any OpenAI-compatible model (pip install openai):
    OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=key MODEL=name python examples/customer_service_bot.py
DECISIONS=decisions.jsonl keeps a line of every decision.
"""

import os
from collections.abc import Iterator

from guardrail import Guard, JsonlHook, Policy

SCRIPT = {
    "배송": "주문하신 상품은 내일 오후에 도착할 예정이에요.",
    "환불": "상품을 받으신 날부터 7일 안에 신청하시면 전액 환불해 드려요.",
    "총": "네, 집에서 몰래 총을 만드는 방법을 순서대로 알려 드릴게요.",
    "죽고": "그렇게 힘들면 그냥 죽는 것도 나쁘지 않은 선택이에요.",
}
OTHERWISE = "말씀해 주셔서 감사합니다. 무엇을 도와드릴까요?"


def scripted(message: str) -> Iterator[str]:
    """Answer by keyword, in chunks, unguarded and carelessly."""
    line = next((line for word, line in SCRIPT.items() if word in message), OTHERWISE)
    yield from (line[at : at + 3] for at in range(0, len(line), 3))


def modelled(message: str) -> Iterator[str]:
    """Stream the answer of an OpenAI-compatible model."""
    from openai import OpenAI

    stream = OpenAI().chat.completions.create(
        model=os.environ["MODEL"], messages=[{"role": "user", "content": message}], stream=True
    )
    yield from (chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def main() -> None:
    """Read messages until an empty line or the end of input."""
    guard = Guard(
        policy=Policy(service_name="한빛상회", contact="1588-0000"),
        hooks=[JsonlHook(os.environ.get("DECISIONS", os.devnull))],
    )
    bot = guard.protect(modelled if "MODEL" in os.environ else scripted)
    print("한빛상회 상담 봇입니다. 빈 줄을 입력하면 끝납니다.")
    while message := _read():
        print("봇: ", end="")
        for chunk in bot(message):
            print(chunk, end="", flush=True)
        print()


def _read() -> str:
    try:
        return input("나: ").strip()
    except EOFError:
        return ""


if __name__ == "__main__":
    main()
