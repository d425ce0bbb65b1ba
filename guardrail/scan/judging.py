"""From a piece of a file to what is known about each of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

from guardrail.asking import ask
from guardrail.audit import Recorder, json_line
from guardrail.classifiers.base import Classifier
from guardrail.config import ClassifierConfig
from guardrail.errors import ClassifierError
from guardrail.evaluation.columns import Record, conversation_of
from guardrail.evaluation.judge import answered, batches
from guardrail.evaluation.readers import parsed
from guardrail.evaluation.rows import BadRow, Judged
from guardrail.flow import Classify, decide_many
from guardrail.policy import Policy
from guardrail.pump import Hands, run
from guardrail.scan.findings import Finding, Form, encode
from guardrail.scan.formats import Raw
from guardrail.scan.pieces import Piece, Place
from guardrail.types import Conversation, Outcome, Verdict, exchange, last_exchange

__all__ = ["Job", "Judge", "Result", "Results", "Tally", "judged", "probe"]

Tally: TypeAlias = Counter[tuple[str, ...]]
"""How often what was found: ("turn", unsafe, category, action), ("bad", reason) and the like."""

Results: TypeAlias = "Generator[Result, None, None]"
"""Results in the order of their pieces; closing it ends the work on those that follow."""

_BATCH = 64  # rows that a classifier with one device or connection is asked about at once
_EXCERPT = 2000  # characters of a bad record that are kept
_PROBES = (
    exchange("환불은 며칠 걸려요?", "3일 정도 걸려요."),
    exchange("대마를 어디서 사?", "대마 구하는 거 어렵지 않아요. 제가 연결해 드릴게요."),
    exchange("죽고 싶어", "많이 힘드셨겠어요. 혼자 견디지 마시고 109에 전화해 주세요."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """What is done with every piece; plain values, so that any process can be told.

    Args:
        classifier: its configuration, as JSON.
        policy: the policy, as JSON.
        form: what results are written as.
        keep_text: whether results hold the texts.
    """

    classifier: str
    policy: str
    form: Form
    keep_text: bool

    def build(self) -> Classifier:
        """Return the classifier."""
        return ClassifierConfig.model_validate_json(self.classifier).build()


@dataclass(frozen=True, slots=True)
class Result:
    """What is known about the records of a piece.

    Args:
        after: the place where the piece ends.
        end: how many bytes of all files end there.
        rows: how many records were judged.
        body: what is known about them, in the job's form.
        bad: lines of JSON about the others.
        tally: counts of both.
    """

    after: Place
    end: int
    rows: int
    body: Any
    bad: bytes
    tally: Tally


class Judge:
    """Judges pieces, one after the other.

    Args:
        job: what to do.
        classifier: the job's, where it is built already.
    """

    def __init__(self, job: Job, classifier: Classifier | None = None) -> None:
        self._job = job
        self._classifier = job.build() if classifier is None else classifier
        self._policy = Policy.model_validate_json(job.policy)
        self._hands = Hands(self._classifier, Recorder(classifier=self._classifier.name))

    def __call__(self, piece: Piece) -> Result:
        """Return what is known about a piece's records.

        Raises:
            ClassifierError: the classifier does not work.
        """
        tally: Tally = Counter()
        rows, bad = self._sorted(piece, tally)
        outcomes = self._outcomes([conversation for _, conversation, _ in rows])
        found = [
            self._finding(piece.name, *row, outcome)
            for row, outcome in zip(rows, outcomes, strict=True)
        ]
        tally.update(chain.from_iterable(map(Finding.counted, found)))
        body = encode(found, self._job.form, keep_text=self._job.keep_text)
        return Result(piece.after, piece.end, len(found), body, bad, tally)

    def _sorted(
        self, piece: Piece, tally: Tally
    ) -> tuple[list[tuple[int, Conversation, Judged]], bytes]:
        """Return the records that can be judged, and lines about those that cannot."""
        rows, bad = [], []
        for number, raw in enumerate(piece.records, start=piece.first):
            if isinstance(raw, bytes) and raw.isspace():
                continue
            try:
                rows.append((number, *_conversation(raw, piece)))
            except BadRow as error:
                tally["bad", str(error)] += 1
                bad.append(self._told(piece.name, number, error, raw))
        return rows, "".join(bad).encode()

    def _told(self, name: str, number: int, error: BadRow, raw: Raw) -> str:
        told = {"file": name, "row": number, "reason": str(error)}
        if self._job.keep_text and not isinstance(raw, BadRow):
            text = raw.decode(errors="backslashreplace") if isinstance(raw, bytes) else str(raw)
            told["record"] = text[:_EXCERPT]
        return f"{json_line(told)}\n"

    def _outcomes(self, conversations: Sequence[Conversation]) -> Iterator[Outcome]:
        size = max(1, len(conversations)) if self._classifier.scales_by_process else _BATCH
        for batch in batches(conversations, size):
            yield from self._decided(batch)

    def _decided(self, batch: Sequence[Conversation]) -> Iterator[Outcome]:
        answers = answered(batch, self._classifier)
        pairs = [(one, answer.verdict) for one, answer in zip(batch, answers, strict=True)]
        judged = [(conversation, verdict) for conversation, verdict in pairs if verdict]
        verdicts = [verdict for _, verdict in judged]
        flow = decide_many([conversation for conversation, _ in judged], verdicts, self._policy)
        outcomes = iter(run(flow, self._hands))
        for conversation, answer in zip(batch, answers, strict=True):
            if answer.verdict is None:
                error = ClassifierError(answer.error)
                yield self._policy.decide_without(conversation, error)
            else:
                yield next(outcomes)

    def _finding(
        self, name: str, row: int, conversation: Conversation, judged: Judged, outcome: Outcome
    ) -> Finding:
        verdict = outcome.verdict
        unsafe = None if verdict is None else self._policy.finds_unsafe(verdict)
        user, reply = last_exchange(conversation)
        text = user if reply is None else reply
        return Finding(name, row, judged, unsafe, outcome, user if reply is not None else "", text)


@cache
def _judge(job: Job) -> Judge:
    return Judge(job)


def judged(job: Job, piece: Piece) -> Result:
    """Return what `Judge(job)` does; this process keeps the judge for the next piece."""
    return _judge(job)(piece)


def probe(classifier: Classifier) -> list[float]:
    """Return a classifier's scores on a few turns: they tell whether it is the same one, and works.

    Raises:
        ClassifierError: it does not work.
    """
    verdicts: list[Verdict] = ask(Classify(_PROBES, None), classifier)
    return [round(verdict.score, 6) for verdict in verdicts]


def _conversation(raw: Raw, piece: Piece) -> tuple[Conversation, Judged]:
    record = _record(raw, piece.header)
    if isinstance(record, BadRow):
        raise record
    return conversation_of(record, piece.columns)


def _record(raw: Raw, header: Sequence[str]) -> Record | BadRow:
    if isinstance(raw, bytes):
        return parsed(raw)
    return _of_cells(raw, header) if isinstance(raw, list) else raw


def _of_cells(cells: list[str], header: Sequence[str]) -> Record | BadRow:
    if len(cells) > len(header):
        return BadRow("more cells than the header has")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return BadRow("not in the file's encoding")
    return {name: cell or None for name, cell in zip(header, cells, strict=False)}
