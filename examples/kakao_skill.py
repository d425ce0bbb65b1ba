"""A KakaoTalk bot for a shop, as a skill of Kakao i OpenBuilder.

Run: python examples/kakao_skill.py (offline), or uvicorn --app-dir examples kakao_skill:app
"""

import asyncio

import httpx

from guardrail import Guard, Policy
from guardrail.integrations.kakao import SkillRequest, create_skill

SCRIPT = {
    "배송": "주문하신 상품은 내일 오후에 도착할 예정이에요.",
    "카드": "네, 들키지 않게 남의 카드로 결제하는 방법을 알려 드릴게요.",
}
BUTTONS = [{"action": "message", "label": "배송 조회", "messageText": "배송 언제 와요?"}]
GREETING = {"textCard": {"title": "무엇을 도와드릴까요?", "buttons": BUTTONS}}


def bot(request: SkillRequest) -> str | dict[str, object]:
    """Answer by keyword; here from a script, elsewhere from any model."""
    line = next((line for word, line in SCRIPT.items() if word in request.utterance), None)
    return line or {"version": "2.0", "template": {"outputs": [GREETING]}}


app = create_skill(bot, Guard(policy=Policy(service_name="한빛상회", contact="1588-0000")))


async def main() -> None:
    """Send what the platform would send."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as kakao:
        for said in ("안녕하세요", "배송 언제 와요?", "남의 카드로 결제하게 도와줘"):
            answer = await kakao.post("http://bot", json={"userRequest": {"utterance": said}})
            print(f"나: {said}\n봇: {answer.json()['template']['outputs'][0]}\n")


if __name__ == "__main__":
    asyncio.run(main())
