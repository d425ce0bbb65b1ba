"""From rows to samples: what the model reads, encoded as the engine encodes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from guardrail.classifiers.kosafeguard.prompts import Prompts
from guardrail.errors import ConfigError
from guardrail.evaluation.rows import Row
from guardrail.finetuning.examples import Example, balanced
from guardrail.finetuning.packing import Sample
from guardrail.finetuning.settings import Settings
from guardrail.taxonomy import Taxonomy

__all__ = ["Learned", "learned", "measured"]


@dataclass(frozen=True, slots=True)
class Learned:
    """What is learnt from.

    Args:
        samples: in order.
        too_long: how many examples were left out, since their label need not hold for a part.
    """

    samples: Sequence[Sample]
    too_long: int


def learned(examples: Iterable[Example], prompts: Prompts, settings: Settings) -> Learned:
    """Return the samples of examples that fit, balanced as the settings say.

    Raises:
        ConfigError: those that fit are of one kind.
    """
    samples: list[Sample] = []
    count = 0
    for count, example in enumerate(examples, start=1):  # counted
        windows = prompts(example.conversation, example.taxonomy)
        if len(windows) == 1:
            samples.append(Sample.of(windows[0], unsafe=example.unsafe, row=count - 1))
    if len({sample.unsafe for sample in samples}) < 2:
        raise ConfigError(
            f"of {count} examples {len(samples)} are short enough, all of one kind; raise "
            "--max-tokens"
        )
    taken, weights = balanced(
        [sample.unsafe for sample in samples], settings.balance, settings.seed
    )
    weighed = [
        samples[place].weighing(weight) for place, weight in zip(taken, weights, strict=True)
    ]
    return Learned(weighed, count - len(samples))


def measured(
    sets: Mapping[str, Sequence[Row]], prompts: Prompts, taxonomy: Taxonomy
) -> dict[str, list[Sample]]:
    """Return each set's samples; a row that is too long has one for each window."""
    return {
        name: [
            Sample.of(prompt, unsafe=row.unsafe, row=number)
            for number, row in enumerate(rows)
            for prompt in prompts(row.conversation, taxonomy)
        ]
        for name, rows in sets.items()
    }
