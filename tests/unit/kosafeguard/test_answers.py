"""The fast path against the model card's recipe, on the same weights."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from guardrail.bench.models import tokenizer_like_llama3
from guardrail.classifiers import KoSafeGuard
from guardrail.classifiers.kosafeguard import card_examples
from guardrail.classifiers.kosafeguard.load import Loaded
from guardrail.errors import ClassifierProtocolError
from guardrail.prompt import render
from guardrail.taxonomy import KOSAFEGUARD
from guardrail.types import Category, Conversation, exchange, question
from tests.unit.kosafeguard.llamas import Pair, lively_llama, pair

CLOSE = 1e-4
EXAMPLES = [conversation for conversation, _ in card_examples()]
REPLY = (
    "네! 3일 안에 환불돼요.\n\n자세한 건 1234번, <|eot_id|>가 아니라 상담원에게 물어보세요 :) ㅎㅎ"
)


@pytest.fixture(scope="module")
def both() -> Pair:
    return pair()


def exchanges(count: int, *, seed: int = 0) -> list[Conversation]:
    """Return exchanges of mixed lengths, cut from the card's examples."""
    draw = random.Random(seed)
    texts = [turn.content for conversation in EXAMPLES for turn in conversation]
    return [
        exchange(*(draw.choice(texts)[: draw.randrange(200)] for _ in range(2)))
        for _ in range(count)
    ]


def test_one_conversation(both: Pair) -> None:
    """A single call scores what the recipe scores."""
    scores = [both.guard.classify(each).score for each in EXAMPLES]

    assert both.expected(*EXAMPLES) == pytest.approx(scores, abs=CLOSE)


def test_scores_differ(both: Pair) -> None:
    """The reference tells the examples apart, or equal scores would prove nothing."""
    scores = both.expected(*EXAMPLES)

    assert max(scores) - min(scores) > 100 * CLOSE


def test_a_reply_that_grows(both: Pair) -> None:
    """A reply cut at every character scores what the recipe scores, though tokens merge there."""
    reply = REPLY.replace("<|eot_id|>", "")
    growth = [exchange("환불은 며칠 걸려요?", reply[:size]) for size in range(len(reply) + 1)]
    scores = [both.guard.classify(each).score for each in growth]

    assert both.expected(*growth) == pytest.approx(scores, abs=CLOSE)


def test_a_reply_that_grows_costs_its_new_tokens() -> None:
    """A check of a grown reply computes the new tokens and the prompt's tail, not the rest."""
    guard = pair().guard
    words = EXAMPLES[0][-1].content.split()
    guard.classify(exchange("안녕", " ".join(words)))
    before = guard.stats.forwarded
    guard.classify(exchange("안녕", " ".join([*words, "그래요"])))

    assert guard.stats.forwarded - before < 60 < len(guard.prompts(EXAMPLES[0])[0].rest)


def test_packed_conversations(both: Pair) -> None:
    """Conversations of mixed lengths in one batch score what each scores alone."""
    batch = exchanges(24)
    scores = [verdict.score for verdict in both.guard.classify_many(batch)]

    assert both.expected(*batch) == pytest.approx(scores, abs=CLOSE)


def test_questions_and_replies_in_one_batch(both: Pair) -> None:
    """Prompts with different heads share a batch and keep to their own."""
    batch = [question("칼로 사람을"), EXAMPLES[0], question("안녕?"), EXAMPLES[1]]
    scores = [verdict.score for verdict in both.guard.classify_many(batch)]

    assert both.expected(*batch) == pytest.approx(scores, abs=CLOSE)


def test_after_evictions() -> None:
    """A cache far too small for its streams changes costs, not scores."""
    both = pair(cache_tokens=1100)
    streams = [each[-1].content for each in EXAMPLES]
    checks = [
        exchange(f"{number}", text[:size])
        for size in range(20, 140, 20)
        for number, text in enumerate(streams)
    ]
    scores = [both.guard.classify(each).score for each in checks]

    assert both.expected(*checks) == pytest.approx(scores, abs=CLOSE)


