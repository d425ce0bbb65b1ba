"""One replica, without a cluster: its health, and what its classifier may do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from guardrail.config import ClassifierConfig
from guardrail.errors import ClassifierProtocolError, ClassifierUnavailable, ConfigError
from guardrail.integrations.ray_serve.replica import Judge
from guardrail.types import exchange


def judge(file: Path) -> Judge:
    """Return a replica whose classifier cannot work while the file is there."""
    return Judge(ClassifierConfig(kind="tests.ray.judges:Breaking", file=str(file)))


async def asked(replica: Judge, text: str = "안녕") -> Any:
    """Return what a replica says of a text."""
    answers = await replica.classify_many([exchange("q", text)], 5.0)
    return answers if isinstance(answers, Exception) else answers[0]


def test_a_replica_that_stopped_working_asks_to_be_replaced(tmp_path: Path) -> None:
    """As after an error of its GPU, which no waiting mends."""

    async def live() -> None:
        replica = judge(tmp_path / "broken")
        await replica.check_health()
        (tmp_path / "broken").touch()
        assert isinstance(await asked(replica), ClassifierUnavailable)
        await replica.check_health()

    with pytest.raises(ClassifierUnavailable):
        asyncio.run(live())


def test_a_replica_that_works_again_stays(tmp_path: Path) -> None:
    """What has passed is no reason."""

    async def live() -> Any:
        replica, broken = judge(tmp_path / "broken"), tmp_path / "broken"
        broken.touch()
        await asked(replica)
        broken.unlink()
        await replica.check_health()
        return await asked(replica)

    assert not asyncio.run(live()).unsafe


def test_a_replica_whose_server_is_not_up_yet_is_started(tmp_path: Path) -> None:
    """And not replaced by others that could do no more."""

    async def live() -> Any:
        (tmp_path / "broken").touch()
        replica = judge(tmp_path / "broken")
        heard = await asked(replica)
        await replica.check_health()
        return heard

    assert isinstance(asyncio.run(live()), ClassifierUnavailable)


def test_no_text_can_have_a_replica_replaced(tmp_path: Path) -> None:
    """An answer that is no verdict is about the text, not about the replica."""

    async def live() -> Any:
        replica = judge(tmp_path / "broken")
        heard = await asked(replica, "raise:protocol")
        await replica.check_health()
        return heard

    assert isinstance(asyncio.run(live()), ClassifierProtocolError)


def test_a_classifier_that_cannot_be_built_is_an_error_at_once() -> None:
    """The deployment fails, and `serve status` says why."""
    with pytest.raises(ConfigError, match="no_such"):
        Judge(ClassifierConfig(kind="no_such.module:Class"))
