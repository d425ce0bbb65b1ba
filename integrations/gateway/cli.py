"""`guardrail serve`: runs the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from guardrail.audit import RecordText
from guardrail.integrations.gateway.libraries import need_libraries

__all__ = ["main", "serve"]


def serve(
    upstream: Annotated[
        str | None,
        typer.Option(envvar="GUARDRAIL_UPSTREAM", help="Base URL of the API behind, with its /v1."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="8080; 0 takes a free one.")] = None,
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
    page: Annotated[bool | None, typer.Option(help="Show the page at /; it is shown.")] = None,
    page_token: Annotated[
        str | None,
        typer.Option(
            envvar="GUARDRAIL_PAGE_TOKEN",
            help="Opens the page; one is made up where it is needed and none is given.",
        ),
    ] = None,
    records: Annotated[
        str | None,
        typer.Option(help="Database: sqlite:///FILE or postgresql://USER@HOST/NAME."),
    ] = None,
    no_records: Annotated[bool, typer.Option("--no-records", help="Keep no records.")] = False,
    record_text: Annotated[
        RecordText | None, typer.Option(help="How much text records hold; none.")
    ] = None,
    opentelemetry: Annotated[
        bool | None,
        typer.Option(
            "--opentelemetry", help="Send traces and metrics to where OTEL_* variables say."
        ),
    ] = None,
    upstream_timeout: Annotated[
        float | None, typer.Option(help="Seconds the upstream may be silent; 600.")
    ] = None,
    max_body_mib: Annotated[
        float | None, typer.Option(help="Size of a request at most; 32.")
    ] = None,
    keep_alive: Annotated[
        float | None,
        typer.Option(help="Seconds of silence in a stream before a comment is sent; 10."),
    ] = None,
    drain: Annotated[
        float | None, typer.Option(help="Seconds that requests under way have at the end; 30.")
    ] = None,
) -> None:
    """Stand between an OpenAI-compatible app and its model, and guard the replies.

    What is not said here comes from the file's tables gateway, records and telemetry, and from
    variables such as GUARDRAIL_RECORDS__KEEP_DAYS. Keys are better given as environment variables
    than on the command line, which others can read.
    """
    need_libraries()
    from guardrail.integrations.gateway.running import run
    from guardrail.integrations.gateway.serving import ServingConfig

    given: dict[str, Any] = {
        "upstream": upstream,
        "upstream_key": upstream_key or None,
        "keys": key or None,
        "host": host,
        "port": port,
        "page": page,
        "page_token": page_token or None,
        "upstream_timeout": upstream_timeout,
        "max_body": None if max_body_mib is None else int(max_body_mib * 2**20),
        "keep_alive": keep_alive,
        "drain": drain,
    }
    settings = ServingConfig.load(config).with_options(
        {name: value for name, value in given.items() if value is not None},
        records=False if no_records else records,
        record_text=record_text,
        opentelemetry=opentelemetry,
    )
    run(settings)


def main(arguments: Sequence[str]) -> None:
    """Run the command with the arguments that follow its name."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(serve)
    typer.main.get_command(app).main(
        list(arguments), prog_name="guardrail serve", standalone_mode=True
    )
