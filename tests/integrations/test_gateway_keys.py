"""Who may use the gateway, and which keys go where."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest

from guardrail.errors import ConfigError
from guardrail.integrations.gateway import GatewayConfig
from guardrail.integrations.gateway import cli as gateway_cli

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


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-origin", 200)])
def test_without_keys_pages_of_other_sites_are_shut_out(site: str, status: int) -> None:
    """A form somewhere else on the web cannot spend the upstream's key, nor this machine's time."""
    checks = {"guard/check": {"user": "a", "assistant": "b"}, "moderations": {"input": "a"}}
    with serving(says(SAFE), upstream_key=OWN) as served:
        headers = {"sec-fetch-site": site, "content-type": "text/plain"}
        assert post(served, headers=headers).status_code == status
        assert len(served.upstream.asked) == (status == 200)
        for path, body in checks.items():
            assert post(served, body, path, headers=headers).status_code == status


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
