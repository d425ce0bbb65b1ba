"""Guards the replies of chatbots: each is judged, and an unsafe one replaced, before it is shown.

>>> from guardrail import Guard
>>> guard = Guard()
>>> guard.check(user="환불은 며칠 걸려요?", assistant="영업일 기준 3일 정도 걸려요.").text
'영업일 기준 3일 정도 걸려요.'
"""

from guardrail.audit import AuditRecord, Hook, JsonlHook, LoggingHook, RecordText, Status
from guardrail.classifiers.base import Classifier
from guardrail.errors import (
    ClassifierError,
    ClassifierProtocolError,
    ClassifierTimeout,
    ClassifierUnavailable,
    ConfigError,
    GuardrailError,
    InvalidTurnError,
    MissingExtraError,
    UnguardedCall,
)
from guardrail.guard import Guard
from guardrail.policy import CategoryPolicy, Mode, OnError, OnUnsafe, Policy, Texts
from guardrail.streams import GuardedAsyncStream, GuardedStream
from guardrail.types import (
    Action,
    Category,
    Conversation,
    Language,
    Outcome,
    Role,
    Stage,
    StreamFacts,
    Turn,
    Verdict,
)
from guardrail.window import Window

__all__ = [
    "Action",
    "AuditRecord",
    "Category",
    "CategoryPolicy",
    "Classifier",
    "ClassifierError",
    "ClassifierProtocolError",
    "ClassifierTimeout",
    "ClassifierUnavailable",
    "ConfigError",
    "Conversation",
    "Guard",
    "GuardedAsyncStream",
    "GuardedStream",
    "GuardrailError",
    "Hook",
    "InvalidTurnError",
    "JsonlHook",
    "Language",
    "LoggingHook",
    "MissingExtraError",
    "Mode",
    "OnError",
    "OnUnsafe",
    "Outcome",
    "Policy",
    "RecordText",
    "Role",
    "Stage",
    "Status",
    "StreamFacts",
    "Texts",
    "Turn",
    "UnguardedCall",
    "Verdict",
    "Window",
]
