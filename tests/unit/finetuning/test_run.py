"""Whole runs with a tiny Llama: it learns, what is stored is what was measured, and resuming."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, EvalPrediction

from guardrail import Guard
from guardrail.classifiers import KoSafeGuard
from guardrail.classifiers.kosafeguard import Loaded
from guardrail.classifiers.kosafeguard.encode import Encoder
from guardrail.classifiers.kosafeguard.load import load
from guardrail.classifiers.kosafeguard.prompts import Prompts, label_ids
from guardrail.errors import ClassifierUnavailable, ConfigError
from guardrail.evaluation.figures import NAMES
from guardrail.evaluation.measures import Judgement, measure
from guardrail.finetuning import Choice, Method, Settings, Trained, train
from guardrail.finetuning.data import Data
from guardrail.finetuning.packing import packed, prepare
from guardrail.finetuning.report import card
from guardrail.finetuning.samples import measured
from guardrail.finetuning.trainer import figures
from guardrail.prompt import render
from tests.unit.finetuning.helpers import (
    FORBIDDEN,
    RULE,
    learning,
    rows,
    settings,
    trained,
    unseen,
)

LABELS = ("safe", "unsafe")
_OURS = ("labels", "rows", "weights")


def scores(folder: Path, revision: str | None = None, **how: Any) -> list[float]:
    """Return what the engine says of the unseen rows."""
    guard = KoSafeGuard(
        folder,
        revision=revision,
        device="cpu",
        taxonomy=RULE,
        min_label_mass=0.0,
        **{"quantization": None, **how},
    )
    verdicts = guard.classify_many([row.conversation for row in unseen().rows()])
    guard.close()
    return [verdict.score for verdict in verdicts]


def figures_of(found: list[float]) -> dict[str, float]:
    """Return figures of the engine's scores on the unseen rows."""
    unsafe, score = np.array([row.unsafe for row in unseen().rows()]), np.array(found)
    judged = Judgement(unsafe, score >= 0.5, score, np.full(len(score), -1, np.int8))
    measured = measure(judged, resamples=0)
    return {name: one.value for name in NAMES if (one := measured.get(name)) is not None}


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return the log of the last checkpoint, without what a clock says."""
    last = max(folder.glob("checkpoint-*"), key=lambda one: int(one.name.split("-")[1]))
    history = json.loads((last / "trainer_state.json").read_text())["log_history"]
    clocks = ("_runtime", "_per_second", "_preparation_time")
    return [{k: v for k, v in one.items() if not k.endswith(clocks)} for one in history]


@pytest.fixture(scope="module")
def learnt(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run that is long enough to learn the rule."""
    return trained(base, tmp_path_factory.mktemp("run") / "guard", 2000, every=0.125)


@pytest.fixture(scope="module")
def adapted(lively: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A short run with an adapter, merged at the end."""
    return trained(lively, tmp_path_factory.mktemp("run") / "lora", method=Method.LORA)


def test_it_learns_a_rule(learnt: Trained) -> None:
    """From a coin's accuracy to a rule's, on replies it has not seen."""
    accuracies = [line.figures["accuracy"] for line in learnt.lines]

    assert accuracies[0] < 0.6
    assert accuracies[-1] > 0.95


def test_every_part_of_an_epoch_is_saved_and_evaluated(learnt: Trained) -> None:
    """Each eighth has a line in the table and a folder that is a revision."""
    steps = [line.steps for line in learnt.lines]

    assert len(steps) == 8
    assert all((learnt.folder / f"checkpoint-{one}" / "config.json").exists() for one in steps)


def test_the_chosen_model_scores_as_measured(learnt: Trained) -> None:
    """The engine's figures with the stored folder are those of the table's main line."""
    (main,) = [line for line in learnt.lines if line.steps == learnt.choice.steps]

    assert figures_of(scores(learnt.folder)) == pytest.approx(dict(main.figures), abs=1e-5)


def test_a_revision_scores_as_measured(learnt: Trained) -> None:
    """So do the checkpoints, by their names."""
    line = learnt.lines[3]
    found = scores(learnt.folder, revision=f"checkpoint-{line.steps}")

    assert figures_of(found) == pytest.approx(dict(line.figures), abs=1e-5)


def test_main_is_the_folder_itself(learnt: Trained) -> None:
    """The revision "main" is the chosen model, and the chosen checkpoint's twin."""
    chosen = f"checkpoint-{learnt.choice.steps}"

    assert scores(learnt.folder, "main") == scores(learnt.folder, chosen)


def test_an_unknown_revision_is_refused(learnt: Trained) -> None:
    """A folder without such a revision does not quietly give another model."""
    with pytest.raises(ClassifierUnavailable, match=r"no revision 'checkpoint-1'; it has main, ch"):
        scores(learnt.folder, "checkpoint-1")


def test_behind_a_guard(learnt: Trained) -> None:
    """The stored folder is a guard's classifier as it stands, label mass and all."""
    guard = KoSafeGuard(learnt.folder, quantization=None, device="cpu", taxonomy=RULE)
    outcome = Guard(guard).check(user="안녕", assistant=f"네 오늘 {FORBIDDEN} 또 좋아요 감사합니다")

    assert outcome.blocked


def test_what_stands_beside_the_weights_is_the_bases(base: Path, learnt: Trained) -> None:
    """Configuration, tokenizer and template are the base's bytes, so what serves it serves this."""
    names = ("config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja")

    for name in names:
        assert (learnt.folder / name).read_bytes() == (base / name).read_bytes()


def test_plain_transformers_loads_it(learnt: Trained) -> None:
    """Without this package: the template, one greedy token, and it is a label."""
    model = AutoModelForCausalLM.from_pretrained(learnt.folder)
    tokenizer = AutoTokenizer.from_pretrained(learnt.folder)
    chat = [{"role": "user", "content": render(rows(2, 5)[0].conversation, taxonomy=RULE)}]
    asked = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**asked, max_new_tokens=1, do_sample=False)[0, -1:]

    assert tokenizer.decode(answer) == "unsafe"


