"""Where findings go: one file of JSON lines, or a folder of Parquet files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError, needing
from guardrail.scan.files import Growing, replace, write_whole
from guardrail.scan.findings import Form
from guardrail.types import Category

__all__ = ["Sink", "form_of", "part_of", "sink_of"]


class Sink(ABC):
    """Takes findings.

    Attributes:
        patience: seconds after which what was taken is made sure of.
        weight: bytes, about, that wait in memory to be written.
    """

    patience = 10.0
    weight: int = 0

    @abstractmethod
    def add(self, body: Any) -> None:
        """Take what is known about a piece's records."""

    @abstractmethod
    def commit(self) -> int:
        """Make sure of all that was taken; return a mark up to which it then is."""

    def finish(self) -> None:  # noqa: B027 - not all have to
        """Put everything in its place; nothing comes any more."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is open."""


class _Lines(Sink):
    """The mark is the file's size; until it is complete, the file's name ends in ".part"."""

    def __init__(self, path: Path, mark: int) -> None:
        self._path = path
        self._part = part_of(path)
        is_complete = path.exists() and not self._part.exists()
        self._file = Growing(path if is_complete and mark else self._part, mark)

    def add(self, body: bytes) -> None:
        self._file.write(body)

    def commit(self) -> int:
        return self._file.commit()

    def finish(self) -> None:
        if self._part.exists():
            replace(self._part, self._path)

    def close(self) -> None:
        self._file.close()


class _Parts(Sink):
    """The mark is the number of files; each is complete from the moment it is there."""

    patience = 120.0  # a slow classifier should not end in files by the thousand

    def __init__(self, folder: Path, mark: int) -> None:
        self._folder = folder
        self._parts = mark
        self._waiting: list[Any] = []
        if not all(self._part(number).exists() for number in range(mark)):
            raise ConfigError(f"files are missing in {folder}; --overwrite begins anew")
        self._part(mark).unlink(missing_ok=True)  # written, but not made sure of

    def add(self, body: dict[str, list[Any]]) -> None:
        batch = _batch(body)
        if batch.num_rows:
            self._waiting.append(batch)
            self.weight += batch.nbytes

    def commit(self) -> int:
        if self._waiting:
            write_whole(self._part(self._parts), lambda file: _write(self._waiting, file))
            self._parts += 1
            self._waiting, self.weight = [], 0
        return self._parts

    def close(self) -> None:
        self._waiting.clear()

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number:05}.parquet"


def form_of(out: Path) -> Form:
    """Return the form that a name asks for.

    Raises:
        ConfigError: there is none of that name.
        MissingExtraError: pyarrow is needed, and not installed.
    """
    suffix = out.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return Form.JSONL
    if suffix in ("", ".parquet"):
        _arrow()
        return Form.PARQUET
    raise ConfigError(f"{out}: a file ends in .jsonl; a folder of Parquet files in nothing")


def part_of(out: Path) -> Path:
    """Return what a file of findings is called until it is complete."""
    return out.with_name(f"{out.name}.part")


def sink_of(form: Form, out: Path, mark: int) -> Sink:
    """Return what takes findings from a mark on."""
    return _Lines(out, mark) if form is Form.JSONL else _Parts(out, mark)


def _arrow() -> Any:
    with needing("scan"):
        import pyarrow
    return pyarrow


def _batch(columns: dict[str, list[Any]]) -> Any:
    arrow = _arrow()
    types = _types(arrow)
    schema = arrow.schema([(name, types.get(name, arrow.string())) for name in columns])
    return arrow.RecordBatch.from_pydict(columns, schema=schema)


def _types(arrow: Any) -> dict[str, Any]:
    return {
        "row": arrow.int64(),
        "unsafe": arrow.bool_(),
        "score": arrow.float64(),
        "categories": arrow.struct([(name.value, arrow.float32()) for name in Category]),
        "degraded": arrow.bool_(),
    }


def _write(batches: list[Any], file: Any) -> None:
    from pyarrow.parquet import write_table

    write_table(_arrow().Table.from_batches(batches), file, compression="zstd")
