"""Everything that `guardrail serve` is told: by its file, the environment and its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from platformdirs import user_state_path
from pydantic import Field, ValidationError

from guardrail.audit import RecordText
from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.integrations.gateway.settings import GatewayConfig
from guardrail.integrations.records import RecordsConfig, RecordStore
from guardrail.integrations.telemetry import TelemetryConfig
from guardrail.settings import OffByFalse

__all__ = ["ServedConfig", "ServedRecords", "ServingConfig"]

_FILE = "records.db"
_OPTIONS = {"keys": "key", "max_body": "max-body-mib"}  # fields whose options have other names


class ServedConfig(GatewayConfig):
    """A gateway, and where it listens.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080


class ServedRecords(RecordsConfig):
    """Where records are kept, and how long.

    Args:
        url: the database; unless one is named, a file in the user's folder for such data.
    """

    url: str = Field(default_factory=lambda: f"sqlite:///{user_state_path('guardrail') / _FILE}")

    def open(self) -> RecordStore:
        """Return the store.

        Raises:
            ConfigError: the database, or the folder for it, cannot be opened.
        """
        if "url" not in self.model_fields_set:
            _make_folder()
        return super().open()


class ServingConfig(Config):
    """The settings of a guard, and of the gateway that it stands in.

    Args:
        gateway: what it stands before, and who may use it.
        records: where decisions are kept; None (in a file, false) keeps none.
        telemetry: where figures go, besides `/metrics`.
    """

    gateway: ServedConfig = ServedConfig()
    records: Annotated[ServedRecords | None, OffByFalse] = Field(default_factory=ServedRecords)
    telemetry: TelemetryConfig = TelemetryConfig()

    def with_options(
        self,
        gateway: Mapping[str, Any],
        *,
        records: str | Literal[False] | None = None,
        record_text: RecordText | None = None,
        opentelemetry: bool | None = None,
    ) -> Self:
        """Return the settings with a command line's options in place of their own.

        Args:
            gateway: options of the gateway.
            records: another database; False for none.
            record_text: how much text records hold.
            opentelemetry: whether traces and metrics are sent.

        Raises:
            ConfigError: an option is wrong; it is named, and its value is not repeated.
        """
        changed: dict[str, Any] = {"gateway": _gateway({**self.gateway.model_dump(), **gateway})}
        if records is not None:
            kept = self.records.model_dump() if self.records else {}
            changed["records"] = ServedRecords(**{**kept, "url": records}) if records else None
        if record_text is not None:
            changed["audit"] = self.audit.model_copy(update={"text": record_text})
        if opentelemetry is not None:
            changed["telemetry"] = self.telemetry.model_copy(
                update={"opentelemetry": opentelemetry}
            )
        return self.model_copy(update=changed)


def _gateway(values: Mapping[str, Any]) -> ServedConfig:
    try:
        return ServedConfig(**values)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = str(wrong["loc"][0])
        name = _OPTIONS.get(field, field.replace("_", "-"))
        message = wrong["msg"].removeprefix("Value error, ")
        raise ConfigError(f"--{name}: {message}") from None


def _make_folder() -> None:
    folder = user_state_path("guardrail")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"records cannot be kept in {str(folder)!r}: {error.strerror}; name a database with "
            "--records, or keep none with --no-records"
        ) from error
