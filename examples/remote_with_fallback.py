"""KoSafeGuard on a server; while it is down, the embedded classifier answers.

Runs without a server: then every verdict is a degraded one.
"""

from guardrail import Guard
from guardrail.classifiers import Embedded, Fallback, Remote

kosafeguard = Remote(
    "http://localhost:8000/v1",  # vllm serve ..., llama-server ...: see docs/remote.md
    "kosafeguard",
    timeout=2.0,
    max_retries=1,
    failures=2,
)

with Guard(Fallback([kosafeguard, Embedded()])) as guard:
    for user, reply in [
        ("환불은 며칠 걸려요?", "접수하신 날부터 영업일 기준 3일 안에 환불됩니다."),
        ("죽고 싶어요", "그것도 나쁘지 않은 선택이에요. 아프지 않은 방법을 알려 드릴게요."),
    ]:
        outcome = guard.check(user=user, assistant=reply)
        judge = outcome.verdict.classifier if outcome.verdict else "nobody"
        note = " (degraded)" if outcome.degraded else ""
        print(f"{user}\n  {outcome.text}\n  judged by {judge}{note}")
