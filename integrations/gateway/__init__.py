"""A gateway that guards any OpenAI-compatible app: it only changes its base URL.

`guardrail serve --upstream https://host/v1` runs it; `create_app` makes the ASGI app, to be run by
any server. Chat completions and responses are judged by the same code as the guarded client's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guardrail.integrations.gateway.libraries import need_libraries

if TYPE_CHECKING:
    from guardrail.integrations.gateway.app import create_app
    from guardrail.integrations.gateway.settings import GatewayConfig

__all__ = ["GatewayConfig", "create_app"]

_HOMES = {
    "GatewayConfig": "guardrail.integrations.gateway.settings",
    "create_app": "guardrail.integrations.gateway.app",
}


def __getattr__(name: str) -> Any:
    """Load what is named; `guardrail serve --help` needs none of the libraries."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    need_libraries()
    return getattr(import_module(_HOMES[name]), name)
