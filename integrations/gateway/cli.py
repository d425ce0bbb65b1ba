"""`guardrail serve`: runs the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from pydantic import SecretStr, ValidationError

from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.guard import Guard
from guardrail.integrations.gateway.app import create_app
from guardrail.integrations.gateway.settings import GatewayConfig
from guardrail.integrations.telemetry.prometheus import PrometheusHook

__all__ = ["main", "serve"]


def serve(
    upstream: Annotated[
        str,
        typer.Option(envvar="GUARDRAIL_UPSTREAM", help="Base URL of the API behind, with its /v1."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="TOML file; otherwise GUARDRAIL_CONFIG."),
    ] = None,
    upstream_key: Annotated[
        str | None,
        typer.Option(
            envvar="GUARDRAIL_UPSTREAM_KEY", help="Sent upstream in place of the client's key."
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(envvar="GUARDRAIL_KEYS", help="Clients need one of these; may be repeated."),
    ] = None,
    upstream_timeout: Annotated[
        float, typer.Option(help="Seconds the upstream may be silent.")
    ] = 600.0,
    max_body_mib: Annotated[float, typer.Option(help="Size of a request at most.")] = 32.0,
    keep_alive: Annotated[
        float, typer.Option(help="Seconds of silence in a stream before a comment is sent.")
    ] = 10.0,
    drain: Annotated[
        float, typer.Option(help="Seconds that requests under way have at the end.")
    ] = 30.0,
) -> None:
    """Stand between an OpenAI-compatible app and its model, and guard the replies.

    Keys are better given as environment variables than on the command line, which others can read.
    """
    try:
        settings = GatewayConfig(
            upstream=upstream,
            upstream_key=SecretStr(upstream_key) if upstream_key else None,
            keys=tuple(map(SecretStr, key or ())),
            max_body=int(max_body_mib * 2**20),
            upstream_timeout=upstream_timeout,
            keep_alive=keep_alive,
            drain=drain,
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ConfigError(f"--{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None
    _run(settings, Config.load(config), host, port)


def main(arguments: Sequence[str]) -> None:
    """Run the command with the arguments that follow its name."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(serve)
    typer.main.get_command(app).main(
        list(arguments), prog_name="guardrail serve", standalone_mode=True
    )


def _run(settings: GatewayConfig, config: Config, host: str, port: int) -> None:
    figures = PrometheusHook()
    guard = Guard(
        config.classifier.build(),
        config.policy,
        hooks=[*config.audit.hooks(), figures],
        record_text=config.audit.text,
    )
    uvicorn.run(
        create_app(settings, guard, figures=figures),
        host=host,
        port=port,
        access_log=False,  # queries may hold keys
        log_level="info",
        server_header=False,
        timeout_keep_alive=75,  # longer than clients keep theirs, so that none is cut off
        timeout_graceful_shutdown=max(1, round(settings.drain)),
        ws="none",
    )
