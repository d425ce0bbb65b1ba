"""Verbs take the endings that wishes and encouragement need."""

from __future__ import annotations

import pytest

training = pytest.importorskip("training.corpus", reason="the training scripts need torch")

from training.parts import Share, load_parts  # noqa: E402
from training.verbs import inflected  # noqa: E402


@pytest.mark.parametrize(
    ("doing", "to", "wish", "will", "may"),
    [
        ("책을 읽는", "책을 읽으려고", "책을 읽고", "책을 읽을", "책을 읽어"),
        ("문을 여는", "문을 열려고", "문을 열고", "문을 열", "문을 열어"),
        ("공부하는", "공부하려고", "공부하고", "공부할", "공부해"),
        ("친구를 돕는", "친구를 도우려고", "친구를 돕고", "친구를 도울", "친구를 도와"),
        ("고기를 굽는", "고기를 구우려고", "고기를 굽고", "고기를 구울", "고기를 구워"),
        ("음악을 듣는", "음악을 들으려고", "음악을 듣고", "음악을 들을", "음악을 들어"),
        ("밥을 짓는", "밥을 지으려고", "밥을 짓고", "밥을 지을", "밥을 지어"),
        ("옷을 고르는", "옷을 고르려고", "옷을 고르고", "옷을 고를", "옷을 골라"),
        ("뒤를 따르는", "뒤를 따르려고", "뒤를 따르고", "뒤를 따를", "뒤를 따라"),
        ("김치를 담그는", "김치를 담그려고", "김치를 담그고", "김치를 담글", "김치를 담가"),
        ("편지를 쓰는", "편지를 쓰려고", "편지를 쓰고", "편지를 쓸", "편지를 써"),
        ("노래를 배우는", "노래를 배우려고", "노래를 배우고", "노래를 배울", "노래를 배워"),
        ("공을 던지는", "공을 던지려고", "공을 던지고", "공을 던질", "공을 던져"),
        ("손을 잡는", "손을 잡으려고", "손을 잡고", "손을 잡을", "손을 잡아"),
    ],
)
def test_endings(doing: str, to: str, wish: str, will: str, may: str) -> None:
    """Regular and irregular stems alike."""
    found = inflected({"noun": "", "doing": doing, "to": to})

    assert (found["wish"], found["will"], found["may"]) == (wish, will, may)


def test_the_verb_stands_alone_too() -> None:
    """Short encouragement and short refusals echo no more than the verb."""
    found = inflected({"noun": "낮잠", "doing": "낮잠을 자는", "to": "낮잠을 자려고"})

    assert (found["act"], found["not"], found["stop"]) == ("자", "낮잠을 자지", "자지")


def test_each_topic_gives_its_forms_in_the_same_way() -> None:
    """What is done ends in 는, what for in 려고; other endings would be taken apart wrongly."""
    parts = load_parts(Share()).values()
    topics = [t for part in parts for t in (*part["topics"], *part["safe_topics"])]

    assert not [t for t in topics if not t["doing"].endswith("는") or t["to"][-2:] != "려고"]
