"""From a prompt's text to token ids: the recipe's own, with the text kept data.

For ordinary text the ids are those of the model card's recipe,

    tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)

Special tokens come from the chat template alone: where the prompt itself spells one
(`<|eot_id|>` in a user's message), it is encoded as the plain characters that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from guardrail.classifiers.tokens import around_specials, encodable, starts, without_specials
from guardrail.errors import ClassifierUnavailable

__all__ = ["Encoded", "Encoder", "Head", "Tokens"]

Tokens = tuple[int, ...]

_PROBE = "Task: probe 0123. 안녕하세요"


@dataclass(frozen=True, slots=True)
class Head:
    """How every prompt of one kind begins.

    Args:
        ids: the tokens that all of them begin with.
        text: the characters that all of them begin with.
        cut: where in `text` the tokens of `ids` end; 0 when only whole prompts encode for certain.
        tail: how many tokens all of them end with.
    """

    ids: Tokens
    text: str
    cut: int
    tail: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt as token ids: the head that others share, and what comes after it.

    Args:
        head: shared with other prompts, or empty.
        rest: the prompt's own.
        tail: how many of `rest`'s last tokens end every prompt of its kind.
    """

    head: Tokens
    rest: Tokens
    tail: int

    @property
    def ids(self) -> Tokens:
        """The whole prompt."""
        return self.head + self.rest


class Encoder:
    """Encodes prompts as one user message of a chat, up to where the answer begins.

    Args:
        tokenizer: a fast transformers tokenizer with a chat template.

    Raises:
        ClassifierUnavailable: the tokenizer is of another kind, or its template does more to a
            message than to strip it.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ClassifierUnavailable(
                f"{type(tokenizer).__name__} is no fast tokenizer; the model's folder needs a "
                "tokenizer.json"
            )
        self._tokenizer = tokenizer
        frame = _frame(tokenizer)
        backend = tokenizer.backend_tokenizer
        # Text beside a special token is encoded together with the message: merges may span both.
        opening = around_specials(backend, frame.before)
        closing = around_specials(backend, frame.after)
        self._strip = frame.strip
        self._lead, self._trail = opening.after, closing.before
        self._before = _ids(backend, frame.before.removesuffix(self._lead))
        self._after = _ids(backend, frame.after.removeprefix(self._trail))
        self._answer_lead = closing.after
        self._plain = without_specials(backend, {*self._before, *self._after})
        added = backend.get_added_tokens_decoder()
        self._added: dict[str, int] = {token.content: number for number, token in added.items()}
        self._refuse_other(_PROBE)

    def whole(self, prompt: str) -> Tokens:
        """Return a prompt's ids."""
        return (*self._before, *_ids(self._plain, self._text(prompt)), *self._after)

    def encode(self, prompt: str, head: Head) -> Encoded:
        """Return the same ids, divided after the head where the prompt begins with it."""
        text = self._text(prompt)
        if head.cut and text.startswith(head.text):
            rest = _ids(self._plain, text[head.cut :])
            return Encoded(head.ids, (*rest, *self._after), head.tail)
        ids, size = self.whole(prompt), len(head.ids)
        if ids[:size] == head.ids:
            return Encoded(head.ids, ids[size:], head.tail)
        return Encoded((), ids, head.tail)

    def head(self, prompts: Sequence[str]) -> Head:
        """Return what prompts of one kind have in common, from examples that differ in all else.

        Raises:
            ClassifierUnavailable: they do not have the recipe's ids.
        """
        for prompt in prompts:
            self._refuse_other(prompt)
        texts = [self._text(prompt) for prompt in prompts]
        whole = [self.whole(prompt) for prompt in prompts]
        text = texts[0][: _shared(texts)]
        tail = _shared([ids[::-1] for ids in whole])
        cut = _certain_cut(self._plain, texts, text)
        ids = (*self._before, *_ids(self._plain, text[:cut]))
        head = Head(ids, text, cut, tail)
        if cut and [self.encode(prompt, head).ids for prompt in prompts] == whole:
            return head
        # The last two might merge with other text than the examples'.
        return Head(whole[0][: max(0, _shared(whole) - 2)], text, 0, tail)

    def starts(self, text: str) -> list[int]:
        """Return where in a text each of its tokens starts, in characters."""
        return starts(self._plain, text)

    def label(self, label: str) -> int:
        """Return the one token that a model answers `label` with.

        Raises:
            ClassifierUnavailable: it takes several.
        """
        if label in self._added:
            return self._added[label]
        lead, answer = (_ids(self._plain, self._answer_lead + text) for text in ("", label))
        if answer[: len(lead)] != lead or len(answer) != len(lead) + 1:
            raise ClassifierUnavailable(
                f"the label {label!r} is not one token of this model; pass labels=(SAFE, UNSAFE) "
                "as the model answers them"
            )
        return answer[-1]

    def _refuse_other(self, prompt: str) -> None:
        """Raise unless a prompt has the recipe's ids, or spells a token that it must not have."""
        spells = any(token in prompt for token in self._added)
        if not spells and self.whole(prompt) != _recipe(self._tokenizer, prompt):
            raise ClassifierUnavailable(
                "the chat template cannot be encoded in parts; use a model whose template writes "
                "a user's message as it is"
            )

    def _text(self, prompt: str) -> str:
        return self._lead + self._strip(encodable(prompt)) + self._trail


def _shared(sequences: Sequence[Sequence[object]]) -> int:
    """Return how many first elements all sequences have in common."""
    return sum(1 for _ in takewhile(lambda each: len(set(each)) == 1, zip(*sequences)))  # noqa: B905  # to the shortest


def _ids(tokenizer: Tokenizer, text: str) -> Tokens:
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids)


def _recipe(tokenizer: Any, prompt: str) -> Tokens:
    chat = [{"role": "user", "content": prompt}]
    encoded = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)
    return tuple(encoded["input_ids"])


class _Frame(NamedTuple):
    before: str
    after: str
    strip: Callable[[str], str]


def _frame(tokenizer: Any) -> _Frame:
    """Return what the chat template writes around a message, and how it strips it."""
    padded = f" \n{_PROBE}\n "
    for strip in (str, str.strip, str.lstrip, str.rstrip):
        before, found, after = _written(tokenizer, padded).partition(strip(padded))
        if found and _written(tokenizer, _PROBE) == before + _PROBE + after:
            return _Frame(before, after, strip)
    raise ClassifierUnavailable(
        "the tokenizer's chat template does not write a user's message as it is; use a model "
        "whose template does"
    )


def _written(tokenizer: Any, message: str) -> str:
    chat = [{"role": "user", "content": message}]
    try:
        written = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    except Exception as error:  # a template is a program: it may raise whatever it likes
        raise ClassifierUnavailable(
            f"the tokenizer has no chat template for a user's message ({error}); use the "
            "instruction-tuned model's tokenizer"
        ) from error
    return str(written)


def _certain_cut(tokenizer: Tokenizer, texts: Sequence[str], common: str) -> int:
    """Return the last place in a common beginning where the tokenizer splits whatever follows.

    Pre-tokenizers split by patterns that look at most one character ahead. So where a piece lies
    within the common beginning, with a common character after it, its start is certain.
    """
    if tokenizer.pre_tokenizer is None:
        return 0
    cuts = set()
    for text in texts:
        pieces = tokenizer.pre_tokenizer.pre_tokenize_str(text)
        cuts.add(max((start for _, (start, end) in pieces if end < len(common)), default=0))
    return cuts.pop() if len(cuts) == 1 else 0
