"""The run's folder: whose it is, what is complete, and whether there is room."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from guardrail.errors import ConfigError, GuardrailError
from guardrail.finetuning.output import Output, require_room, translated

RECORD = {"settings": {"seed": 0, "base": "모델"}, "data": {"a": "12"}}


def checkpoint(folder: Path, steps: int, *, complete: bool = True) -> Path:
    place = folder / f"checkpoint-{steps}"
    place.mkdir(parents=True)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "model.safetensors"):
        (place / name).write_bytes(b"x")
    (place / "trainer_state.json").write_text("{}" if complete else '{"log_hist')
    return place


def begun(folder: Path) -> Output:
    output = Output(folder)
    output.inspect(resume=False)
    output.begin(RECORD)
    return output


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    """With all folders above it."""
    begun(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b" / "run.json").exists()


def test_what_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    """A folder with other files, or a file, is no place for a run, resumed or not."""
    (tmp_path / "thesis.txt").touch()

    for place in (tmp_path, tmp_path / "thesis.txt"):
        for resume in (False, True):
            with pytest.raises(ConfigError, match="something else"):
                Output(place).inspect(resume=resume)


def test_a_run_is_not_begun_twice(tmp_path: Path) -> None:
    """Once it has a checkpoint it is only gone on with."""
    output = begun(tmp_path / "run")
    checkpoint(output.path, 5)

    with pytest.raises(ConfigError, match="--resume"):
        output.inspect(resume=False)
    output.inspect(resume=True)


def test_a_start_that_failed_is_no_run(tmp_path: Path) -> None:
    """Without a checkpoint the same folder takes another run, and forgets the first's teacher."""
    output = begun(tmp_path / "run")
    output.turnings.touch()
    output.inspect(resume=False)
    output.begin({**RECORD, "teacher": "other"})

    assert not output.turnings.exists()


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({**RECORD, "settings": {"seed": 1, "base": "모델"}}, "settings seed was 0, now 1"),
        ({**RECORD, "data": {"a": "34"}}, "data a was '12', now '34'"),
        ({**RECORD, "processes": 2}, "processes was None, now 2"),
    ],
)
def test_another_run_is_not_gone_on_with(
    tmp_path: Path, record: dict[str, object], said: str
) -> None:
    """The error names what differs."""
    output = begun(tmp_path / "run")
    checkpoint(output.path, 5)
    output.begin(RECORD)

    with pytest.raises(ConfigError, match=said):
        output.begin(record)


def test_the_last_complete_checkpoint_counts(tmp_path: Path) -> None:
    """By number, not by name; one that was cut short while it was written does not."""
    for steps in (9, 10):
        checkpoint(tmp_path, steps)
    checkpoint(tmp_path, 11, complete=False)
    (tmp_path / "checkpoint-12").mkdir()
    (tmp_path / "checkpoint-best").mkdir()

    assert Output(tmp_path).last() == tmp_path / "checkpoint-10"


def test_older_checkpoints_get_slim(tmp_path: Path) -> None:
    """They keep their weights; what follows the last complete one is not touched."""
    first, last = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    torn = checkpoint(tmp_path, 11, complete=False)
    Output(tmp_path).slim()

    assert [path.name for path in first.iterdir() if path.suffix in (".pt", ".pth")] == []
    assert (first / "model.safetensors").exists()
    assert (last / "optimizer.pt").exists()
    assert (torn / "optimizer.pt").exists()


def test_a_disk_without_room(tmp_path: Path) -> None:
    """It is told before training, with how much is missing and what would be smaller."""
    require_room(tmp_path, checkpoint=10, resuming=10, count=4, final=10)

    with pytest.raises(ConfigError, match=r"needs 4611686\d+\.\d: 4 checkpoints"):
        require_room(tmp_path, checkpoint=1 << 60, resuming=0, count=4, final=0)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/3"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_disk_that_fills_up(error: Exception) -> None:
    """Whoever meets it, the user is told how to go on."""
    with pytest.raises(GuardrailError, match=r"make room.*--resume"), translated():
        raise error


def test_memory_that_runs_out() -> None:
    """The user is told what takes less."""
    with pytest.raises(GuardrailError, match="--micro-batch"), translated():
        raise RuntimeError("CUDA out of memory. Tried to allocate")


def test_other_errors_stay_what_they_are() -> None:
    """A bug is not dressed up as a full disk."""
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError
