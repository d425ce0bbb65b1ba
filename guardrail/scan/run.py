"""A scan from its beginning, or from where it was stopped, to its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from guardrail.config import ClassifierConfig
from guardrail.errors import ConfigError
from guardrail.evaluation.columns import Columns
from guardrail.policy import Policy
from guardrail.scan.engines import SHARD_ROWS, Engine
from guardrail.scan.judging import Job, Result, Results
from guardrail.scan.output import Names, Output, State, names_of, stored, wipe
from guardrail.scan.pieces import Place, Reading, survey
from guardrail.scan.sinks import form_of
from guardrail.scan.sources import sources
from guardrail.scan.summary import Summary

__all__ = ["Progress", "scan"]


class Progress(Protocol):
    """Is told how a scan goes."""

    def begin(self, size: int, state: State) -> None:
        """So many bytes are to be read; so much was done by an earlier run."""

    def add(self, result: Result) -> None:
        """A piece is done."""


class _Silent:
    def begin(self, size: int, state: State) -> None:
        pass

    def add(self, result: Result) -> None:
        pass


class _Crew(Protocol):
    scores: list[float]

    def results(self, readings: Sequence[Reading], place: Place) -> Results: ...

    def close(self) -> None: ...


_Hire: TypeAlias = Callable[[Job, int | None], _Crew]


def scan(
    place: str | Path,
    out: str | Path,
    *,
    classifier: ClassifierConfig | None = None,
    policy: Policy | None = None,
    columns: Columns | None = None,
    keep_text: bool = False,
    engine: Engine | str = Engine.LOCAL,
    workers: int | None = None,
    shard_rows: int = SHARD_ROWS,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Judge all turns of a file, or of the files below a folder.

    A scan that was stopped, or killed, goes on where it was when it is called again. It starts
    processes: a script calls it under `if __name__ == "__main__":`.

    Args:
        place: JSONL, CSV, TSV or Parquet; the first three may be packed (".gz").
        out: "NAME.jsonl" for one file, another name for a folder of Parquet files. Records that
            cannot be judged, the summary and the manifest go beside the file, or into the folder.
        classifier: judges; the embedded one unless given.
        policy: decides.
        columns: which column is what.
        keep_text: whether results hold the texts.
        engine: "local" for this machine, "ray" for a cluster.
        workers: processes, or actors, at most.
        shard_rows: turns of a Parquet file, about; a kill costs the work on so many, or of the
            last two minutes, at most.
        overwrite: begin anew where there are results already.
        progress: is told how it goes.

    Raises:
        ConfigError: the files, the columns or the place of the results are not right.
        ClassifierError: the classifier does not work.
    """
    out = Path(out)
    form = form_of(out)
    names = names_of(out, form)
    readings = _surveyed(Path(place), names, columns or Columns())
    job = Job(
        (classifier or ClassifierConfig()).model_dump_json(),
        (policy or Policy()).model_dump_json(),
        form,
        keep_text,
    )
    try:
        if overwrite:
            wipe(names)
        identity = _identity(job, readings)
        state = stored(names, identity)  # before anything large is loaded
        if state is not None and state.is_done:
            return Summary.of(state.tally)
        with closing(_hire(engine)(job, workers)) as crew:
            identity["scores"] = crew.scores
            state = stored(names, identity) or State()
            output = Output(names, form, identity, state, shard_rows=shard_rows)
            with closing(output):
                return _judged(crew, readings, output, progress or _Silent())
    except OSError as error:
        raise ConfigError(f"cannot write {str(out)!r}: {error.strerror or error}") from error


def _judged(
    crew: _Crew, readings: Sequence[Reading], output: Output, progress: Progress
) -> Summary:
    progress.begin(sum(reading.source.size for reading in readings), output.state)
    try:
        with closing(crew.results(readings, output.state.place)) as results:
            for result in results:
                output.add(result)
                progress.add(result)
    finally:
        output.stop()  # an interrupt loses nothing
    summary = Summary.of(output.state.tally)
    output.finish(summary.to_json())
    return summary


def _surveyed(place: Path, names: Names, columns: Columns) -> list[Reading]:
    if names.found.resolve().is_relative_to(place.resolve()):
        raise ConfigError(
            f"{str(names.found)!r} lies in what is scanned; name a place outside of it"
        )
    found = sources(place)
    names.refuse_as_input(source.path for source in found)
    readings = [survey(source, columns) for source in found]
    if all(reading.fault for reading in readings):
        first = readings[0]
        raise ConfigError(f"cannot read {str(first.source.path)!r}: {first.fault}")
    return readings


def _identity(job: Job, readings: Sequence[Reading]) -> dict[str, Any]:
    """Return what a scan is told apart by; digests, since settings may hold a secret."""
    files = [(one.source.name, one.source.size, one.source.modified) for one in readings]
    return {
        "files": _digest(files),
        "columns": _digest([repr(one.columns) for one in readings]),
        "classifier": _digest(job.classifier),
        "policy": _digest(job.policy),
        "text": job.keep_text,
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _hire(engine: Engine | str) -> _Hire:
    if Engine(engine) is Engine.RAY:
        from guardrail.scan.cluster import Cluster

        return Cluster
    from guardrail.scan.local import Local

    return Local