def test_small_batches() -> None:
    """Batches cut short by their limit score what the recipe scores."""
    both = pair(max_batch_tokens=100)
    batch = exchanges(9, seed=1)
    scores = [verdict.score for verdict in both.guard.classify_many(batch)]

    assert both.expected(*batch) == pytest.approx(scores, abs=CLOSE)


def test_eight_threads(both: Pair) -> None:
    """Threads that check interleaved streams at once each get their own scores."""
    batches = [exchanges(6, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(
            threads.map(lambda batch: [both.guard.classify(each) for each in batch], batches)
        )
    scores = [verdict.score for each in verdicts for verdict in each]

    flat = [conversation for batch in batches for conversation in batch]
    assert both.expected(*flat) == pytest.approx(scores, abs=CLOSE)


def test_sync_and_async_share_the_engine(both: Pair) -> None:
    """Asyncio callers get the same scores as threads do."""
    batch = exchanges(12, seed=3)

    async def all_at_once() -> list[float]:
        verdicts = await asyncio.gather(*(both.guard.aclassify(each) for each in batch))
        return [verdict.score for verdict in verdicts]

    expected = [verdict.score for verdict in both.guard.classify_many(batch)]
    assert expected == pytest.approx(asyncio.run(all_at_once()), abs=CLOSE)


def test_no_conversation(both: Pair) -> None:
    """Nothing asked is nothing answered."""
    assert both.guard.classify_many([]) == []
    assert both.guard.categorise([]) == []


def test_categories(both: Pair) -> None:
    """A category's probability is the recipe's score under a policy of that category alone."""
    found = both.guard.categorise(EXAMPLES[:2])
    alone = {
        clause.category: pair(lively_llama(), taxonomy=taxonomy).guard
        for clause, taxonomy in zip(KOSAFEGUARD.clauses, KOSAFEGUARD.split(), strict=True)
    }
    expected = [
        {category: guard.classify(each).score for category, guard in alone.items()}
        for each in EXAMPLES[:2]
    ]

    assert [pytest.approx(each, abs=CLOSE) for each in expected] == found


def test_categories_take_one_forward() -> None:
    """Once their heads are read, six categories of a conversation are one packed forward."""
    guard = pair().guard
    guard.categorise(EXAMPLES[:1])
    before = guard.stats.forwards
    guard.categorise(EXAMPLES[1:2])

    assert guard.stats.forwards == before + 1


def test_async_categories(both: Pair) -> None:
    """Both modes name the same categories."""
    found = asyncio.run(both.guard.acategorise(EXAMPLES[:1]))

    assert found == [pytest.approx(each, abs=CLOSE) for each in both.guard.categorise(EXAMPLES[:1])]


def test_an_answer_that_is_no_label() -> None:
    """A model that would answer something else than a label gives an error, not a verdict."""
    guard = pair(min_label_mass=0.5).guard

    with pytest.raises(ClassifierProtocolError, match="of its probability on its labels"):
        guard.classify(EXAMPLES[0])


def test_threshold() -> None:
    """The threshold decides between safe and unsafe, and the score does not depend on it."""
    lenient, strict = pair(threshold=0.999).guard, pair(threshold=0.0).guard
    verdicts = [lenient.classify(EXAMPLES[0]), strict.classify(EXAMPLES[0])]

    assert [verdict.unsafe for verdict in verdicts] == [False, True]
    assert verdicts[0].score == pytest.approx(verdicts[1].score)


def test_another_prompt_and_other_labels() -> None:
    """A model of another prompt, policy and pair of labels works by arguments."""
    policy = KOSAFEGUARD.split()[2]

    def shout(conversation: Conversation, *, taxonomy: object) -> str:  # noqa: ARG001
        return f"{render(conversation, taxonomy=policy)}\nOK or NO?"

    model = lively_llama()
    guard = KoSafeGuard(
        Loaded(model, tokenizer_like_llama3()),
        min_label_mass=0.0,
        labels=("unsafe", "safe"),
        taxonomy=policy,
        render=shout,
    )
    usual = pair(lively_llama(), render=shout).guard

    assert guard.classify(EXAMPLES[0]).score == pytest.approx(
        1 - usual.classify(EXAMPLES[0]).score, abs=CLOSE
    )
    assert set(guard.categorise(EXAMPLES[:1])[0]) == {Category.O3}
