"""Who may see the page: the token, the cookie, this machine, and nobody from another site."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from guardrail.integrations.gateway import GatewayConfig
from guardrail.integrations.gateway.page import Access
from guardrail.integrations.gateway.page.access import Entry

from .pages import TOKEN, Paged, paging

API = (
    *(("GET", "state"), ("GET", "models"), ("POST", "talk"), ("GET", "originals/x")),
    *(("POST", "threshold"), ("GET", "figures"), ("GET", "records"), ("GET", "records/x")),
    *(("PUT", "records/x/review"), ("GET", "export")),
)


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paged]:
    """A page without a token, on this machine."""
    with paging(tmp_path_factory.mktemp("free")) as paged:
        yield paged


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paged]:
    """A page with a token."""
    with paging(tmp_path_factory.mktemp("locked"), page_token=TOKEN) as paged:
        yield paged


@pytest.mark.parametrize(("method", "path"), API)
def test_the_api_needs_the_token(locked: Paged, method: str, path: str) -> None:
    """All of it, whether by none, a wrong one, or a made-up cookie."""
    name = next(iter(log_in(locked).cookies.keys()))
    ways: tuple[dict[str, str | bytes], ...] = (
        {},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"cookie": f"{name}=99999999999.{'0' * 64}"},
        {"cookie": f"{name}="},
        {"cookie": f"{name}=²".encode("latin-1")},
    )
    for headers in ways:
        answer = locked.ask(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "page_token_needed")


def log_in(paged: Paged, token: str = TOKEN, **headers: str) -> httpx.Response:
    return paged.ask("POST", "login", json={"token": token}, headers=headers)


def test_the_token_gives_a_cookie_that_no_script_can_read(locked: Paged) -> None:
    """With it the API answers; taken back, it is gone from the browser."""
    answer = log_in(locked)
    with httpx.Client(cookies=answer.cookies) as client:
        assert client.get(f"{locked.root}/page/api/state").status_code == 200
        client.post(f"{locked.root}/page/api/logout")
        assert not client.cookies
    flags = answer.headers["set-cookie"].lower()
    assert "httponly" in flags
    assert "samesite=strict" in flags
    assert TOKEN not in flags


def test_programs_give_the_token_itself(locked: Paged) -> None:
    """As any bearer's; a key of the gateway's is none."""
    answer = locked.ask("GET", "export", headers={"authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "token", ["", "wrong-token-wrong-token", TOKEN[:-1], "한글 토큰", "\ud800"]
)
def test_a_wrong_token_gives_nothing(locked: Paged, token: str) -> None:
    """Whatever it is made of."""
    body = (
        httpx.Request("POST", "http://x", json={"token": token}).content
        if token != "\ud800"
        else b'{"token": "\\ud800"}'
    )
    answer = locked.ask("POST", "login", content=body, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 401)
    assert "set-cookie" not in answer.headers


def test_a_strange_host_is_no_failure(locked: Paged) -> None:
    """Some proxies send none."""
    assert log_in(locked, host="[::1").status_code == 204


def asked(**headers: str) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/", "headers": raw}
    return Request({**scope, "query_string": b"", "server": ("h", 80), "client": ("10.0.0.9", 1)})


def test_a_cookie_ends_and_belongs_to_one_token() -> None:
    """After twelve hours it is worth nothing, and another gateway's never was."""
    now = [1_000_000.0]
    access = Access(SecretStr(TOKEN), shut=False, clock=lambda: now[0])
    response = Response()
    access.log_in(TOKEN, asked(), response)
    cookie = response.headers["set-cookie"].partition(";")[0]
    other = Access(SecretStr(f"{TOKEN}2"), shut=False, clock=lambda: now[0])

    assert access.entry(asked(cookie=cookie)) is Entry.OPEN
    assert other.entry(asked(cookie=cookie)) is Entry.NEEDS_TOKEN
    now[0] += 12 * 3600 + 1
    assert access.entry(asked(cookie=cookie)) is Entry.NEEDS_TOKEN


def test_over_https_the_cookie_stays_there() -> None:
    """It is never sent in the open."""
    access, response = Access(SecretStr(TOKEN), shut=False), Response()
    request = asked()
    request.scope["scheme"] = "https"
    access.log_in(TOKEN, request, response)

    assert "secure" in response.headers["set-cookie"].lower()


