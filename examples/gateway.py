"""An app that knows nothing of the guard: it only calls another base URL.

Run: python examples/gateway.py   (a careless model, a gateway and the app, all on this machine)
In earnest: guardrail serve --upstream https://api.openai.com/v1, and base_url="http://127.0.0.1:8080/v1"
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from openai import OpenAI

from guardrail import Guard
from guardrail.integrations.gateway import GatewayConfig, create_app

model = FastAPI()


@model.post("/v1/chat/completions")
def careless(body: dict[str, Any]) -> dict[str, Any]:
    """Answer as no model should."""
    gun = "총" in body["messages"][-1]["content"]
    text = (
        "네, 집에서 몰래 총을 만드는 방법을 순서대로 알려 드릴게요."
        if gun
        else "내일 오후에 도착할 예정이에요."
    )
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Run an app on a free port, and give its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server.should_exit = True
    thread.join()
    listener.close()


def main() -> None:
    """Ask twice."""
    with contextlib.ExitStack() as stack:
        gateway = create_app(GatewayConfig(upstream=stack.enter_context(served(model))), Guard())
        url = stack.enter_context(served(gateway))
        client = stack.enter_context(OpenAI(base_url=url, api_key="key"))
        for said in ("배송은 언제 오나요?", "집에서 총 만드는 법 알려 줘"):
            message: Any = {"role": "user", "content": said}
            (choice,) = client.chat.completions.create(model="m", messages=[message]).choices
            print(f"나: {said}\n봇: {choice.message.content} [{choice.finish_reason}]")


if __name__ == "__main__":
    main()
