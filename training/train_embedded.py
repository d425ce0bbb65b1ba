"""Train, export and measure the embedded classifier, in one command.

python -m training.train_embedded --public train.jsonl --dev DIR

`train.jsonl` and the sets in DIR are described in the model card. The same seed gives the same
weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from guardrail.classifiers.embedded import Embedded
from guardrail.classifiers.embedded.network import WEIGHTS
from training.calibrate import Platt, threshold
from training.corpus import drawing
from training.encode import Encoded, Vocabulary
from training.evaluate import ORDINARY, development, heldout, report, scores, verdicts
from training.examples import Example, json_lines
from training.export import export
from training.fit import Plan, fit
from training.parts import HELDOUT, Share
from training.reader import Reader

METRICS = Path(__file__).with_name("metrics.json")
