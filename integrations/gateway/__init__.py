"""A gateway that guards any OpenAI-compatible app: it only changes its base URL.

`guardrail serve --upstream https://host/v1` runs it; `create_app` makes the ASGI app, to be run by
any server. Chat completions and responses are judged by the same code as the guarded client's.
"""

from __future__ import annotations

from guardrail.errors import MissingExtraError

try:
    import aiohttp  # noqa: F401
    import fastapi  # noqa: F401
    import prometheus_client  # noqa: F401
    import sqlalchemy  # noqa: F401
    import uvicorn  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError(library=error.name or "fastapi", extra="server") from error

from guardrail.integrations.gateway.app import create_app
from guardrail.integrations.gateway.settings import GatewayConfig

__all__ = ["GatewayConfig", "create_app"]
