"""A KoSafeGuard of your own: fine-tuning on labelled turns; comes with `guardrail-ko[train]`.

>>> from guardrail.finetuning import Settings, train
>>> train(["reviewed.jsonl"], "my-guard", settings=Settings(epochs=2))    # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from guardrail.errors import needing

if TYPE_CHECKING:
    from guardrail.finetuning.choice import Choice, Line
    from guardrail.finetuning.run import Trained, train
    from guardrail.finetuning.settings import Balance, Duplicates, Method, Settings

__all__ = [
    "Balance",
    "Choice",
    "Duplicates",
    "Line",
    "Method",
    "Settings",
    "Trained",
    "train",
]

# The command line imports this package to offer its command, so nothing heavy is loaded here.
_HOMES = {
    "Balance": "settings",
    "Choice": "choice",
    "Duplicates": "settings",
    "Line": "choice",
    "Method": "settings",
    "Settings": "settings",
    "Trained": "run",
    "train": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needing("train"), _unadvised():
        module = import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(module, name)


@contextmanager
def _unadvised() -> Iterator[None]:
    """Keep back what bitsandbytes says of faster 4-bit weights on a CPU when it is imported.

    transformers' Trainer imports peft, and peft imports it, also where no weights are quantised.
    """
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
