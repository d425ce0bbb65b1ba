"""When a growing reply is judged: at which lengths, preferably at the ends of sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from guardrail.settings import NoSwitch, Settings

__all__ = ["Cut", "Window", "sentence_end"]

# Full stops count once something follows them ("3." may become "3.5"); Korean verb endings when a
# space does; newlines, ideographic marks and runs of chat letters by themselves.
_SENTENCE_END = re.compile(
    r"(?:[.!?~]+[\"')\]”’」』]*(?=\s)|[다요죠까네](?=\s)|[…。！？]+|\^\^|[ㅋㅎㅠㅜ]{2,}(?=[^ㅋㅎㅠㅜ])|\n)\s*"
)


@dataclass(frozen=True, slots=True)
class Cut:
    """A place at which a growing text is judged, in characters from some start.

    Args:
        judge: up to where it is judged.
        show: up to where it may be shown if that passes; a word that may go on is not shown.
    """

    judge: int
    show: int


class Window(Settings):
    """How a streamed reply is judged while it grows.

    The first check comes early, so that text appears soon; each later one waits until the reply
    has grown by a share of its length, so that every character is judged about three times in all.

    Args:
        first: characters after which the first check comes, unless a sentence ends before.
        growth: share of the checked length by which the reply grows until the next check.
        most: characters at most until the next check.
        tail: characters held back where no sentence ends, so that what comes next is judged with
            them: no part of an unsafe phrase this long is shown for being cut in two.
        early_threshold: score from which an unsafe prefix ends the stream; below it the text is
            held until a later check decides. None goes by the policy alone, as the end does.
        in_a_row: unsafe prefixes in a row that end the stream.
    """

    first: Annotated[int, Field(ge=1)] = 32
    growth: Annotated[float, NoSwitch, Field(gt=0.0)] = 0.5
    most: Annotated[int, Field(ge=1)] = 400
    tail: Annotated[int, Field(ge=0)] = 16
    early_threshold: Annotated[float, NoSwitch, Field(ge=0.0, le=1.0)] | None = None
    in_a_row: Annotated[int, Field(ge=1)] = 1

    def soft(self, judged: int) -> int:
        """Return the new characters after which a sentence's end is judged."""
        return 1 if judged == 0 else int(min(max(judged * self.growth, self.first), self.most))

    def hard(self, judged: int) -> int:
        """Return the new characters after which the reply is judged wherever it stands."""
        return self.first if judged == 0 else self.soft(judged) * 3 // 2

    def cut(self, judged: int, fresh: str) -> Cut | None:
        """Return how much of the fresh text to judge now; None for not yet.

        Args:
            judged: characters already judged.
            fresh: the text after them.
        """
        end = sentence_end(fresh, self.soft(judged))
        if end is not None:
            return Cut(end, end)
        return Cut(len(fresh), len(fresh) - self.tail) if len(fresh) >= self.hard(judged) else None


def sentence_end(text: str, least: int) -> int | None:
    """Return the last place at which a sentence has ended, from so many characters on."""
    ends = (match.end() for match in _SENTENCE_END.finditer(text))
    return max((end for end in ends if end >= least), default=None)