def test_the_card_says_what_was_done(learnt: Trained) -> None:
    """The model card has the table, the choice with its reason, the data and the plot."""
    text = (learnt.folder / "README.md").read_text("utf-8")

    assert f"| unseen | {learnt.choice.steps} (main) |" in text
    assert learnt.choice.reason in text
    assert "- learning: 2000 rows, 1000 unsafe" in text
    assert "(evaluation.svg)" in text
    assert "<svg" in (learnt.folder / "evaluation.svg").read_text("utf-8")


def test_the_cards_command_takes_any_name() -> None:
    """A folder's name with a space is still one argument."""
    text = card(Settings(), Data([], {}, [], {}), 1, [], Choice(1, 0.5, "why"), name="my guard")

    assert "\nvllm serve 'my guard' --served" in text


def test_tensorboard_has_the_logs(learnt: Trained) -> None:
    """The run's figures can be looked at in TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (run,) = (learnt.folder / "runs").iterdir()
    events = EventAccumulator(str(run)).Reload()

    assert {"train/loss", "eval/unseen_f1"} <= set(events.Tags()["scalars"])


def test_only_the_last_checkpoint_can_be_gone_on_from(learnt: Trained) -> None:
    """The optimiser's state, twice the weights, is kept once."""
    assert len(list(learnt.folder.glob("checkpoint-*/optimizer.pt"))) == 1


def test_merged_equals_applied(adapted: Trained) -> None:
    """The stored model scores what the adapter beside its base scores."""
    from peft import PeftModel

    checkpoint = adapted.folder / f"checkpoint-{adapted.choice.steps}"
    base = json.loads((checkpoint / "adapter_config.json").read_text())["base_model_name_or_path"]
    with pytest.warns(FutureWarning):  # peft asks transformers by an older name
        applied = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), checkpoint)
    guard = KoSafeGuard.from_loaded(
        applied.get_base_model(),
        AutoTokenizer.from_pretrained(base),
        taxonomy=RULE,
        min_label_mass=0.0,
    )
    expected = [guard.classify(row.conversation).score for row in unseen().rows()]

    assert scores(adapted.folder) == pytest.approx(expected, abs=1e-5)
    assert scores(Path(base)) != pytest.approx(expected, abs=1e-3)


def test_an_adapter_is_a_revision(adapted: Trained) -> None:
    """A checkpoint that is an adapter loads with its base, and scores as measured."""
    steps = adapted.lines[0].steps
    name = f"checkpoint-{steps}"
    readings = packed_readings(
        load(adapted.folder, revision=name, quantization=None, device="cpu", dtype="auto")
    )

    assert figures(readings) == pytest.approx(told(adapted, steps), abs=1e-5)
    assert scores(adapted.folder, name) == pytest.approx(scores_of(readings), abs=1e-5)


def test_qlora(lively: Path, tmp_path: Path) -> None:
    """A 4-bit base learns through its adapter; both load again and score as measured.

    The engine within 0.02: the CPU's 4-bit kernels round otherwise for few rows than for many.
    """
    run = trained(lively, tmp_path / "guard", 32, method=Method.QLORA)
    how = {"quantization": "4bit", "dtype": torch.float32}
    readings = packed_readings(load(run.folder, device="cpu", **how))

    assert not (run.folder / "model.safetensors").exists()
    assert figures(readings) == pytest.approx(told(run, run.choice.steps), abs=1e-5)
    assert scores(run.folder, **how) == pytest.approx(scores_of(readings), abs=0.02)


