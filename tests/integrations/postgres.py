"""A real PostgreSQL server for tests: in a folder of its own, on the loopback interface."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["running_postgres"]

_OWNER = "guard"


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the URL of an empty database, whose server ends with the block.

    Debian's package puts the programs where no PATH looks. The server refuses to run as root, so
    there it runs as the user that the package made. Skips where there is no server; fails in CI.
    """
    programs = _programs()
    if programs is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "PostgreSQL's server is not installed"
        )
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    account = _account(folder)
    try:
        _initialise(programs, folder, account)
        with _serving(programs, folder, account) as port:
            yield f"postgresql://{_OWNER}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path))
    return found[0].parent if found else None


def _account(folder: Path) -> dict[str, Any]:
    """Return the arguments that make a process the owner of the folder, and no root."""
    if os.geteuid() != 0:
        return {}
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _initialise(programs: Path, folder: Path, account: dict[str, Any]) -> None:
    subprocess.run(
        [
            programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            _OWNER,
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        **account,
    )


@contextmanager
def _serving(programs: Path, folder: Path, account: dict[str, Any]) -> Iterator[int]:
    port = _free_port()
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with subprocess.Popen(
        [programs / "postgres", "-D", folder / "data", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **account,
    ) as server:
        try:
            _await(port, server)
            yield port
        finally:
            server.send_signal(2)  # a fast shutdown


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers that it takes connections."""
    import psycopg

    last = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user={_OWNER} dbname=postgres").close()
        except psycopg.OperationalError:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < last, "the server does not answer"
            time.sleep(0.05)
        else:
            return
