"""`guardrail serve` as its own process: where its settings come from, what it keeps and sends."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import openai
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from guardrail.audit import RecordText
from guardrail.config import Config
from guardrail.errors import ConfigError
from guardrail.integrations.gateway.serving import ServingConfig
from guardrail.integrations.records import Records

from .gateways import MARKER
from .openai_calls import MESSAGES, says
from .openai_upstream import Upstream

UNSAFE = f"{MARKER}을 알려 드릴게요."
CODE = "import sys; from guardrail.integrations.gateway.cli import main; main(sys.argv[1:])"
CONFIG = f"""
[classifier]
kind = "guardrail.testing:StubClassifier"
unsafe = "{MARKER}"
"""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    for name in os.environ:
        if name.upper().startswith(("GUARDRAIL_", "OTEL_")):
            monkeypatch.delenv(name)


class Running:
    """The command, once it answers.

    Attributes:
        said: what it has said at its start.
        log: all that it said, once it has ended.
    """

    def __init__(self, process: subprocess.Popen[str], said: str) -> None:
        self._process = process
        self.said = said
        self.log = ""

    @property
    def root(self) -> str:
        """Where it is."""
        found = re.search(r"http://\S+:(\d+)/v1", self.said)
        assert found, self.said
        return f"http://127.0.0.1:{found[1]}"

    def ask(self) -> None:
        """Have the model say something, as an app does."""
        with openai.OpenAI(api_key="k", base_url=f"{self.root}/v1", max_retries=0) as client:
            client.chat.completions.create(model="m", messages=MESSAGES)  # type: ignore[arg-type] # a plain dict

    def stop(self) -> None:
        """Tell it to stop, and wait."""
        self._process.send_signal(signal.SIGTERM)
        self.log = self.said + self._process.communicate(timeout=20)[1]


@contextmanager
def running(folder: Path, *options: str, **environment: str) -> Iterator[Running]:
    """Run the command in a folder."""
    config = folder / "guardrail.toml"
    if not config.exists():
        config.write_text(CONFIG, "utf-8")
    with Upstream(says(UNSAFE)) as upstream:
        known = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), **environment}
        command = [sys.executable, "-c", CODE, "-c", str(config), "--port", "0", *options]
        if "--upstream" not in options:
            command += ["--upstream", upstream.url]
        process = subprocess.Popen(
            command, env=known, stderr=subprocess.PIPE, text=True, cwd=folder
        )
        try:
            yield Running(process, _until_up(process))
        finally:
            process.kill()
            process.communicate()


def _until_up(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = ""
    while "startup complete" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def test_decisions_are_kept_without_text_by_default(tmp_path: Path) -> None:
    """In a file of the user's own, which the start names; all are there after the end."""
    with running(tmp_path) as served:
        for _ in range(3):
            served.ask()
        served.stop()
    file = tmp_path / "state" / "guardrail" / "records.db"
    records = Records.open(f"sqlite:///{file}")
    kept = [one.record for one in records.page().records]
    records.close()

    assert [(one.status, one.user, one.reply) for one in kept] == [("blocked", None, None)] * 3
    assert MARKER.encode() not in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"{file}, without any text" in served.said
    assert "Traceback" not in served.log


def test_none_are_kept_where_none_are_wanted(tmp_path: Path) -> None:
    """Not even an empty file."""
    with running(tmp_path, "--no-records") as served:
        served.ask()
        served.stop()

    assert not (tmp_path / "state").exists()
    assert "none are kept" in served.said


def test_a_page_for_others_gets_a_token_of_its_own(tmp_path: Path) -> None:
    """Said once, at the start, in a link that opens the page."""
    with running(tmp_path, "--no-records", "--host", "0.0.0.0") as served:
        (token,) = re.findall(r"#token=(\S+)", served.said)
        shut = httpx.get(f"{served.root}/page/api/state")
        entered = httpx.post(f"{served.root}/page/api/login", json={"token": token})
        served.stop()

    assert (shut.status_code, entered.status_code) == (401, 204)
    assert served.log.count(token) == 1


def test_a_token_that_was_set_is_never_said(tmp_path: Path) -> None:
    """Nor is any key."""
    token, key = "token-of-my-own-choice", "key-of-my-own-choice"
    environment = {"GUARDRAIL_PAGE_TOKEN": token, "GUARDRAIL_KEYS": key}
    with running(tmp_path, "--no-records", **environment) as served:
        headers = {"authorization": f"Bearer {token}"}
        inside = httpx.get(f"{served.root}/page/api/state", headers=headers)
        httpx.get(f"{served.root}/v1/models", headers={"authorization": f"Bearer {key}"})
        served.stop()

    assert inside.status_code == 200
    assert not [one for one in (token, key) if one in served.log]


class Collector:
    """A collector of OpenTelemetry's, on a real socket."""

    def __init__(self) -> None:
        self.spans: list[str] = []
        self.traces: set[str] = set()
        self.services: set[str] = set()
        self.metrics: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, body)
                self.send_response(200)
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        """Take what was sent."""
        if path == "/v1/traces":
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.services |= {
                    one.value.string_value
                    for one in sent.resource.attributes
                    if one.key == "service.name"
                }
                spans = [span for scope in sent.scope_spans for span in scope.spans]
                self.spans += [span.name for span in spans]
                self.traces |= {span.trace_id.hex() for span in spans}
        else:
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics |= {
                    one.name for scope in measured.scope_metrics for one in scope.metrics
                }

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


