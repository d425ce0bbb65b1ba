"""Judges pieces on a Ray cluster; the only module here that knows Ray.

Ray Data's own readers stop at a bad row, or leave it out in silence; so files are read by the same
code as on one machine, each by a task, and their pieces judged by a pool of actors.
"""

from __future__ import annotations

import logging
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from guardrail.errors import ClassifierUnavailable, GuardrailError, needing
from guardrail.scan.judging import Job, Judge, Result, Results, probe
from guardrail.scan.pieces import Place, Reading, pieces

with needing("ray"):
    import ray
    from ray.data import ActorPoolStrategy, DataContext, Dataset, ExecutionOptions
    from ray.exceptions import RayError

__all__ = ["Cluster"]

T = TypeVar("T")
_BLOCK = 4 << 20  # bytes of pieces that one actor takes at a time


class Cluster:
    """Judges on the cluster at `RAY_ADDRESS`, or on a Ray of this machine.

    The files must lie where every node of the cluster reads them. Classifiers that hold a device
    get a GPU each, where the cluster has any.

    Args:
        job: what to do.
        workers: actors at most; as many as the cluster has room for unless given.

    Attributes:
        scores: what the classifier says about a few turns.

    Raises:
        ClassifierError: the classifier does not work there.
    """

    def __init__(self, job: Job, workers: int | None = None) -> None:
        self._starts = not ray.is_initialized()
        if self._starts:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        self._job = job
        try:
            room = _room()
            gpu = 1 if room["GPU"] else 0
            probed = ray.remote(num_gpus=gpu)(_probed).remote(job)
            self.scores, scales = _or_raise(ray.get(probed))
        except RayError as error:
            self.close()
            raise _told(error) from error
        except GuardrailError:
            self.close()
            raise
        self._device = "CPU" if scales or not gpu else "GPU"
        self._actors = workers or (room[self._device] if scales or gpu else 1)

    def results(self, readings: Sequence[Reading], place: Place) -> Results:
        """Yield the results of all pieces from a place on, in their order."""
        try:
            with _quiet():
                for row in self._planned(readings, place).iter_rows():
                    yield _or_raise(pickle.loads(row["result"]))
        except RayError as error:
            raise _told(error) from error

    def close(self) -> None:
        """Let go of the cluster, where it was not in use before."""
        if self._starts:
            ray.shutdown()

    def _planned(self, readings: Sequence[Reading], place: Place) -> Dataset:
        files = [{"file": file} for file in range(place.file, len(readings))]
        context = DataContext.get_current().copy()
        context.execution_options = ExecutionOptions(preserve_order=True)
        context.target_max_block_size = _BLOCK
        context.enable_progress_bars = False
        with DataContext.current(context):
            named = ray.data.from_items(files, override_num_blocks=max(1, len(files)))
            read = named.flat_map(_Pieces(readings, place), num_cpus=0)
            return read.map_batches(
                _Judging,
                fn_constructor_args=(self._job,),
                batch_size=1,
                compute=ActorPoolStrategy(min_size=1, max_size=self._actors),
                num_cpus=1 if self._device == "CPU" else 0,
                num_gpus=1 if self._device == "GPU" else 0,
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave the terminal to our own progress."""
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Pieces:
    """Reads a file, wherever the cluster has a process for it."""

    def __init__(self, readings: Sequence[Reading], place: Place) -> None:
        self._readings = readings
        self._place = place

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a file's pieces."""
        file = int(row["file"])
        start = self._place if file == self._place.file else Place(file)
        for piece in pieces(self._readings[: file + 1], start):
            yield {"piece": pickle.dumps(piece)}


class _Judging:
    """Judges pieces, one after the other, in an actor."""

    def __init__(self, job: Job) -> None:
        self._judge = Judge(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the results of a batch of pieces."""
        return {"result": [pickle.dumps(self._judged(piece)) for piece in batch["piece"]]}

    def _judged(self, piece: bytes) -> Result | ClassifierUnavailable:
        try:
            return self._judge(pickle.loads(piece))
        except GuardrailError as error:  # which Ray would bury in its own
            return ClassifierUnavailable(str(error))


def _probed(job: Job) -> tuple[list[float], bool] | ClassifierUnavailable:
    try:
        with closing(job.build()) as classifier:
            return probe(classifier), classifier.scales_by_process
    except GuardrailError as error:
        return ClassifierUnavailable(str(error))


def _or_raise(answer: T | ClassifierUnavailable) -> T:
    if isinstance(answer, ClassifierUnavailable):
        raise answer
    return answer


def _room() -> Counter[str]:
    """Return how many CPUs and GPUs the cluster has."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's
    return Counter({"CPU": max(1, int(resources["CPU"])), "GPU": int(resources.get("GPU", 0))})


def _told(error: RayError) -> ClassifierUnavailable:
    return ClassifierUnavailable(
        f"Ray failed with {type(error).__name__}, and its logs say why; the same command goes on"
    )
