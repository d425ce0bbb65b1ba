"""A finished evaluation, in the forms it is shown and written in."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardrail.errors import ConfigError
from guardrail.evaluation.results import Findings

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Report", "require_form"]

_FORMS = (".html", ".json", ".md")


def require_form(path: str | Path) -> None:
    """Raise unless a path's name ends in a form that reports are written in.

    Raises:
        ConfigError: says which there are.
    """
    if Path(path).suffix.lower() not in _FORMS:
        raise ConfigError(f"a report is {', '.join(_FORMS)}, not {str(path)!r}")


@dataclass(frozen=True)
class Report(Findings):
    """An evaluation of one or more candidates on the same rows; see `Findings` for its fields."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, as they stand in the JSON form."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    def to_markdown(self) -> str:
        """Return the tables as Markdown, ready for a model card."""
        from guardrail.evaluation.markdown import markdown

        return markdown(self)

    def to_html(self) -> str:
        """Return one page with plots that needs no network.

        Raises:
            MissingExtraError: a library is not installed.
        """
        from guardrail.evaluation.html import html

        return html(self)

    def show(self, console: Console) -> None:
        """Print the tables to a terminal."""
        from guardrail.evaluation.terminal import show

        show(self, console)

    def save(self, path: str | Path) -> None:
        """Write the form that the name ends in: .html, .json or .md.

        Raises:
            ConfigError: it ends in something else, or cannot be written.
        """
        require_form(path)
        forms = {".html": self.to_html, ".json": self.to_json, ".md": self.to_markdown}
        text = forms[Path(path).suffix.lower()]()
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: no NaN, and no more digits than mean something."""
    match value:
        case dict():
            return {str(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case float():
            return round(value, 6) if math.isfinite(value) else None
        case _:
            return value
