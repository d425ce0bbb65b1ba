"""Where a GPU's time goes, by kernel."""

from __future__ import annotations

from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from guardrail.bench.measure import Bench

__all__ = ["profile"]

_ROWS = 14


def profile(bench: Bench, *, turns: tuple[int, ...] = (1, 16)) -> str:
    """Return torch's tables of the kernels that take longest, for so many turns at once."""
    return "\n".join(f"{count} at once\n{_table(bench, count)}" for count in turns)


def _table(bench: Bench, turns: int) -> str:
    first, second = bench.batches(turns, rounds=2)
    bench.guard.classify_many(first)
    with torch_profile(activities=[ProfilerActivity.CUDA]) as recorded:
        bench.guard.classify_many(second)
    table: str = recorded.key_averages().table(
        sort_by="self_cuda_time_total", row_limit=_ROWS, max_name_column_width=70
    )
    return table