def test_opentelemetry_gets_spans_of_the_callers_trace_and_metrics(tmp_path: Path) -> None:
    """Where its own variables say; what is left is sent at the end."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    collector = Collector()
    environment = {
        "GUARDRAIL_TELEMETRY__OPENTELEMETRY": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": "my-shop",
    }
    try:
        with running(tmp_path, "--no-records", **environment) as served:
            body = {"model": "m", "messages": MESSAGES, "stream": True}
            headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
            httpx.post(f"{served.root}/v1/chat/completions", json=body, headers=headers)
            served.stop()
    finally:
        collector.close()

    assert collector.spans == ["guardrail.check"]
    assert (collector.traces, collector.services) == ({trace}, {"my-shop"})
    assert {"guardrail.blocked", "guardrail.held_characters"} <= collector.metrics
    assert "Traceback" not in served.log


def test_figures_tell_what_became_of_records(tmp_path: Path) -> None:
    """Prometheus sees those that were lost."""
    with running(tmp_path, "--records", f"sqlite:///{tmp_path}/mine.db") as served:
        served.ask()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            figures = httpx.get(f"{served.root}/metrics").text
            if "guardrail_records_written_total 1.0" in figures:
                break
            time.sleep(0.02)
        served.stop()

    assert "guardrail_records_written_total 1.0" in figures
    assert "guardrail_records_dropped_total 0.0" in figures
    assert not (tmp_path / "state").exists()


# Settings


@pytest.fixture
def write(tmp_path: Path) -> Path:
    """A file with a table for each part."""
    path = tmp_path / "guardrail.toml"
    path.write_text(
        CONFIG
        + '[gateway]\nupstream = "http://file/v1"\nport = 1234\nkeys = ["key-in-file"]\n'
        + '[records]\nurl = "sqlite:///file.db"\nkeep_days = 7\n'
        + "[telemetry]\nopentelemetry = true\n"
        + '[audit]\ntext = "hash"\n',
        "utf-8",
    )
    return path


def test_options_go_before_variables_and_these_before_the_file(
    write: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each for itself."""
    monkeypatch.setenv("GUARDRAIL_GATEWAY__PORT", "5678")
    monkeypatch.setenv("GUARDRAIL_RECORDS__KEEP_DAYS", "30")
    loaded = ServingConfig.load(write).with_options(
        {"upstream": "http://option/v1"}, records="sqlite:///o.db", record_text=RecordText.TEXT
    )

    assert loaded.gateway.upstream == "http://option/v1"
    assert loaded.gateway.port == 5678
    assert [key.get_secret_value() for key in loaded.gateway.keys] == ["key-in-file"]
    assert loaded.records is not None
    assert (loaded.records.url, loaded.records.keep_days) == ("sqlite:///o.db", 30)
    assert (loaded.audit.text, loaded.telemetry.opentelemetry) == ("text", True)


def test_records_can_be_switched_off_anywhere(write: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an option, a variable, or the file."""
    assert ServingConfig.load(write).with_options({}, records=False).records is None
    monkeypatch.setenv("GUARDRAIL_RECORDS", "false")
    assert ServingConfig.load(write).records is None
    monkeypatch.delenv("GUARDRAIL_RECORDS")
    write.write_text("records = false\n", "utf-8")
    assert ServingConfig.load(write).records is None


def test_one_file_serves_all(write: Path) -> None:
    """Other commands leave the gateway's tables alone, and never show what they hold."""
    loaded = Config.load(write)

    assert "key-in-file" not in loaded.to_toml() + loaded.model_dump_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gateway]\nportt = 1\n", r"unknown key 'gateway.portt'; known are .*port"),
        ('[gateway]\nport = "x"\n', r"gateway.port = 'x': .*integer"),
        ('[gateway]\nkeys = ["a b"]\n', r"gateway.keys.0: .*printable"),
        ('[gateway]\npage_token = "a b"\n', r"gateway.page_token: .*(printable|characters)"),
        ("[records]\nkeep_days = -1\n", r"records.keep_days = -1: .*greater"),
        ("[telemetry]\nx = 1\n", r"unknown key 'telemetry.x'; known are opentelemetry"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    """With what would be right; of a key, nothing is repeated."""
    path = tmp_path / "wrong.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        ServingConfig.load(path)
    assert "a b" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the two ways out."""
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    records = ServingConfig.load().records
    assert records is not None
    with pytest.raises(ConfigError, match=r"--records.*--no-records"):
        records.open()


# Without the libraries

BARE = """
import sys
for name in ("aiohttp", "fastapi", "starlette", "uvicorn", "sqlalchemy", "prometheus_client"):
    sys.modules[name] = None
"""
COMMAND = "sys.argv[0] = 'guardrail'\nfrom guardrail.cli import main\nmain()"


def without_libraries(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code where the extra is not installed."""
    command = [sys.executable, "-c", BARE + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_needs_the_core_alone() -> None:
    """What the command takes can be read before its extra is installed."""
    done = without_libraries(COMMAND, "serve", "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert "--upstream" in done.stdout


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (COMMAND, ["serve", "--upstream", "http://x/v1"]),
        (COMMAND, ["bench", "gateway"]),
        ("from guardrail.integrations.gateway import create_app", []),
        ("import guardrail.integrations.gateway as g; g.GatewayConfig", []),
    ],
)
def test_a_missing_library_is_named(code: str, arguments: list[str]) -> None:
    """With what to install, as soon as it is needed."""
    done = without_libraries(code, *arguments)

    assert done.returncode != 0
    assert "'aiohttp' is not installed" in done.stderr
    assert "guardrail-ko[server]" in done.stderr
