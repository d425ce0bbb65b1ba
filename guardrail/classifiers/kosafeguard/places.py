"""Where a model is: on the hub, in a folder, or in a folder as an adapter of another model.

A folder of one's own has revisions as a model on the hub has: the folders in it that hold a model,
as transformers' Trainer saves them (`checkpoint-500`). "main" is the folder itself.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guardrail.errors import ClassifierUnavailable, needing

__all__ = ["Place", "base_of", "place_of", "with_adapter"]

_ADAPTER = "adapter_config.json"
_CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Place:
    """What transformers loads from.

    Args:
        name: hub name, or path of a folder.
        revision: on the hub.
    """

    name: str
    revision: str | None = None


def place_of(model: str | Path, revision: str | None) -> Place:
    """Return where a model and its revision are.

    Raises:
        ClassifierUnavailable: a folder has no such revision; transformers would take the folder
            itself, whatever it is asked for.
    """
    folder = Path(model)
    if revision is None or not folder.is_dir():
        return Place(str(model), revision)
    if revision == "main":
        return Place(str(folder))
    there = {one.name: one for one in _revisions(folder)}
    if revision not in there:
        raise ClassifierUnavailable(
            f"{str(folder)!r} has no revision {revision!r}; it has {', '.join(['main', *there])}"
        )
    return Place(str(there[revision]))


def _revisions(folder: Path) -> Iterator[Path]:
    for one in sorted(folder.iterdir()):
        if (one / _CONFIG).is_file() or (one / _ADAPTER).is_file():
            yield one


def base_of(place: Place) -> Place:
    """Return where the weights are that a folder's adapter belongs to; else the place itself.

    Raises:
        ClassifierUnavailable: the adapter does not say.
    """
    path = Path(place.name) / _ADAPTER
    if not path.is_file() or (Path(place.name) / _CONFIG).is_file():
        return place
    try:
        config = json.loads(path.read_text("utf-8"))
        return Place(config["base_model_name_or_path"], config.get("revision"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClassifierUnavailable(f"{path} names no base model: {error!r}") from error


def with_adapter(model: Any, adapter: Place, *, merge: bool) -> Any:
    """Return a model with an adapter applied to it, in place.

    Args:
        model: the adapter's base.
        adapter: a folder.
        merge: add it to the weights; quantised weights cannot take it, and it stays beside them.

    Raises:
        MissingExtraError: peft is not installed.
    """
    with needing("train"):
        from peft import PeftModel
    with warnings.catch_warnings():  # peft asks transformers by an older name
        warnings.simplefilter("ignore", FutureWarning)
        # It would leave these as they were made, which is as if they had learnt nothing.
        warnings.filterwarnings("error", "Found missing adapter keys")
        adapted = PeftModel.from_pretrained(model, adapter.name)
    return adapted.merge_and_unload() if merge else adapted.get_base_model()
