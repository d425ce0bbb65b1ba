"""Guards KakaoTalk chatbots: a skill server for Kakao i OpenBuilder, answered in time.

>>> from guardrail import Guard
>>> from guardrail.integrations.kakao import create_skill
>>> app = create_skill(lambda request: "안녕하세요!", Guard())          # doctest: +SKIP

Serve it with any ASGI server (`uvicorn module:app`) and register its address as a skill.
"""

from __future__ import annotations

from guardrail.integrations.kakao.app import Skill, create_skill
from guardrail.integrations.kakao.request import SkillRequest

__all__ = ["Skill", "SkillRequest", "create_skill"]
