"""Guards the replies of chatbots: each is judged, and an unsafe one replaced, before it is shown.

>>> from guardrail import Guard
>>> guard = Guard()
>>> guard.check(user="환불은 며칠 걸려요?", assistant="영업일 기준 3일 정도 걸려요.").text
'영업일 기준 3일 정도 걸려요.'
"""

from guardrail.audit import AuditRecord, JsonlHook, LoggingHook
from guardrail.classifiers.base import Classifier
from guardrail.errors import (
    ClassifierError,
    ConfigError,
    GuardrailError,
    InvalidTurnError,
    UnguardedCall,
)
from guardrail.guard import Guard
from guardrail.policy import CategoryPolicy, Mode, OnError, OnUnsafe, Policy
from guardrail.types import Action, Category, Language, Outcome, Role, Stage, Turn, Verdict

__all__ = [
    "Action",
    "AuditRecord",
    "Category",
    "CategoryPolicy",
    "Classifier",
    "ClassifierError",
    "ConfigError",
    "Guard",
    "GuardrailError",
    "InvalidTurnError",
    "JsonlHook",
    "Language",
    "LoggingHook",
    "Mode",
    "OnError",
    "OnUnsafe",
    "Outcome",
    "Policy",
    "Role",
    "Stage",
    "Turn",
    "UnguardedCall",
    "Verdict",
]
