"""One worker that owns the device, and the queue in front of it.

Whatever waits while the device is busy is the next batch; nothing waits for a batch to fill. Any
thread submits and gets a future; a future that is cancelled while it waits is never read. Only
the worker touches the model and the cache, so neither needs a lock.

    submit -> [ waiting ] -> take -> heads that are not read yet -> forward -> futures
                                          (kept for good)            |
                                       longest cached prefix  <->  cache
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol

import torch
from torch import Tensor

from guardrail.classifiers.kosafeguard.cache import Cache
from guardrail.classifiers.kosafeguard.encode import Encoded, Tokens
from guardrail.classifiers.kosafeguard.failures import (
    is_device_lost,
    is_out_of_memory,
    while_reading,
)
from guardrail.classifiers.kosafeguard.forward import Forwarded, Segment
from guardrail.classifiers.labelled import Reading
from guardrail.errors import ClassifierUnavailable
from guardrail.workers import Workers

__all__ = ["Engine", "Forward", "Stats"]

_IDLE_S = 30.0  # the worker's thread leaves after this; a new one costs a few milliseconds
_EXIT_S = 20.0  # a device that hangs for longer than this keeps no interpreter from ending


class Forward(Protocol):
    """Reads segments in one go; see `forward.forward`."""

    def __call__(self, segments: Sequence[Segment]) -> Forwarded: ...


@dataclass(slots=True)
class Stats:
    """What the engine has done so far.

    Args:
        seen: tokens of all prompts answered.
        forwarded: tokens the model computed for them, heads included.
        forwards: how often the model ran.
        prompts: how many were answered.
    """

    seen: int = 0
    forwarded: int = 0
    forwards: int = 0
    prompts: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    prompt: Encoded
    future: Future[Reading] = field(default_factory=Future)


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    """A request that is about to be read, and what the cache holds of it after its head."""

    request: _Request
    rest: Tensor | None

    @property
    def head(self) -> Tokens:
        return self.request.prompt.head

    @property
    def new(self) -> Tokens:
        cached = 0 if self.rest is None else self.rest.shape[2]
        return self.request.prompt.rest[cached:]


class Engine:
    """Reads prompts on one device, batched as they wait.

    Args:
        forward: runs the model.
        labels: token ids of safe and unsafe.
        cache_tokens: how many tokens' keys and values are kept.
        max_batch_tokens: new tokens read in one go; a longer prompt is read alone.
    """

    def __init__(
        self,
        forward: Forward,
        *,
        labels: tuple[int, int],
        cache_tokens: int,
        max_batch_tokens: int,
    ) -> None:
        self._forward: Forward | None = forward
        self.labels = labels
        self._cache = Cache(cache_tokens)
        self._max_batch_tokens = max_batch_tokens
        self._waiting: deque[_Request] = deque()
        self._lock = threading.Lock()  # of the queue and of `_ended`
        self._worker = Workers(name="kosafeguard", limit=1, idle_s=_IDLE_S)
        self._ended: str | None = None
        self.stats = Stats()
        atexit.register(_at_exit, weakref.ref(self))

    def submit(self, prompts: Sequence[Encoded]) -> list[Future[Reading]]:
        """Queue prompts, and return what will hold their readings.

        Raises:
            ClassifierUnavailable: the engine is closed, or its device lost.
        """
        requests = [_Request(prompt) for prompt in prompts]
        with self._lock:
            if self._ended is not None:
                raise ClassifierUnavailable(self._ended)
            self._waiting.extend(requests)
        self._worker.submit(self._work)
        return [request.future for request in requests]

    def close(self) -> None:
        """Give the model back; what waits, and what comes after, fails."""
        self._end("this classifier is closed; make a new one")

    def _end(self, why: str) -> Future[None]:
        """Fail what waits and what comes; the future is done when the worker has let go."""
        with self._lock:
            self._ended = self._ended or why
            left = list(self._waiting)
            self._waiting.clear()
        for request in left:
            if request.future.set_running_or_notify_cancel():
                request.future.set_exception(ClassifierUnavailable(why))
        return self._worker.submit(self._let_go)

    def _let_go(self) -> None:
        self._forward = None
        self._cache = Cache(0)

    # What follows runs in the worker's thread alone.

    def _work(self) -> None:
        with torch.inference_mode():
            while batch := self._take():
                self._serve(batch)

    def _take(self) -> list[_Taken]:
        """Return what fits into one batch of all that waits: first come, first served."""
        batch: list[_Taken] = []
        tokens = 0
        while (request := self._peek()) is not None:
            taken = _Taken(request, self._cache.longest(request.prompt.head, request.prompt.rest))
            if batch and tokens + len(taken.new) > self._max_batch_tokens:
                break
            if self._remove(request) and request.future.set_running_or_notify_cancel():
                batch.append(taken)
                tokens += len(taken.new)
        return sorted(batch, key=attrgetter("head"))  # who shares a head reads it together

    def _peek(self) -> _Request | None:
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def _remove(self, request: _Request) -> bool:
        """Take a request out of the queue, unless closing has emptied it meanwhile."""
        with self._lock:
            found = bool(self._waiting) and self._waiting[0] is request
            if found:
                self._waiting.popleft()
            return found

    def _serve(self, batch: Sequence[_Taken]) -> None:
        """Answer a batch; when memory runs out, without the cache, then by halves."""
        error = self._answer(batch)
        if error is None:
            return
        if is_out_of_memory(error) and self._free_memory():
            self._serve(batch)
        elif is_out_of_memory(error) and len(batch) > 1:
            self._max_batch_tokens = max(1, self._max_batch_tokens // 2)
            half = len(batch) // 2
            self._serve(batch[:half])
            self._serve(batch[half:])
        else:
            self._fail(batch, error)

    def _answer(self, batch: Sequence[_Taken]) -> Exception | None:
        """Set the batch's readings, or return why there are none, with no frame kept alive."""
        try:
            readings = self._read(batch)
        except Exception as error:
            return error.with_traceback(None)
        for taken, reading in zip(batch, readings, strict=True):
            taken.request.future.set_result(reading)
        return None

    def _fail(self, batch: Sequence[_Taken], error: Exception) -> None:
        for taken in batch:
            taken.request.future.set_exception(while_reading(error))
        if is_device_lost(error):
            self._end(str(while_reading(error)))

    def _free_memory(self) -> bool:
        """Forget what is cached but heads; whether there was any."""
        found = self._cache.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return found

    def _read(self, batch: Sequence[_Taken]) -> list[Reading]:
        self._read_heads({taken.head for taken in batch} - {()})
        forwarded = self._run(
            [
                Segment(taken.new, head=self._cache.head(taken.head), rest=taken.rest)
                for taken in batch
            ]
        )
        for taken, own in zip(batch, forwarded.own, strict=True):
            prompt = taken.request.prompt
            self._cache.put(taken.head, prompt.rest[: len(prompt.rest) - prompt.tail], own)
            self.stats.prompts += 1
            self.stats.seen += len(prompt.ids)
        log_probabilities = forwarded.logits.float().log_softmax(-1)[:, list(self.labels)]
        return [Reading(safe, unsafe) for safe, unsafe in log_probabilities.tolist()]

    def _read_heads(self, heads: set[Tokens]) -> None:
        """Read heads that were not read before, and keep them."""
        missing = [head for head in sorted(heads) if self._cache.head(head) is None]
        if missing:
            forwarded = self._run([Segment(head) for head in missing])
            for head, own in zip(missing, forwarded.own, strict=True):
                self._cache.put_head(head, own.clone())

    def _run(self, segments: Sequence[Segment]) -> Forwarded:
        assert self._forward is not None  # let go only after the last batch
        forwarded = self._forward(segments)
        self.stats.forwards += 1
        self.stats.forwarded += sum(len(segment.new) for segment in segments)
        return forwarded


def _at_exit(reference: weakref.ref[Engine]) -> None:
    """Let the worker finish its batch: a thread that ends inside torch aborts the process."""
    engine = reference()
    if engine is not None:
        wait([engine._end("the interpreter exits")], timeout=_EXIT_S)
