"""From conversations to prompts as token ids: the same for the engine and for fine-tuning."""

from __future__ import annotations

from guardrail.classifiers.kosafeguard.encode import Encoded, Encoder, Head
from guardrail.classifiers.labelled import Render
from guardrail.classifiers.windows import in_windows
from guardrail.errors import ClassifierUnavailable
from guardrail.taxonomy import Taxonomy
from guardrail.types import Conversation, Role, exchange, question

__all__ = ["Prompts", "label_ids"]

_PROBES = (("a", "b"), ("가", "나"), ("1", "2"))  # texts that have nothing in common


class Prompts:
    """Writes what the model reads for a conversation.

    Args:
        encoder: the model's.
        render: writes the prompt's text.
        limit: tokens of a prompt at most; longer conversations become several prompts.
    """

    def __init__(self, encoder: Encoder, render: Render, *, limit: int) -> None:
        self._encoder = encoder
        self._render = render
        self._limit = limit
        self._heads: dict[tuple[Taxonomy, bool], Head] = {}

    def __call__(self, conversation: Conversation, taxonomy: Taxonomy) -> list[Encoded]:
        """Return one prompt, or one per window of a conversation that is too long."""
        replied = bool(conversation) and conversation[-1].role is Role.ASSISTANT
        head = self.head(taxonomy, replied=replied)
        return in_windows(
            conversation,
            encode=lambda part: self._encoder.encode(self._render(part, taxonomy=taxonomy), head),
            size=lambda prompt: len(prompt.ids),
            starts=self._encoder.starts,
            limit=self._limit,
        )

    def head(self, taxonomy: Taxonomy, *, replied: bool) -> Head:
        """Return how every prompt about a reply, or about a user's turn, begins.

        Raises:
            ClassifierUnavailable: the tokenizer encodes such prompts otherwise than the recipe.
        """
        key = (taxonomy, replied)
        if key not in self._heads:
            probes = [exchange(*texts) if replied else question(texts[0]) for texts in _PROBES]
            prompts = [self._render(probe, taxonomy=taxonomy) for probe in probes]
            self._heads[key] = self._encoder.head(prompts)
        return self._heads[key]


def label_ids(encoder: Encoder, labels: tuple[str, str]) -> tuple[int, int]:
    """Return the tokens that a model answers safe and unsafe with.

    Raises:
        ClassifierUnavailable: one of them takes several tokens, or both are the same.
    """
    safe, unsafe = (encoder.label(label) for label in labels)
    if safe == unsafe:
        raise ClassifierUnavailable(
            f"the labels {labels[0]!r} and {labels[1]!r} are the same token of this model"
        )
    return safe, unsafe
