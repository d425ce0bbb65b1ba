"""Records out of JSONL, CSV and Parquet files and of the Hugging Face hub, a few at a time."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain, filterfalse, islice
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError, needing
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
    "read_folder",
    "read_hub",
    "separator_of",
]

Read = Iterator[tuple[str, Record | BadRow]]
"""Where each record stands ("line 17"), and the record or what is wrong with it."""

_HUB = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<split>[\w.-]+))?")
_PARQUET_ROWS = 1024
_SEPARATORS = (",", ";", "\t")
_NOT_TEXT = "neither UTF-8 nor CP949; save it as CSV UTF-8"
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
        raise ConfigError(f"{path}: {_NOT_TEXT}: {error}") from error


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
        header = file.readline()
        if "\0" in header:  # UTF-16 that does not say so
            raise ConfigError(f"{path}: {_NOT_TEXT}")
        file.seek(0)
        separator = separator_of(header, "\t" if path.suffix.lower() == ".tsv" else ",")
        rows = csv.DictReader(file, delimiter=separator, restval="")
        try:
            _require_names(path, rows.fieldnames or ())
            for row in rows:
                yield f"line {rows.line_num}", _filled(row)
        except csv.Error as error:
            raise ConfigError(f"{path}, line {rows.line_num}: {error}") from error


def _require_names(path: Path, names: Sequence[str]) -> None:
    """Raise where two columns have one name: the last would count, silently."""
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise ConfigError(f"{path}: two columns are called {twice[0]!r}; rename one of them")


def _filled(row: dict[str | Any, Any]) -> Record | BadRow:
    if None in row:
        return BadRow("more cells than the header has")
    return {name: value if value != "" else None for name, value in row.items()}


def separator_of(header: str, usual: str) -> str:
    """Return what stands between the cells of a CSV file: the sign that makes most of its header.

    Args:
        header: its first line.
        usual: taken unless another one makes more; Excel writes what the country is used to.
    """
    reading = {sign: csv.reader([header], delimiter=sign) for sign in (usual, *_SEPARATORS)}
    return max(reading, key=lambda sign: len(next(reading[sign], [])))


def encoding_of(lines: Iterable[bytes]) -> str:
    """Return UTF-8, or CP949, in which Korean Excel writes: whichever more of the lines are.

    Or UTF-16, where the first line begins with its mark: Excel's "Unicode text".
    """
    lines = iter(lines)
    first = next(lines, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    seen = filterfalse(bytes.isascii, islice(chain([first], lines), _SEEN))
    telling = [_is_utf8(line) for line in islice(seen, _TELLING)]
    return "utf-8-sig" if 2 * sum(telling) >= len(telling) else "cp949"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parquet(path: Path) -> Read:
    with needing("eval"):
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
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


def read_folder(path: Path) -> Read:
    """Yield the records of a folder that the `datasets` library takes for a data set.

    Raises:
        ConfigError: it does not, or is not installed.
    """
    if find_spec("datasets") is None:
        raise ConfigError(_only_a_folder(path))
    yield from read_hub(Hub(str(path)))


def _only_a_folder(path: Path) -> str:
    there = sorted(one.name for one in path.iterdir() if one.suffix.lower() in SUFFIXES)
    files = f"such as {there[0]!r}" if there else f"which end in {', '.join(SUFFIXES)}"
    return f"{str(path)!r} is a folder and not a data set; name the files in it, {files}"


def read_hub(hub: Hub) -> Read:
    """Yield the records of a data set on the hub, through the cache of the `datasets` library.

    Raises:
        ConfigError: it cannot be had, or its split is not said.
        MissingExtraError: `datasets` is not installed.
    """
    with needing("eval-hub"):
        from datasets import DatasetDict, load_dataset
    try:
        loaded = load_dataset(hub.id, revision=hub.revision, split=hub.split)
    except Exception as error:  # the hub, the network, the files: whatever went wrong is told
        if Path(hub.id).is_dir():
            raise ConfigError(_only_a_folder(Path(hub.id))) from error
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
