"""The corpus on disk: parts to compose turns from, and safe turns written out in full."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from training.examples import Example, json_lines

__all__ = [
    "CATEGORIES",
    "CORPUS",
    "HELDOUT",
    "Parts",
    "Share",
    "load_comments",
    "load_parts",
    "plain",
    "refusal_sentences",
    "safe_turns",
]

CORPUS = Path(__file__).parent / "corpus"
HELDOUT = Path(__file__).parent / "heldout"
CATEGORIES = ("O1", "O2", "O3", "O4", "O5", "O6")

Parts: TypeAlias = dict[str, Any]
"""One category's file: lists of topics and of sentences, by use and by register."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which of the parts to use, so that a model can be measured on parts it never saw.

    Args:
        holdout: keep the tenth that is held out, rather than the rest; None keeps everything.
    """

    holdout: bool | None = None

    def keeps(self, item: object) -> bool:
        """Whether an item belongs to this share; stable across runs and machines."""
        if self.holdout is None:
            return True
        text = json.dumps(item, ensure_ascii=False, sort_keys=True)
        return (zlib.crc32(text.encode()) % 10 == 0) is self.holdout


def load_parts(share: Share, folder: Path = CORPUS / "parts") -> dict[str, Parts]:
    """Return each category's parts; files of one category are joined, `any*.json` with all."""
    joined: dict[str, Parts] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for category in CATEGORIES if path.stem.startswith("any") else (path.stem[:2],):
            joined[category] = _merge(joined.get(category), content)
    return {category: _share(parts, share) for category, parts in joined.items()}


def _merge(one: Any, other: Any) -> Any:
    """Join two trees of lists."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, list):
        return [*one, *other]
    return {
        key: _merge(one.get(key), other.get(key))
        for key in (*one, *(k for k in other if k not in one))
    }


def _share(parts: Any, share: Share) -> Any:
    if isinstance(parts, list):
        return [item for item in parts if share.keeps(item)]
    return {key: _share(value, share) for key, value in parts.items()}


def safe_turns(share: Share, folder: Path = CORPUS / "safe") -> Iterator[Example]:
    """Yield the turns written out as safe, as `safe-<kind>`."""
    for path in sorted(folder.glob("*.jsonl")):
        for row in json_lines(path):
            if share.keeps(row):
                kind = f"safe-{row.get('kind', path.stem)}"
                yield Example(
                    row.get("user") or "", row.get("assistant"), False, row.get("topic"), kind
                )


def refusal_sentences(
    share: Share, path: Path = CORPUS / "safe" / "refusal_sentences.json"
) -> Parts:
    """Return refusals that fit any request, by register."""
    sentences: Parts = _share(json.loads(path.read_text(encoding="utf-8")), share)
    return sentences


def load_comments(share: Share, folder: Path = CORPUS) -> Parts:
    """Return what comments under articles and videos are made of."""
    joined: Any = None
    for path in sorted(folder.glob("comments*.json")):
        joined = _merge(joined, json.loads(path.read_text(encoding="utf-8")))
    lists: Parts = _share(joined, share)
    return lists


def plain(part: Any) -> list[str]:
    """Return all sentences without a slot, however deep they lie."""
    if isinstance(part, str):
        return [] if "{" in part else [part]
    inner = part if isinstance(part, list) else part.values()
    return [sentence for item in inner for sentence in plain(item)]
