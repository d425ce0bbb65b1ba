"""What replicas add: throughput by their number, and the time of one call.

`python -m tests.benchmarks.replicas` runs a Ray of its own on this machine. The classifier takes
20 ms for each turn, asleep, so that the figures are not those of this machine's cores.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Sequence

import ray
from ray import serve

from guardrail import Classifier, Verdict
from guardrail.integrations.ray_serve import ClusterConfig, Replicas, classifier
from guardrail.types import Conversation, exchange

_KIND = "tests.benchmarks.replicas:Slow"
_TURN_S = 0.02
_RUN_S = 5.0
_CALLERS = 64
_REPLICAS = (1, 2, 4)


class Slow(Classifier):
    """Takes a while for each turn.

    Args:
        seconds: for each.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def classify_many(self, conversations: Sequence[Conversation]) -> list[Verdict]:
        """Find everything safe."""
        time.sleep(self._seconds * len(conversations))
        return [Verdict(False, 0.0) for _ in conversations]


def main() -> None:
    """Measure, and print."""
    ray.init(
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
    )
    try:
        first = None
        for count in _REPLICAS:
            rate = asyncio.run(_rate(_deployed(count, _TURN_S)))
            first = first or rate
            print(f"{count} replicas: {rate:6.1f} turns/s, {rate / first:.2f} times one's")
        milliseconds = asyncio.run(_median(_deployed(1, 0.0))) * 1000
        print(f"one call, nothing to do: {milliseconds:.1f} ms at the median")
    finally:
        serve.shutdown()
        ray.shutdown()


def _deployed(replicas: int, seconds: float) -> Replicas:
    scaling = {"min_replicas": replicas, "max_replicas": replicas, "num_cpus": 0.1}
    config = ClusterConfig.model_validate(
        {"classifier": {"kind": _KIND, "seconds": seconds}, "ray": {"classifier": scaling}}
    )
    return Replicas(serve.run(classifier(config), name="benchmark", route_prefix=None))


async def _rate(replicas: Replicas) -> float:
    """Return the turns judged in a second, asked by many at once."""
    numbers = itertools.count()
    until = time.perf_counter() + _RUN_S
    done = 0

    async def ask() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await replicas.aclassify(exchange(f"질문 {next(numbers)}", "답"))
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(_CALLERS)))
    return done / (time.perf_counter() - began)


async def _median(replicas: Replicas) -> float:
    """Return the seconds of a call, one after the other."""
    seconds = []
    for number in range(300):
        began = time.perf_counter()
        await replicas.aclassify(exchange(f"질문 {number}", "답"))
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[50:])


if __name__ == "__main__":
    main()
