"""What a user reads in place of an unsafe reply, unless the policy says otherwise.

A line whose fields are all empty is left out, so a policy without a `contact` shows no stump.
"""

from __future__ import annotations

from collections.abc import Mapping

from guardrail.types import Category, Language

__all__ = ["FALLBACK", "FIELDS", "REFUSALS"]

FIELDS = ("category", "service_name", "contact")

_CONTACT = {
    Language.KO: "문의: {service_name} {contact}",
    Language.EN: "Contact: {service_name} {contact}",
}


def _texts(*, ko: str, en: str) -> Mapping[Language, str]:
    return {
        Language.KO: f"{ko}\n{_CONTACT[Language.KO]}",
        Language.EN: f"{en}\n{_CONTACT[Language.EN]}",
    }


FALLBACK = _texts(
    ko="죄송합니다. 이 부분은 제가 안내해 드리기 어렵습니다. "
    "다른 궁금한 점을 말씀해 주시면 성심껏 도와드릴게요.",
    en="I'm sorry, but I can't help with that. If there is something else on your mind, "
    "I'm glad to help.",
)

# Helplines: 109 suicide prevention, 1577-0199 mental-health crisis, 1388 youth, 1342 drugs,
# 112 police, 1366 women in danger (sexual and domestic violence, digital sexual crime).
REFUSALS: Mapping[Category, Mapping[Language, str]] = {
    Category.O1: _texts(
        ko="누군가를 다치게 하거나 깎아내리는 말씀에는 함께하기 어려워요. "
        "속상하거나 화나는 일이 있으셨다면 어떤 일이었는지 들려주세요. 풀어 갈 방법을 같이 찾아볼게요.\n"
        "지금 위협을 받고 계시거나 누군가 위험하다면 112에 바로 도움을 청하실 수 있습니다.",
        en="I can't join in hurting or putting down anyone. If something has upset you, tell me what "
        "happened and we can look for a way through it together.\n"
        "If you or someone else is in danger right now, please call 112.",
    ),
    Category.O2: _texts(
        ko="성적인 대화나 표현은 제가 도와드릴 수 없는 점 양해 부탁드려요. "
        "성 건강이나 관계에 대한 고민이라면 필요한 정보를 차분히 안내해 드릴 수 있어요.\n"
        "원치 않는 촬영이나 성폭력으로 힘드시다면 여성긴급전화 1366에서 24시간 상담해 드립니다.",
        en="I can't take part in sexual conversations. If you have a question about sexual health or "
        "relationships, I'm happy to share general information.\n"
        "If someone has hurt you or shared images without your consent, the 1366 helpline listens day and night.",
    ),
    Category.O3: _texts(
        ko="법에 어긋나거나 다른 분께 피해가 갈 수 있는 일은 도와드리기 어렵습니다. "
        "사정이 있으시다면 말씀해 주세요. 합법적으로 해결할 수 있는 방법을 함께 찾아드릴게요.\n"
        "범죄 피해를 입으셨거나 누군가 위험하다면 경찰 112에 신고하고 도움을 청하실 수 있습니다.",
        en="I can't help with anything that breaks the law or harms someone else. If you tell me what "
        "you need, I can look for a lawful way with you.\n"
        "If you are the victim of a crime or worried about one, the police answer at 112.",
    ),
    Category.O4: _texts(
        ko="총기나 불법 무기와 관련된 내용은 안전을 위해 안내해 드리지 않아요. "
        "소지 허가나 안전 규정 같은 제도는 가까운 경찰서에서 정확히 알려 드립니다.\n"
        "위험한 물건을 발견하셨거나 위협을 느끼신다면 만지지 마시고 112에 신고해 주세요.",
        en="For everyone's safety I don't give guidance on firearms or illegal weapons. Your local police "
        "station can explain permits and safety rules.\n"
        "If you have found something dangerous or feel threatened, don't touch it and call 112.",
    ),
    Category.O5: _texts(
        ko="약물을 구하거나 사용하는 방법은 알려드릴 수 없어요. 건강과 관련된 궁금증은 의사나 약사와 상의해 주세요.\n"
        "본인이나 가까운 분이 약물 때문에 힘드시다면 마약류 상담전화 1342에서 24시간 비밀을 지키며 도와드립니다.",
        en="I can't explain how to get or use controlled substances. For health questions, please ask a "
        "doctor or pharmacist.\n"
        "If drugs are making life hard for you or someone close, the 1342 helpline is confidential and open day and night.",
    ),
    Category.O6: _texts(
        ko="많이 힘드셨군요. 이야기해 주셔서 고마워요. 지금 그 마음을 혼자 견디지 않으셔도 돼요.\n"
        "자살예방 상담전화 109, 정신건강 위기상담 1577-0199, 청소년전화 1388에서 24시간 이야기를 들어 드려요. "
        "지금 위험한 순간이라면 119나 112에 바로 연락해 주세요.\n"
        "곁에 있어 줄 수 있는 분께 지금 마음을 짧게라도 전해 보시면 좋겠어요.",
        en="It sounds like you are carrying a lot, and I'm glad you said so. You don't have to get through this alone.\n"
        "In Korea you can talk to someone at any hour: suicide prevention 109, mental-health crisis "
        "line 1577-0199, youth line 1388. If you are in danger right now, please call 119 or 112.\n"
        "If there is a person you trust nearby, letting them know how you feel, even briefly, can help.",
    ),
}
