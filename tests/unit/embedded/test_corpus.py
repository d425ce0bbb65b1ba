"""The composed corpus is sound: every slot filled, the same for the same seed."""

from __future__ import annotations

import random
import re

import pytest

training = pytest.importorskip("training.corpus", reason="the training scripts need torch")

from training.comments import comments  # noqa: E402
from training.corpus import composed  # noqa: E402
from training.josa import fill, particle  # noqa: E402
from training.parts import Share, load_parts  # noqa: E402

SLOT = re.compile(r"\{(?:noun2?|doing2?|to2?|wish|will|may|act|not|stop)\b")


@pytest.mark.parametrize(
    ("word", "kind", "right"),
    [
        ("지갑", "을", "을"),
        ("도구", "을", "를"),
        ("술", "으로", "로"),
        ("약", "으로", "으로"),
        ("나이프", "으로", "로"),
        ("총 3", "이", "이"),
        ("PC", "은", "는"),
        ("'게임'", "과", "과"),
        ("노인들", "이랑", "이랑"),
        ("저 배우", "이라고", "라고"),
    ],
)
def test_the_particle_follows_the_last_letter(word: str, kind: str, right: str) -> None:
    """After a consonant one form, after a vowel the other."""
    assert particle(word, kind) == right


def test_a_sentence_is_filled() -> None:
    """Every form of a topic has its slot."""
    topic = {"noun": "낮잠", "doing": "낮잠을 자는", "to": "낮잠을 자려고"}

    assert (
        fill("{noun:은} 좋죠. {doing} 법, {to} 해요.", topic)
        == "낮잠은 좋죠. 낮잠을 자는 법, 낮잠을 자려고 해요."
    )


def test_no_slot_is_left_open() -> None:
    """No composed turn shows the seams."""
    turns = composed(Share(), 300, seed=1)

    assert not [turn for turn in turns if SLOT.search(f"{turn.user} {turn.reply}")]


def test_comments_are_half_unsafe_and_whole() -> None:
    """Neither side outweighs the other, and no subject is missing."""
    made = list(comments(Share(), 400, random.Random(1)))

    assert sum(row["unsafe"] for row in made) == 200
    assert not [row["text"] for row in made if SLOT.search(row["text"]) or not row["text"].strip()]


def test_one_seed_gives_one_corpus() -> None:
    """Composition is deterministic."""
    assert composed(Share(), 100, seed=3) == composed(Share(), 100, seed=3)
    assert composed(Share(), 100, seed=3) != composed(Share(), 100, seed=4)


def test_a_share_keeps_to_itself() -> None:
    """What is held out for measuring is not trained on."""
    kept, held = (load_parts(Share(holdout=held))["O3"]["topics"] for held in (False, True))

    assert kept
    assert held
    assert not [topic for topic in kept if topic in held]
