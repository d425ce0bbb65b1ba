"""Train, export and measure the embedded classifier, in one command.

    python -m training.train_embedded --public train.jsonl --dev DIR

The model card says what `train.jsonl` and the sets in DIR hold. It takes about ten minutes on one
core; the same seed gives the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from guardrail.classifiers.embedded import Embedded
from guardrail.classifiers.embedded.network import WEIGHTS
from training.calibrate import calibrated
from training.corpus import drawing
from training.encode import Encoded, Vocabulary
from training.evaluate import Sets, development, heldout, measured
from training.examples import json_lines
from training.export import export
from training.fit import Plan, fit
from training.linear import linear_judge
from training.parts import HELDOUT, Share
from training.reader import Reader

__all__ = ["main", "train"]

METRICS = Path(__file__).with_name("metrics.json")
ROWS = 1 << 16
FULL = Plan()
SHORT = Plan(drawings=2, passes=5)
LEFT_OUT = ("curse2runo", "kotox", "kosbi")


def main() -> None:
    """Run from the command line."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    rows = list(json_lines(args.public))
    sets = dict([*heldout(HELDOUT), *development(args.dev)])
    seeds = range(args.seed * FULL.drawings, (args.seed + 1) * FULL.drawings)
    drawings = [Encoded(drawing(rows, Share(), seed)) for seed in seeds]
    results: dict[str, Any] = {"figures": train(drawings, sets, args.seed, args.weights)}
    for source in LEFT_OUT if args.leave_out else ():
        kept = [each.without(source) for each in drawings[: SHORT.drawings]]
        path = args.metrics.with_name(f"without_{source}.npz")
        figures = train(kept, sets, args.seed, path, SHORT)
        path.unlink()
        results[f"without_{source}"] = {n: f for n, f in figures.items() if n.startswith(source)}
    args.metrics.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.train_embedded", description=__doc__)
    parser.add_argument(
        "--public", type=Path, required=True, help="rows of public data (JSON Lines)"
    )
    parser.add_argument("--dev", type=Path, required=True, help="folder of development sets")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--metrics", type=Path, default=METRICS, help="where the figures go")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--leave-out", action="store_true", help="train again without each hate source"
    )
    return parser.parse_args()


def train(
    drawings: Sequence[Encoded], sets: Sets, seed: int, path: Path, plan: Plan = FULL
) -> dict[str, Any]:
    """Train on some drawings, write the weights, and return the figures on the sets."""
    started = time.monotonic()

    def report(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", flush=True)

    torch.manual_seed(seed)
    vocabulary = Vocabulary.chosen(drawings, ROWS)
    known = [each.indexed(vocabulary) for each in drawings]
    report(f"{sum(map(len, known))} turns in {len(known)} drawings")
    linear = linear_judge(known, ROWS)
    report("linear judge")
    reader = Reader(ROWS)
    fit(reader, known, plan, report)
    export(reader, linear, vocabulary, path)
    calibration = calibrated(Embedded(weights=path), sets)
    export(reader, linear, vocabulary, path, calibration)
    report(f"calibrated: {calibration}")
    return measured(Embedded(weights=path), sets)


if __name__ == "__main__":
    main()
