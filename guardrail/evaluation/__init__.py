"""How good a classifier and a policy are, on your own data; comes with `guardrail-ko[eval]`.

>>> from guardrail.evaluation import evaluate
>>> report = evaluate(["reviewed.jsonl"])                             # doctest: +SKIP
>>> report.save("report.html")                                        # doctest: +SKIP
>>> report.failures(min_recall=0.9, max_fpr=0.02)                     # doctest: +SKIP
()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guardrail.evaluation.calibration import Calibration, calibrate
    from guardrail.evaluation.candidates import Candidate
    from guardrail.evaluation.columns import Columns
    from guardrail.evaluation.data import Dataset
    from guardrail.evaluation.figures import Figure, Figures
    from guardrail.evaluation.perturb import PERTURBATIONS
    from guardrail.evaluation.policy_file import write_policy
    from guardrail.evaluation.report import Report
    from guardrail.evaluation.rows import Row
    from guardrail.evaluation.run import evaluate
    from guardrail.evaluation.streaming import SCHEDULES
    from guardrail.evaluation.targets import Goal, InsufficientData, Target

__all__ = [
    "PERTURBATIONS",
    "SCHEDULES",
    "Calibration",
    "Candidate",
    "Columns",
    "Dataset",
    "Figure",
    "Figures",
    "Goal",
    "InsufficientData",
    "Report",
    "Row",
    "Target",
    "calibrate",
    "evaluate",
    "write_policy",
]

# The command line imports this package to offer its commands, so nothing heavy is loaded here.
_HOMES = {
    "PERTURBATIONS": "perturb",
    "SCHEDULES": "streaming",
    "Calibration": "calibration",
    "Candidate": "candidates",
    "Columns": "columns",
    "Dataset": "data",
    "Figure": "figures",
    "Figures": "figures",
    "Goal": "targets",
    "InsufficientData": "targets",
    "Report": "report",
    "Row": "rows",
    "Target": "targets",
    "calibrate": "calibration",
    "evaluate": "run",
    "write_policy": "policy_file",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
