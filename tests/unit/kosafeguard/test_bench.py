"""The bench runs end to end, and its figures are of what it says."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from guardrail.bench import main
from guardrail.bench.limits import Limits
from guardrail.bench.measure import Bench, Times
from guardrail.bench.models import SIZES, quantised, random_llama, tokenizer_like_llama3
from guardrail.bench.recipe import untouched
from guardrail.bench.texts import growing, turn
from guardrail.classifiers.kosafeguard import Loaded
from guardrail.classifiers.kosafeguard.load import best_device
from tests.unit.kosafeguard.llamas import lively_llama

TOKENIZER = tokenizer_like_llama3()


def tokens(text: str) -> int:
    return len(TOKENIZER(text, add_special_tokens=False)["input_ids"])


@pytest.mark.skipif(best_device() != "cpu", reason="its figures are not this test's to wait for")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints a row per scenario and writes the same as JSON."""
    place = tmp_path / "bench.json"
    asked = ["--size", "tiny", "--rounds", "1", "--batches", "1,2", "--json", str(place)]

    assert main(asked) == 0
    report = json.loads(place.read_text("utf-8"))
    rows = report["rows"]
    weights = sum(each.numel() for each in random_llama(SIZES["tiny"]).parameters())
    assert f" {weights / 1e6:.0f}M stored" in report["setting"]
    assert min(row["peak_bytes"] for row in rows) > weights
    assert [row["checks"] for row in rows] == [1, 11, 2]
    assert all(row["name"] in capsys.readouterr().out for row in rows[:1])


@pytest.mark.parametrize(
    "wrong",
    [
        ["--dtype", "float8"],
        ["--rounds", "0"],
        ["--batches", "1,0"],
        ["--quantization", "8bit"],
        ["--revision", "x"],
    ],
    ids=lambda wrong: wrong[0],
)
def test_wrong_arguments(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be measured is one sentence, before anything is loaded."""
    with pytest.raises(SystemExit):
        main(wrong)

    assert f"{wrong[0]}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("quantization", ["none", "4bit"])
def test_engine_and_recipe_agree(quantization: str) -> None:
    """What is timed gives the same answers on both sides."""
    model = lively_llama() if quantization == "none" else quantised(lively_llama())
    bench = Bench(Loaded(model, TOKENIZER), rounds=1)
    rows = [bench.turn(), bench.stream(tokens=60), bench.batch(3)]

    assert max(row.difference for row in rows) < 1e-3


@pytest.mark.skipif(best_device() != "cpu", reason="elsewhere the engine rearranges nothing")
def test_the_recipe_runs_the_weights_as_loaded() -> None:
    """What the engine does to a model is not done to the one that it is measured against."""
    model = lively_llama()
    plain = untouched(model)
    bench = Bench(Loaded(model, TOKENIZER), rounds=1)

    assert type(plain.model.layers[0].mlp) is type(bench._model.model.layers[0].mlp)
    assert type(plain.model.layers[0].mlp) is not type(model.model.layers[0].mlp)


def test_fewer_tokens_forwarded_than_seen() -> None:
    """A single turn is forwarded without its head."""
    bench = Bench(Loaded(lively_llama(), TOKENIZER), rounds=1)
    row = bench.turn()

    assert 0 < row.forwarded <= row.seen - bench.head_tokens


def test_turns_have_the_length_asked_for() -> None:
    """A turn's two texts take about so many tokens together, and no two are alike."""
    turns = [turn(TOKENIZER, 100, seed) for seed in range(5)]

    assert all(95 <= sum(tokens(each.content) for each in one) <= 105 for one in turns)
    assert len(set(turns)) == 5


def test_growing_replies() -> None:
    """Each check of a growing reply begins with the one before."""
    replies = [each[-1].content for each in growing(TOKENIZER, 100, 32, seed=0)]

    assert len(replies) == 4
    assert all(
        later.startswith(first.rstrip("\N{REPLACEMENT CHARACTER}"))
        for first, later in pairwise(replies)
    )


def test_times() -> None:
    """The median and the long end of a few rounds."""
    times = Times((3.0, 1.0, 2.0))

    assert (times.p50, times.p95) == (2.0, 3.0)


def test_limits() -> None:
    """A forward takes at least the weights' reading, and at least the new tokens' arithmetic."""
    limits = Limits(weight_bytes=100, flops_per_token=10, bytes_per_s=50, flops_per_s=5)

    assert (limits.seconds(0), limits.seconds(0, forwards=3), limits.seconds(4)) == (2, 6, 8)
