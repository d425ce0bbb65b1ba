"""Records out of JSONL, CSV and Parquet files and of the Hugging Face hub, a few at a time."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import filterfalse, islice
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError, MissingExtraError
from guardrail.evaluation.columns import Columns, Record
from guardrail.evaluation.rows import BadRow

__all__ = [
    "PRESETS",
    "SUFFIXES",
    "Hub",
    "Preset",
    "Read",
    "encoding_of",
    "hub_id",
    "parsed",
    "read_file",
    "read_hub",
]

Read = Iterator[tuple[str, Record | BadRow]]
"""Where each record stands ("line 17"), and the record or what is wrong with it."""

_HUB = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<split>[\w.-]+))?")
_PARQUET_ROWS = 1024
_SEEN, _TELLING = 1_000_000, 10_000  # lines, and those not all ASCII, that tell an encoding


@dataclass(frozen=True, slots=True)
class Hub:
    """A data set on the Hugging Face hub.

    Args:
        id: owner/name, or the path of a folder.
        revision: branch, tag or commit.
        split: which part of it.
    """

    id: str
    revision: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A data set that is known by a name of its own."""

    hub: Hub
    columns: Columns


PRESETS: Mapping[str, Preset] = {
    "kor-ethical-qa": Preset(
        Hub("MrBananaHuman/kor_ethical_question_answer", split="train"),
        Columns(user="question", assistant="answer", unsafe="label", unsafe_when=("1",)),
    ),
    "pku-safe-rlhf": Preset(Hub("heegyu/PKU-SafeRLHF-ko", split="test"), Columns()),
}
"""The two sets of KoSafeGuard's card, by the card's names."""


def hub_id(place: str) -> Hub | None:
    """Return the hub's data set that "owner/name@revision:split" names, if it has that form."""
    found = _HUB.fullmatch(place)
    return Hub(found["id"], found["revision"], found["split"]) if found else None


def read_file(path: Path) -> Read:
    """Yield a file's records.

    Raises:
        ConfigError: the file cannot be read or is of no known kind.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(f"{path}: the name must end in one of {', '.join(SUFFIXES)}")
    try:
        yield from reader(path)
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: neither UTF-8 nor CP949: {error}") from error


def _jsonl(path: Path) -> Read:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"line {number}", parsed(line)


def parsed(line: bytes) -> Record | BadRow:
    """Return the object that a line of JSONL holds, or what is wrong with it."""
    try:
        record = json.loads(line.removeprefix(codecs.BOM_UTF8))
    except (ValueError, RecursionError):
        return BadRow("not JSON")
    return record if isinstance(record, dict) else BadRow("not a JSON object")


def _csv(path: Path) -> Read:
    csv.field_size_limit(2**31 - 1)  # replies are long; the default stops at 128 KiB
    with path.open("rb") as lines:
        encoding = encoding_of(lines)
    with path.open(encoding=encoding, newline="") as file:
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        rows = csv.DictReader(file, delimiter=separator, restval="")
        try:
            for row in rows:
                yield f"line {rows.line_num}", _filled(row)
        except csv.Error as error:
            raise ConfigError(f"{path}, line {rows.line_num}: {error}") from error


def _filled(row: dict[str | Any, Any]) -> Record | BadRow:
    if None in row:
        return BadRow("more cells than the header has")
    return {name: value if value != "" else None for name, value in row.items()}


def encoding_of(lines: Iterable[bytes]) -> str:
    """Return UTF-8, or CP949, in which Korean Excel writes: whichever more of the lines are."""
    seen = filterfalse(bytes.isascii, islice(lines, _SEEN))
    telling = [_is_utf8(line) for line in islice(seen, _TELLING)]
    return "utf-8-sig" if 2 * sum(telling) >= len(telling) else "cp949"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parquet(path: Path) -> Read:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise MissingExtraError(library="pyarrow", extra="eval") from error
    try:
        number = 0
        with ParquetFile(path) as file:
            for batch in file.iter_batches(_PARQUET_ROWS):
                for record in batch.to_pylist():
                    number += 1
                    yield f"row {number}", record
    except ArrowException as error:
        raise ConfigError(f"{path}: {error}") from error


_READERS: Mapping[str, Callable[[Path], Read]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}
SUFFIXES = tuple(_READERS)


def read_hub(hub: Hub) -> Read:
    """Yield the records of a data set on the hub, through the cache of the `datasets` library.

    Raises:
        ConfigError: it cannot be had, or its split is not said.
        MissingExtraError: `datasets` is not installed.
    """
    try:
        from datasets import DatasetDict, load_dataset
    except ModuleNotFoundError as error:
        raise MissingExtraError(library="datasets", extra="eval-hub") from error
    try:
        loaded = load_dataset(hub.id, revision=hub.revision, split=hub.split)
    except Exception as error:  # the hub, the network, the files: whatever went wrong is told
        raise ConfigError(
            f"cannot get {hub.id!r} from the Hugging Face hub: {error}; without a network, "
            "download it elsewhere and name the file"
        ) from error
    if isinstance(loaded, DatasetDict):
        if len(loaded) > 1:
            splits = ", ".join(loaded)
            raise ConfigError(f"{hub.id!r} has the splits {splits}; add :SPLIT to its name")
        (loaded,) = loaded.values()
    for number, record in enumerate(loaded, start=1):
        yield f"row {number}", record
