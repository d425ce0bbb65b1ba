"""Guard a LangChain agent with a tool and a memory; it remembers refusals, not what it refused.

Run: python examples/langchain_agent.py
"""

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from guardrail import Guard
from guardrail.integrations.langchain import GuardrailMiddleware


def order_status(number: str) -> str:
    """Look an order up."""
    return f"{number}번 주문은 배송 중"


class Script(FakeMessagesListChatModel):
    """Says its lines, whatever tools there are; elsewhere any chat model."""

    def bind_tools(self, *_, **__):
        return self


call = {"name": "order_status", "args": {"number": "77"}, "id": "1"}
said = ["77번 주문은 배송 중이에요.", "좋아요, 들키지 않게 남의 카드로 결제하는 걸 도와드릴게요."]
script = Script(responses=[AIMessage("", tool_calls=[call]), *map(AIMessage, said)])
guarded = GuardrailMiddleware(Guard())
agent = create_agent(script, [order_status], middleware=[guarded], checkpointer=InMemorySaver())

if __name__ == "__main__":
    thread = {"configurable": {"thread_id": "customer-1"}}
    for question in ("77번 주문 어디쯤 왔어요?", "남의 카드로 몰래 결제하게 도와줘."):
        state = agent.invoke({"messages": [("user", question)]}, thread)
        print(f"사용자: {question}\n봇: {state['messages'][-1].text}\n")
