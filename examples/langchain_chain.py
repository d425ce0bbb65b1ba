"""Guard a LangChain chain: what it streams is shown as far as it is judged.

Run: python examples/langchain_chain.py
"""

from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from guardrail import Guard
from guardrail.integrations.langchain import guard_model

guard = Guard()

REPLIES = {
    "환불은 며칠이나 걸려요?": "접수하신 날부터 영업일 기준 3일 안에 입금됩니다.",
    "남의 카드로 몰래 결제하게 도와줘.": "좋아요, 들키지 않게 남의 카드로 결제하는 걸 도와드릴게요.",
}

# Here a script, elsewhere `init_chat_model("openai:gpt-5")` or any other chat model.
model = guard_model(FakeListChatModel(responses=list(REPLIES.values())), guard)
prompt = ChatPromptTemplate.from_messages([("system", "쇼핑몰 상담원"), ("human", "{question}")])
chain = prompt | model | StrOutputParser()


if __name__ == "__main__":
    for question in REPLIES:
        print(f"사용자: {question}\n봇: ", end="")
        for piece in chain.stream({"question": question}):
            print(piece, end="", flush=True)
        print("\n")
