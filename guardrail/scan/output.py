"""What a scan writes, and how far it is: one small file says what is sure.

The manifest is replaced in one step, and only after all that it speaks of is on disk. What was
written after it is cut away when the scan goes on, so that every record is there once.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError
from guardrail.scan.files import Growing, refuse_written, write_whole
from guardrail.scan.findings import Form
from guardrail.scan.judging import Result, Tally
from guardrail.scan.pieces import Place
from guardrail.scan.sinks import Sink, part_of, sink_of

__all__ = ["Names", "Output", "State", "names_of", "stored", "wipe"]

_VERSION = 1
_BAD = "bad_rows.jsonl"
_BESIDE = ("manifest.json", _BAD, "summary.json")
_DRIFT = 0.02  # by which a score may differ: other machines and batches round otherwise
_BYTES = 64 << 20  # in memory at most


@dataclass(frozen=True, slots=True)
class Names:
    """The files of a scan's results.

    Args:
        found: what is known about turns: a file, or a folder.
        manifest: what was scanned, with what, and how far it is.
        bad: the records that were set aside.
        summary: counts; there once all is done.
        part: what the file is called until it is complete; a folder has no such name.
    """

    found: Path
    manifest: Path
    bad: Path
    summary: Path
    part: Path | None = None

    @property
    def beside(self) -> list[Path]:
        """All files but `found` and the manifest, which says whose they are."""
        return [path for path in (self.part, self.bad, self.summary) if path is not None]

    def refuse_as_input(self, paths: Iterable[Path]) -> None:
        """Raise if one of these files would be written, or removed.

        Raises:
            ConfigError: one would.
        """
        written = [path.resolve() for path in (self.found, self.manifest, *self.beside)]
        for path in paths:
            if any(path.resolve().is_relative_to(one) for one in written):
                raise ConfigError(
                    f"{str(path)!r} is scanned, and results would be written over it; name "
                    "another place for them"
                )


@dataclass(frozen=True, slots=True)
class State:
    """How far a scan is, for sure.

    Args:
        place: where it goes on.
        rows: turns that are judged.
        mark: of the sink.
        bad: bytes of the file of bad records.
        tally: counts so far.
        is_done: whether nothing is left.
    """

    place: Place = field(default_factory=Place)
    rows: int = 0
    mark: int = 0
    bad: int = 0
    tally: Tally = field(default_factory=Counter)
    is_done: bool = False


def names_of(out: Path, form: Form) -> Names:
    """Return where results go."""
    if form is Form.JSONL:
        manifest, bad, summary = (out.with_name(f"{out.stem}.{name}") for name in _BESIDE)
        return Names(out, manifest, bad, summary, part_of(out))
    return Names(out, *(out / f"_{name}" for name in _BESIDE))


def stored(names: Names, identity: dict[str, Any]) -> State | None:
    """Return how far an earlier scan of the same came; None where there was none.

    Raises:
        ConfigError: the results there are another scan's, or no scan's.
    """
    try:
        said = json.loads(names.manifest.read_bytes())
    except FileNotFoundError:
        _refuse_foreign(names)
        return None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ConfigError(f"{names.manifest}: not a manifest; --overwrite begins anew")
    if said.get("version") != _VERSION:
        raise ConfigError(f"{names.manifest}: of another version; --overwrite begins anew")
    _refuse_other(names, said["identity"], identity)
    done = said["done"]
    tally = Counter({tuple(key): count for *key, count in done.pop("tally")})
    return State(Place(**done.pop("place")), tally=tally, **done)


def wipe(names: Names) -> None:
    """Remove a scan's results, and nothing else.

    Raises:
        ConfigError: what is there is no scan's.
    """
    refuse_written(names.bad)
    if not names.manifest.exists():
        _refuse_foreign_folder(names)
        _refuse_foreign_beside(names)
    if names.found.is_dir():
        for part in names.found.glob("part-*.parquet"):
            part.unlink()
    else:
        names.found.unlink(missing_ok=True)
    for path in (*names.beside, names.manifest):  # which says until the end that all is a scan's
        path.unlink(missing_ok=True)


class Output:
    """Takes results in the order of the records.

    Args:
        names: where they go.
        form: what is written.
        identity: what was scanned, with what.
        state: how far it is.
        shard_rows: turns after which they are made sure of, about.
    """

    def __init__(
        self,
        names: Names,
        form: Form,
        identity: dict[str, Any],
        state: State,
        *,
        shard_rows: int,
    ) -> None:
        names.manifest.parent.mkdir(parents=True, exist_ok=True)
        self.state = state
        self._names = names
        self._identity = identity
        self._shard_rows = shard_rows
        self._bad = Growing(names.bad, state.bad)
        try:
            self._sink: Sink = sink_of(form, names.found, state.mark)
            self._begin(state.place)
            self._save(state)
        except BaseException:
            self._bad.close()
            raise

    def add(self, result: Result) -> None:
        """Take the next result."""
        self._is_whole = False
        self._sink.add(result.body)
        self._bad.write(result.bad)
        self._tally.update(result.tally)
        self._rows += result.rows
        self._place = result.after
        self._is_whole = True
        waited = time.monotonic() - self._since
        is_much = self._rows >= self._shard_rows or self._sink.weight >= _BYTES
        if is_much or waited >= self._sink.patience:
            self._commit()

    def stop(self) -> None:
        """Make sure of all that was taken, unless an interrupt came while it was."""
        if self._is_whole:
            self._commit()

    def _commit(self) -> None:
        self._is_whole = False
        before = self.state
        self._save(
            State(
                self._place,
                before.rows + self._rows,
                self._sink.commit(),
                self._bad.commit(),
                before.tally + self._tally,
            )
        )
        self._begin(self._place)

    def finish(self, summary: str) -> None:
        """Put everything in its place."""
        write_whole(self._names.summary, lambda file: file.write(summary.encode()))
        self._sink.finish()
        self._save(replace(self.state, is_done=True))

    def close(self) -> None:
        """Give back what is open."""
        self._sink.close()
        self._bad.close()

    def _begin(self, place: Place) -> None:
        self._tally: Tally = Counter()
        self._rows = 0
        self._place = place
        self._since = time.monotonic()
        self._is_whole = True

    def _save(self, state: State) -> None:
        plain = asdict(replace(state, tally=Counter()))
        done = {**plain, "tally": [[*key, count] for key, count in state.tally.items()]}
        said = {"version": _VERSION, "identity": self._identity, "done": done}
        text = json.dumps(said, ensure_ascii=False, indent=1)
        write_whole(self._names.manifest, lambda file: file.write(text.encode()))
        self.state = state


def _refuse_foreign(names: Names) -> None:
    _refuse_foreign_folder(names)
    _refuse_foreign_beside(names)
    if names.found.is_file():
        raise ConfigError(f"{names.found} exists, and is no scan's; --overwrite replaces it")


def _refuse_foreign_folder(names: Names) -> None:
    found = names.found
    if found.is_dir() and any(map(_is_foreign, found.iterdir())):
        raise ConfigError(
            f"{found} holds something else than a scan's results; name another folder"
        )


def _refuse_foreign_beside(names: Names) -> None:
    for path in names.beside:
        if path.exists() and not _is_begun(path):
            raise ConfigError(f"{path} exists, and is no scan's; move it, or name another place")


def _is_foreign(path: Path) -> bool:
    return not (path.name.startswith(".") or (path.name == f"_{_BAD}" and _is_begun(path)))


def _is_begun(path: Path) -> bool:
    """Whether a file is such as a scan leaves that is killed before its manifest is there."""
    return path.is_file() and path.stat().st_size == 0


def _refuse_other(names: Names, before: dict[str, Any], now: dict[str, Any]) -> None:
    for what, value in now.items():
        if not _same(before.get(what), value):
            raise ConfigError(
                f"{names.found} holds results of another scan: {_DIFFERENT[what]}; name another "
                "place, or --overwrite begins anew"
            )


def _same(before: Any, now: Any) -> bool:
    if not (isinstance(before, list) and len(before) == len(now)):
        return bool(before == now)
    return all(abs(one - other) <= _DRIFT for one, other in zip(before, now, strict=True))


_DIFFERENT = {
    "files": "the files that are scanned have changed",
    "classifier": "the classifier is another one",
    "scores": "the classifier answers otherwise than it did",
    "policy": "the policy is another one",
    "columns": "other columns are read",
    "text": "texts are kept in one of them only",
}
