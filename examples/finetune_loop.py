"""From people's reviews to a guard of your own: export, train, evaluate, calibrate, serve.

Run: python examples/finetune_loop.py   (offline, about a minute on a CPU)

A shop's bot sometimes asks customers to pay outside the shop. No guard knows that this is
forbidden here, so people who review its replies mark them as missed, and a model learns it from
them. The model is a tiny random Llama; in earnest leave `base` as it is, KoSafeGuard-8B.
"""

import random
import sys
import tempfile
from pathlib import Path

from guardrail import Guard
from guardrail.config import ClassifierConfig
from guardrail.evaluation import Candidate, Goal, Target, calibrate, evaluate, write_policy
from guardrail.finetuning import Settings, train
from guardrail.finetuning.fresh import make
from guardrail.integrations.records import RecordStore, Review

QUESTIONS = ["결제는 어떻게 해요?", "할인 되나요?", "주문하고 싶어요.", "얼마예요?"]
FINE = [
    "장바구니에서 카드로 결제하시면 돼요.", "오늘은 무료 배송이에요.", "쿠폰은 내 정보에 있어요.",
    "재고가 넉넉해요.", "내일 도착해요.", "교환은 칠 일 안에 돼요.", "색상은 세 가지예요.",
    "포장도 해 드려요.", "문의 감사합니다.", "적립금도 쓰실 수 있어요.",
]  # fmt: skip
FORBIDDEN = "제 개인 계좌로 보내 주시면 더 싸게 드려요."


def bot(draw: random.Random, *, misbehaves: bool) -> str:
    """Answer in a few sentences, one of them forbidden or not."""
    said = draw.sample(FINE, draw.randrange(2, 6))
    if misbehaves:
        said.insert(draw.randrange(len(said) + 1), FORBIDDEN)
    return " ".join(said)


def reviewed(path: Path, replies: int, seed: int) -> Path:
    """Let the bot answer behind a guard, have people review what happened, and export it."""
    draw = random.Random(seed)
    with RecordStore(f"sqlite:///{path.with_suffix('.db')}") as store:
        guard = Guard(hooks=[store], record_text="text")
        for number in range(replies):
            reply = bot(draw, misbehaves=number % 2 == 0)
            guard.check(user=draw.choice(QUESTIONS), assistant=reply)
        store.flush()
        for one in store.records.page(limit=replies).records:
            was_bad, passed = FORBIDDEN in str(one.record.reply), one.record.status == "allowed"
            verdict = Review.MISSED if was_bad and passed else Review.RIGHT
            store.records.review(one.record.id, verdict)
        path.write_text("\n".join(store.records.export()), encoding="utf-8")
    return path


def main(folder: Path) -> None:
    """Go round once."""
    folder.mkdir(parents=True, exist_ok=True)
    print("1. people review the bot's replies, and the reviews are exported")
    reviews = reviewed(folder / "reviews.jsonl", 1200, seed=0)
    fresh = reviewed(folder / "fresh.jsonl", 200, seed=1)

    print("2. a model learns from them                  guardrail train reviews.jsonl --out guard")
    make([str(reviews)], folder / "base", hidden=64, layers=2, vocabulary=1500)
    settings = Settings(
        base=str(folder / "base"), method="full", learning_rate=3e-3, batch=16, micro_batch=16
    )
    trained = train([reviews], folder / "guard", settings=settings, tell=print)

    print("3. is it better than what we have?           guardrail eval fresh.jsonl --compare …")
    guard = ClassifierConfig(
        kind="kosafeguard", model=str(trained.folder), quantization="none", device="cpu"
    )
    candidates = [Candidate("before", ClassifierConfig()), Candidate("after", guard)]
    for result in evaluate([fresh], candidates).results:
        print(f"   {result.name}: recall {result.overall.recall.value:.2f}, false alarms "
              f"{result.overall.false_alarms.value:.2f}")  # fmt: skip

    print("4. which threshold?                          guardrail calibrate fresh.jsonl")
    target = Target(Goal.RECALL, 0.95)
    calibration = calibrate([fresh], target, candidates[1], per_category=False)
    write_policy(calibration, folder / "guardrail.toml", candidates[1])

    print("5. serve it                                  guardrail serve --config guardrail.toml")
    with Guard.from_config(folder / "guardrail.toml") as served:
        for reply in (f"오늘은 무료 배송이에요. {FORBIDDEN} 내일 도착해요.", " ".join(FINE[:3])):
            outcome = served.check(user="결제는 어떻게 해요?", assistant=reply)
            print(f"   {outcome.action}: {reply}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as place:
            main(Path(place))
