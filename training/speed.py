"""How long the embedded classifier takes.

OMP_NUM_THREADS=1 python -m training.speed
"""

from __future__ import annotations

import time
from collections.abc import Callable

from guardrail.classifiers.embedded import Embedded
from guardrail.types import exchange

__all__ = ["main"]

_SENTENCES = (
    "네, 주문하신 상품은 오늘 오후에 출고되어 내일 도착할 예정이에요. ",
    "사진을 함께 보내 주시면 교환 절차를 더 빨리 도와드릴 수 있습니다. ",
    "혹시 다른 색상으로 바꾸고 싶으시면 재고부터 확인해 드릴게요! ",
)


def main() -> None:
    """Print the time to load, for a turn of 300 characters, and for a megabyte."""
    embedded = Embedded()
    text = "".join(_SENTENCES) * 10_000
    turn, long = exchange(text[:60], text[60:300]), exchange(text[:60], text[:1_000_000])
    print(f"load and first turn: {_seconds(lambda: embedded.classify(turn)) * 1e3:.0f} ms")
    best = min(_seconds(lambda: embedded.classify(turn)) for _ in range(500))
    print(f"300 characters, best of 500: {best * 1e3:.2f} ms")
    print(f"1,000,000 characters: {_seconds(lambda: embedded.classify(long)):.1f} s")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
