"""The folder of a run: whose it is, what of it is complete, and whether there is room for it."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError, GuardrailError, causes

__all__ = ["Output", "require_room", "translated"]

_RECORD = "run.json"
_STATE = "trainer_state.json"  # the Trainer writes it last, so with it a checkpoint is complete
_FOR_RESUMING = ("optimizer.pt", "scheduler.pt", "scaler.pt")
_SPARE = 1 << 28  # bytes for logs, plots and tokenizers


class Output:
    """The folder that a run writes into.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def inspect(self, *, resume: bool) -> None:
        """Refuse a folder that holds something else, before anything expensive begins.

        Args:
            resume: go on with a run that stands there.

        Raises:
            ConfigError: it does, or it holds a run that is not to be gone on with.
        """
        found = self._record()
        if found is not None and self._has_begun() and not resume:
            raise ConfigError(
                f"{str(self.path)!r} holds a run already; go on with it by --resume, or choose "
                "another --out"
            )
        exists = self.path.exists() or self.path.is_symlink()
        if found is None and exists and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ConfigError(f"{str(self.path)!r} holds something else; choose another --out")

    def begin(self, record: Mapping[str, Any]) -> None:
        """Make the folder this run's; `record` is what makes another call the same run.

        Raises:
            ConfigError: the run that it holds was another one.
        """
        found = self._record()
        if found is not None and self._has_begun():
            _require_same(found, record)
        elif found != json.loads(json.dumps(record)):
            self.turnings.unlink(missing_ok=True)
            self._write(record)

    @property
    def turnings(self) -> Path:
        """Where a teacher's answers are kept."""
        return self.path / "turnings.json"

    def _has_begun(self) -> bool:
        return any(self.path.glob("checkpoint-*"))

    def _record(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.path / _RECORD).read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read {self.path / _RECORD}: {error}") from error
        return found

    def _write(self, record: Mapping[str, Any]) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            text = json.dumps(record, indent=1, ensure_ascii=False)
            (self.path / _RECORD).write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write in {str(self.path)!r}: {error.strerror}") from error

    def checkpoint(self, steps: int) -> Path:
        """Return the folder of a checkpoint."""
        return self.path / f"checkpoint-{steps}"

    def last(self) -> Path | None:
        """Return the last checkpoint from which the run can go on, if there is one.

        One that was being written when the run was killed is not complete, and not it.
        """
        there = [one for one in self.path.glob("checkpoint-*") if _is_complete(one)]
        return max(there, key=_steps, default=None)

    def slim(self) -> None:
        """Drop from all checkpoints but the last what only going on from them needs."""
        last = self.last()
        for one in self.path.glob("checkpoint-*"):
            if last is not None and one != last and _steps(one) < _steps(last):
                for path in [*(one / name for name in _FOR_RESUMING), *one.glob("rng_state*.pth")]:
                    path.unlink(missing_ok=True)


def _require_same(found: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    for name, value in json.loads(json.dumps(record)).items():
        if found.get(name) != value:
            said = _difference(found.get(name), value)
            raise ConfigError(
                f"the run to go on with was another one: {name} {said}; give the same arguments "
                "as at first, or choose another --out"
            )


def _difference(found: Any, value: Any) -> str:
    if isinstance(found, dict) and isinstance(value, dict):
        for name in {**found, **value}:
            if found.get(name) != value.get(name):
                return f"{name} {_difference(found.get(name), value.get(name))}"
    return f"was {found!r:.80}, now {value!r:.80}"


def _steps(checkpoint: Path) -> int:
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _STATE).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return (checkpoint / "scheduler.pt").is_file() and _steps(checkpoint) >= 0


def require_room(path: Path, *, checkpoint: int, resuming: int, count: int, final: int) -> None:
    """Raise unless a disk has room for a run.

    Args:
        path: of the run's folder.
        checkpoint: bytes of the weights of one.
        resuming: bytes that going on from one needs beside them; two have them at a time.
        count: how many checkpoints are to come.
        final: bytes of the model that is stored at the end.

    Raises:
        ConfigError: says how much is missing.
    """
    needed = checkpoint * count + 2 * resuming + final + _SPARE
    free = shutil.disk_usage(path).free
    if free < needed:
        raise ConfigError(
            f"{str(path)!r} has {free / 1e9:.1f} GB of room and the run needs {needed / 1e9:.1f}: "
            f"{count} checkpoints of {checkpoint / 1e9:.1f} GB, {2 * resuming / 1e9:.1f} to go on "
            f"from the last, {final / 1e9:.1f} for the model; choose another disk, a larger "
            "--every, or --method lora"
        )


@contextmanager
def translated() -> Iterator[None]:
    """Say what to do when the disk is full or the memory runs out in the middle of a run.

    Raises:
        GuardrailError: in place of what torch and the libraries around it raise.
    """
    from guardrail.classifiers.kosafeguard.failures import is_out_of_memory

    try:
        yield
    except Exception as error:
        if _is_disk_full(error):
            raise GuardrailError(
                "the disk is full; make room, and the same command with --resume goes on from "
                "the last complete checkpoint"
            ) from error
        if is_out_of_memory(error):
            raise GuardrailError(
                "no memory left; lower --micro-batch or --max-tokens, add --checkpointing, or use "
                "--method qlora; --resume goes on only with the same arguments, so choose another "
                "--out"
            ) from error
        raise


_DISK_WORDS = ("no space left", "file too large", "disk quota", "pytorchstreamwriter failed")


def _is_disk_full(error: BaseException) -> bool:
    return any(
        (isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT))
        or any(words in str(one).lower() for words in _DISK_WORDS)
        for one in causes(error)
    )
