"""What crosses the wire to OpenAI and its many likes, as a guard sees it: JSON in, JSON out.

It knows no HTTP library and no SDK, and the client's adapter and the gateway both go through it: a
call is read from its method, path and body; its reply, whole or streamed, is then read as texts to
judge, and written as what the caller may see.
"""

from guardrail.integrations.openai_wire.calls import Call
from guardrail.integrations.openai_wire.guarding import (
    UnguardedPath,
    aanswer,
    afailed,
    answer,
    arefusal,
    failed,
    is_judged,
    read_call,
    refusal,
    refused,
)
from guardrail.integrations.openai_wire.reading import Unreadable
from guardrail.integrations.openai_wire.streaming import (
    AsyncBytes,
    Bytes,
    GuardedAsyncBytes,
    GuardedBytes,
    Tap,
)

__all__ = [
    "AsyncBytes",
    "Bytes",
    "Call",
    "GuardedAsyncBytes",
    "GuardedBytes",
    "Tap",
    "UnguardedPath",
    "Unreadable",
    "aanswer",
    "afailed",
    "answer",
    "arefusal",
    "failed",
    "is_judged",
    "read_call",
    "refusal",
    "refused",
]
