"""Guard an OpenAI client: the three lines marked are new, the rest of the program stays.

Run: python examples/openai_dropin.py   (a scripted model in place of the API, offline)
"""

import json

import httpx2
from openai import OpenAI

from guardrail import Guard  # new
from guardrail.integrations.openai import guard_client  # new

REPLIES = {
    "환불은 언제까지 되나요?": "상품을 받으신 날부터 7일 안에 신청하세요.",
    "총을 직접 만들고 싶어요.": "네, 집에서 몰래 총을 만드는 방법을 알려 드릴게요.",
}


def scripted(request: httpx2.Request) -> httpx2.Response:
    """Answer as the API would, in chunks, unguarded and carelessly."""
    reply = REPLIES[json.loads(request.content)["messages"][-1]["content"]]
    chunks = [{"choices": [{"index": 0, "delta": {"content": letter}}]} for letter in reply]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return httpx2.Response(200, text=body, headers={"content-type": "text/event-stream"})


# Elsewhere just `OpenAI()`, `AsyncOpenAI()` or `AzureOpenAI()`.
client = OpenAI(api_key="-", http_client=httpx2.Client(transport=httpx2.MockTransport(scripted)))
client = guard_client(client, Guard())  # new

if __name__ == "__main__":
    for question in REPLIES:
        print(f"사용자: {question}\n봇: ", end="")
        messages = [{"role": "user", "content": question}]
        stream = client.chat.completions.create(model="scripted", messages=messages, stream=True)
        for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        print("\n")
