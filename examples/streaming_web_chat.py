"""A web chat whose replies appear while they are written, each piece once it is judged.

Run: pip install -e '.[server]'; python examples/streaming_web_chat.py; open http://127.0.0.1:8000   (offline)
"""

import asyncio
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse

from guardrail import Guard

PAGE = """<!doctype html><meta charset="utf-8"><title>상담</title><pre id="log"></pre>
<form><input name="said" autofocus placeholder="배송, 총"></form><script>
document.forms[0].onsubmit = async event => {
  event.preventDefault(); const said = event.target.said.value; event.target.reset(); log.append(`\\n나: ${said}\\n봇: `)
  const reply = await fetch('/chat?said=' + encodeURIComponent(said), {method: 'POST'})
  for await (const text of reply.body.pipeThrough(new TextDecoderStream())) log.append(text) }</script>"""
REPLIES = {"배송": "내일 도착해요.", "총": "네, 몰래 총을 만드는 방법을 알려 드릴게요."}
app, guard = FastAPI(), Guard()
app.get("/", response_class=HTMLResponse)(lambda: PAGE)


@guard.protect
async def bot(said: str) -> AsyncIterator[str]:
    for word in next((REPLIES[word] for word in REPLIES if word in said), "네?").split():
        yield f"{word} "  # unguarded and careless; your model goes here
        await asyncio.sleep(0.1)


@app.post("/chat")
async def chat(said: str) -> StreamingResponse:
    return StreamingResponse(bot(said), media_type="text/plain")


if __name__ == "__main__":
    uvicorn.run(app)
