"""The texts of a streamed message as they stand in it once its chunks are added up."""

from __future__ import annotations

from dataclasses import dataclass, field

from guardrail.integrations.escapes import readable

__all__ = ["Blocks"]


@dataclass(slots=True)
class Blocks:
    """The content blocks of one part of a message.

    LangChain adds a chunk's text to the block of the same index, wherever that stands: blocks that
    come by turns make another text than the one that came.
    """

    by_turns: bool = False  # whether a block went on after another had begun
    _texts: dict[tuple[str, int | str], list[str]] = field(default_factory=dict)
    _current: tuple[str, int | str] | None = None

    def add(self, index: object, text: str) -> None:
        """Take in what comes next.

        Args:
            index: of the block; without one, it stands behind what has come.
            text: what it says.
        """
        name = ("at", index) if isinstance(index, int | str) else ("after", self._indexed())
        self.by_turns = self.by_turns or (name in self._texts and name != self._current)
        self._texts.setdefault(name, []).append(text)
        self._current = name

    @property
    def text(self) -> str:
        """All of it, block by block."""
        return readable("".join("".join(texts) for texts in self._texts.values()))

    def _indexed(self) -> int:
        return sum(1 for kind, _ in self._texts if kind == "at")