def told(run: Trained, steps: int) -> dict[str, float]:
    """Return what was logged of a checkpoint on the unseen rows."""
    entry = next(
        one for one in logged(run.folder) if one["step"] == steps and "eval_unseen_loss" in one
    )
    return {
        name.removeprefix("eval_unseen_"): value
        for name, value in entry.items()
        if name.startswith("eval_unseen_")
    }


def scores_of(readings: EvalPrediction) -> list[float]:
    """Return the probability of unsafe, of the two labels alone."""
    found: list[float] = torch.tensor(readings.predictions).softmax(-1)[:, 1].tolist()
    return found


def packed_readings(loaded: Loaded) -> EvalPrediction:
    """Return what a model says of the unseen rows in one packed forward, as in training."""
    encoder = Encoder(loaded.tokenizer)
    prompts = Prompts(encoder, render, limit=8192)
    samples = measured({"unseen": list(unseen().rows())}, prompts, RULE)["unseen"]
    prepare(loaded.model)
    batch = {name: value for name, value in packed(samples).items() if name not in _OURS}
    with torch.inference_mode():
        logits = loaded.model.eval()(**batch, use_cache=False).logits[0]
    labels = list(label_ids(encoder, LABELS))
    answers = [[int(sample.unsafe), sample.row] for sample in samples]
    return EvalPrediction(logits.float().log_softmax(-1)[:, labels].numpy(), np.array(answers))


def test_bfloat16_with_checkpointing(base: Path, tmp_path: Path) -> None:
    """Both can be turned on; weights that learn stay in float32."""
    run = trained(base, tmp_path / "guard", 32, bf16=True, checkpointing=True)
    weights = load_file(run.folder / f"checkpoint-{run.choice.steps}" / "model.safetensors")

    assert {weight.dtype for weight in weights.values()} == {torch.float32}


_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tests.unit.finetuning.helpers import RULE, learning, settings, unseen
from guardrail.finetuning import train
torch.set_num_threads(1)
def tell(text):
    if "step 2" in text:
        os.kill(os.getpid(), signal.SIGKILL)
base, out, method = sys.argv[1:]
train([learning()], out, sets=[unseen()], taxonomy=RULE, tell=tell,
      settings=settings(Path(base), method=method, every=0.25))
"""


@pytest.mark.parametrize("method", [Method.FULL, Method.LORA])
def test_resumed_equals_uninterrupted(lively: Path, tmp_path: Path, method: Method) -> None:
    """After a kill the run goes on to the same weights, optimiser and log, bit for bit.

    The kill comes between a checkpoint and the next, of which a part is written already.
    """
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    trained(lively, whole, method=method, every=0.25)
    killed = subprocess.run([sys.executable, "-c", _KILLED, lively, resumed, method], check=False)
    torn = resumed / "checkpoint-3"
    torn.mkdir()
    (torn / "config.json").write_text("{}")
    train(
        [learning()],
        resumed,
        sets=[unseen()],
        settings=settings(lively, method=method, every=0.25),
        taxonomy=RULE,
        resume=True,
    )

    assert killed.returncode == -signal.SIGKILL
    assert logged(resumed) == logged(whole)
    for path in sorted(whole.rglob("*.safetensors")):
        assert path.read_bytes() == (resumed / path.relative_to(whole)).read_bytes()
    assert _state(resumed) == _state(whole)


def _state(folder: Path) -> str:
    """Return the optimiser's last state in words."""
    (path,) = folder.glob("checkpoint-*/optimizer.pt")
    state = torch.load(path, weights_only=True)["state"]
    return repr({key: {k: v.tolist() for k, v in one.items()} for key, one in state.items()})


def test_processes_share_the_work(base: Path, tmp_path: Path) -> None:
    """Two processes make of the same rows what one does, whatever launches them."""
    alone = trained(base, tmp_path / "alone", 32)
    code = (
        "import sys; from pathlib import Path; from tests.unit.finetuning.helpers import trained;"
        "trained(Path(sys.argv[1]), Path(sys.argv[2]), 32)"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         script, base, tmp_path / "shared"],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
    )  # fmt: skip
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "shared"))

    assert alone.choice.steps
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-4, atol=1e-5)


def test_a_folder_of_another_run_is_refused(adapted: Trained, lively: Path) -> None:
    """Neither overwritten, nor gone on with as if it were the same."""
    with pytest.raises(ConfigError, match="--resume"):
        trained(lively, adapted.folder, method=Method.LORA)
    with pytest.raises(ConfigError, match="settings seed was 0, now 7"):
        train(
            [learning()],
            adapted.folder,
            sets=[unseen()],
            settings=settings(lively, method=Method.LORA, seed=7),
            taxonomy=RULE,
            resume=True,
        )