def test_without_a_token_this_machine_may_look(free: Paged) -> None:
    """Under any of its own names."""
    port = free.root.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost", f"[::1]:{port}"):
        assert free.ask("GET", "state", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost.evil.example:8080"},
        {"host": ""},
        {"host": "[::1"},
        {"x-forwarded-for": "203.0.113.9"},
        {"x-real-ip": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
        {"via": "1.1 proxy"},
    ],
)
def test_without_a_token_nobody_else_may(free: Paged, headers: dict[str, str]) -> None:
    """Not by a name that only leads here, and not through a proxy."""
    answer = free.ask("GET", "state", headers=headers)

    assert answer.status_code in (400, 403)
    assert "classifier" not in answer.text


def test_another_machine_needs_a_token() -> None:
    """Whatever it calls this one."""
    access = Access(None, shut=False)

    assert access.entry(asked(host="localhost")) is Entry.CLOSED


def test_where_clients_need_keys_the_page_needs_a_token(tmp_path: Path) -> None:
    """And a client's key does not open it."""
    with paging(tmp_path, keys=("client-key",)) as paged:
        answer = paged.ask("GET", "state", headers={"authorization": "Bearer client-key"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "page_closed")


@pytest.mark.parametrize("path", ["talk", "threshold", "login", "logout"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_cannot_send_anything(free: Paged, path: str, headers: dict[str, str]) -> None:
    """What a visitor's browser is made to post is refused before it is read."""
    answer = free.ask("POST", path, headers=headers, content=b"{}")

    assert answer.status_code in (400, 403)


@pytest.mark.parametrize("path", ["talk", "threshold", "login"])
def test_a_form_is_no_json(free: Paged, path: str) -> None:
    """What a page elsewhere can post without asking first is not read."""
    answer = free.ask("POST", path, content=b"{}", headers={"content-type": "text/plain"})

    assert answer.status_code == 400


def test_the_page_says_what_it_may_do(free: Paged) -> None:
    """Its policy lets in nothing from elsewhere, and nobody frame it; errors carry it, too."""
    for path in ("", "page/main.js", "page/api/state", "page/nothing.js", "page/api/records/x"):
        headers = httpx.get(f"{free.root}/{path}").headers
        policy = headers["content-security-policy"]
        for part in (
            *("default-src 'none'", "script-src 'self'", "style-src 'self'"),
            *("frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"),
            *("connect-src 'self'", "require-trusted-types-for 'script'"),
        ):
            assert part in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert httpx.get(f"{free.root}/page/api/state").headers["cache-control"] == "no-store"


def test_other_paths_keep_their_headers(free: Paged) -> None:
    """What goes to programs has no need of them."""
    assert "content-security-policy" not in httpx.get(f"{free.root}/healthz").headers


def test_files_are_asked_for_again_only_when_new(free: Paged) -> None:
    """Browsers send the tag, and get no body where it is the same."""
    url = f"{free.root}/page/main.js"
    first = httpx.get(url)
    again = httpx.get(url, headers={"if-none-match": first.headers["etag"]})

    assert first.headers["content-type"].startswith("text/javascript")
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["index.html", "nothing.js", "..%2f..%2fapp.py", "%2e%2e", "api"])
def test_only_the_pages_own_files_are_given(free: Paged, name: str) -> None:
    """No name leads out of the folder."""
    assert httpx.get(f"{free.root}/page/{name}").status_code == 404


def test_the_shell_is_shown_to_all(locked: Paged) -> None:
    """It asks for the token itself, and holds nothing."""
    answer = httpx.get(locked.root)

    assert (answer.status_code, "main.js" in answer.text) == (401, True)


def test_there_need_be_no_page(tmp_path: Path) -> None:
    """Then none of its paths is there."""
    with paging(tmp_path, page=False) as paged:
        assert httpx.get(paged.root).status_code == 404
        assert paged.ask("GET", "state").status_code == 404


def test_the_token_is_in_no_log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Nor in what a setting looks like, nor in what is said of a wrong one."""
    config = GatewayConfig(page_token=SecretStr(TOKEN))
    with caplog.at_level(logging.DEBUG), paging(tmp_path, page_token=TOKEN) as paged:
        log_in(paged)
        wrong = log_in(paged, "wrong-token-wrong-token").text

    said = caplog.text + repr(config) + config.model_dump_json() + wrong
    assert not [token for token in (TOKEN, "wrong-token-wrong-token") if token in said]


@pytest.mark.parametrize("token", ["short", "with a space in it", "한글로 된 긴 토큰입니다아아아"])
def test_a_token_is_hard_to_guess(token: str) -> None:
    """And can be written in a header; what was given is not repeated."""
    with pytest.raises(ValidationError) as caught:
        GatewayConfig(page_token=SecretStr(token))
    assert token not in str(caught.value)
