"""Who may use the gateway, and which keys go where."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from guardrail.errors import ConfigError
from guardrail.integrations.gateway import GatewayConfig
from guardrail.integrations.gateway import cli as gateway_cli
from guardrail.integrations.gateway.door import Door, Keys

from .gateways import Served, serving
from .openai_calls import MESSAGES, says

SAFE = "안녕하세요, 고객님. 환불은 영업일로 사흘쯤 걸려요. 더 궁금한 점이 있으신가요?"
BODY = {"model": "m", "messages": MESSAGES}
KEY, OTHER, OWN = "gate-key-1", "gate-key-2", "upstream-key"


def post(served: Served, body: Any = BODY, path: str = "chat/completions", **more: Any) -> Any:
    """Post JSON to a path of a gateway."""
    return httpx.post(f"{served.url}/{path}", json=body, timeout=10, **more)


@pytest.mark.parametrize("header", ["authorization", "api-key", "x-guardrail-key"])
def test_gateway_keys_let_in_and_go_no_further(header: str) -> None:
    """Any of them, in any of the usual headers; the upstream gets its own."""
    with serving(says(SAFE), keys=(KEY, OTHER), upstream_key=OWN) as served:
        value = f"Bearer {OTHER}" if header == "authorization" else OTHER
        assert post(served, headers={header: value}).status_code == 200
        seen = served.upstream.asked[-1].headers

    assert seen["authorization"] == f"Bearer {OWN}"
    assert OTHER not in json.dumps(dict(seen))


WRONG = (None, "Bearer", "Bearer gate-key", f"Basic {KEY}", f"Bearer {KEY}x")


def test_nobody_comes_in_without_a_key() -> None:
    """All paths are shut, but for those by which one sees whether it lives."""
    doors = [
        *(("POST", "/v1/chat/completions"), ("POST", "/v1/guard/check"), ("GET", "/v1/models")),
        *(("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/"), ("GET", "/nowhere")),
    ]
    with serving(says(SAFE), keys=(KEY,)) as served, httpx.Client(base_url=served.root) as client:
        for key in WRONG:
            headers = {} if key is None else {"authorization": key}
            shut = [client.request(method, path, headers=headers) for method, path in doors]

            assert {reply.status_code for reply in shut} == {401}
            assert shut[0].json()["error"]["code"] == "invalid_api_key"
        assert client.get("/healthz").status_code == 200
        assert served.upstream.asked == []


@pytest.mark.parametrize(
    ("said", "status"),
    [
        *(({"sec-fetch-site": site}, 403) for site in ("cross-site", "same-site")),
        *(({"sec-fetch-site": site}, 200) for site in ("same-origin", "none")),
        *(({"origin": origin}, 403) for origin in ("https://evil.test", "null", "")),
    ],
)
def test_without_keys_pages_of_other_sites_are_shut_out(said: dict[str, str], status: int) -> None:
    """A form somewhere else on the web cannot spend the upstream's key, nor this machine's time."""
    checks = {"guard/check": {"user": "a", "assistant": "b"}, "moderations": {"input": "a"}}
    with serving(says(SAFE), upstream_key=OWN) as served:
        headers = {**said, "content-type": "text/plain"}
        assert post(served, headers=headers).status_code == status
        assert len(served.upstream.asked) == (status == 200)
        for path, body in checks.items():
            assert post(served, body, path, headers=headers).status_code == status


PLACES = (
    *(
        ("POST", "/v1/chat/completions", BODY),
        ("GET", "/v1/models", None),
        ("GET", "/metrics", None),
    ),
    *(("POST", "/v1/guard/check", {"user": "a"}), ("POST", "/v1/moderations", {"input": "a"})),
)


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test:80", "10.0.0.9", "[::1", ""])
def test_without_keys_a_name_that_only_leads_here_is_refused(host: str) -> None:
    """A page of another site could have its own name point to 127.0.0.1, and be believed."""
    with serving(says(SAFE)) as served, httpx.Client(base_url=served.root) as client:
        for method, path, body in PLACES:
            reply = client.request(method, path, json=body, headers={"host": host})

            assert (reply.status_code, reply.json()["error"]["code"]) == (403, "unknown_host")
        assert client.get("/healthz", headers={"host": host}).status_code == 200
        assert client.get("/readyz", headers={"host": host}).status_code == 200
        paths = [one.path for one in served.upstream.asked]

    assert paths == ["/v1/models"]  # by which readyz reached it


def test_this_machine_has_several_names() -> None:
    """A client may use any of them, or say none, as no browser does."""
    check = {"user": "a", "assistant": "b"}
    with serving(says(SAFE)) as served:
        port = int(served.root.rpartition(":")[2])
        for host in ("localhost", f"127.0.0.1:{port}", "127.8.8.8", "[::1]:1", f"0.0.0.0:{port}"):
            reply = post(served, check, "guard/check", headers={"host": host})
            assert reply.status_code == 200, host
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b" 200 " in connection.makefile("rb").readline()


def test_with_keys_or_at_another_address_any_host_will_do() -> None:
    """A key is what a page elsewhere lacks; and by which names others reach it, nobody knows."""
    with serving(says(SAFE), keys=(KEY,)) as served:
        headers = {"host": "chat.example", "authorization": f"Bearer {KEY}"}
        assert post(served, headers=headers).status_code == 200
    for address, status in (("10.0.0.5", 200), ("/run/gateway.sock", 200), ("127.0.0.1", 403)):
        assert status_at(address, host="chat.example") == status


def status_at(address: str, host: str) -> int:
    """Return the status at the door of a gateway without keys that listens at an address."""
    scope = {"type": "http", "method": "GET", "path": "/metrics", "server": (address, 80)}
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        said.append(message)

    async def ask() -> None:
        door = Door(Response("in"), Keys(()), 100)
        await door({**scope, "headers": [(b"host", host.encode())]}, receive, send)

    asyncio.run(ask())
    return int(said[0]["status"])


def test_the_cookies_of_the_page_go_no_further() -> None:
    """They open it; a browser sends them to every path, and to all ports of a host."""
    cookies = "a=1; guardrail-0a1b2c3d=99.ff;b=2"
    with serving(says(SAFE)) as served:
        post(served, headers={"cookie": cookies})
        httpx.get(f"{served.url}/models", headers={"cookie": "guardrail-0a1b2c3d=99.ff"})
        judged, passed = (one.headers for one in served.upstream.asked)

    assert judged["cookie"] == "a=1; b=2"
    assert "cookie" not in passed


def test_the_clients_own_key_goes_upstream_beside_the_gateways() -> None:
    """With the gateway's in a header of its own."""
    with serving(says(SAFE), keys=(KEY,)) as served:
        post(served, headers={"x-guardrail-key": KEY, "authorization": "Bearer mine"})
        seen = served.upstream.asked[-1].headers

    assert seen["authorization"] == "Bearer mine"
    assert "x-guardrail-key" not in seen


def test_keys_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nor in what a setting looks like."""
    config = GatewayConfig(upstream="http://x/v1", keys=(KEY,), upstream_key=OWN)
    with (
        caplog.at_level(logging.DEBUG),
        serving(says(SAFE), keys=(KEY,), upstream_key=OWN) as served,
    ):
        post(served, headers={"authorization": f"Bearer {KEY}"})
        post(served, headers={"authorization": "Bearer wrong-key"})

    said = caplog.text + repr(config) + config.model_dump_json()
    assert not [key for key in (KEY, OWN, "wrong-key") if key in said]


def test_settings_are_checked() -> None:
    """What is wrong is named by its option, and a key is not repeated."""
    with pytest.raises(ConfigError, match=r"--upstream: .*base URL"):
        gateway_cli.serve(upstream="localhost:1")
    for wrong in ("a b", ""):
        with pytest.raises(ConfigError, match=r"--key: .*printable") as caught:
            gateway_cli.serve(upstream="http://x/v1", key=["right", wrong])
        assert "a b" not in str(caught.value)
    with pytest.raises(ConfigError, match="--max-body-mib: "):
        gateway_cli.serve(upstream="http://x/v1", max_body_mib=0.0)
