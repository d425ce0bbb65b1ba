"""The page in a real browser, as the people who run the gateway use it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from guardrail.audit import Status
from guardrail.types import Category

from .browsers import opened, running_browser
from .gateways import MARKER
from .openai_calls import says
from .openai_upstream import Said
from .pages import SAFE, TOKEN, UNSAFE, Paged, paging, record

HOSTILE = (
    '<img src=x onerror="window.broken=1"><script>window.broken=1</script></script>'
    '<a href="javascript:window.broken=1">여기</a> \u202egnihton\u202c {{window.broken=1}} &amp;'
)
RECORDS = [
    record(Status.BLOCKED, 1, id="b1"),
    record(Status.ALLOWED, 2, id="a1"),
    record(Status.BLOCKED, 3, id="b2", category=Category.O1, categories={Category.O1: 0.8}),
    record(Status.FLAGGED, 4, id="f1", user=HOSTILE, reply=HOSTILE),
    record(Status.ERROR_ALLOWED, 5, id="e1"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def paged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paged]:
    """Records of all kinds, before a model that says what it should not."""
    with paging(tmp_path_factory.mktemp("page"), RECORDS, reply=says(UNSAFE)) as paged:
        yield paged


def say(page: Page, text: str, *, reply: str | None = None) -> None:
    """Say something to the bot, and wait for the end of its reply."""
    page.locator("[name=source][value=bot]").check()
    if reply is not None:
        page.locator("#reply").fill(reply)
    turns = page.locator(".turn").count()
    page.get_by_label("말 걸기").fill(text)
    page.get_by_role("button", name="보내기").click()
    expect(page.locator(".turn").nth(turns).locator(".reply")).to_have_attribute(
        "aria-busy", "false"
    )


# The playground


def test_a_safe_and_an_unsafe_reply(browser: Browser, paged: Paged) -> None:
    """Each with its verdict beside it; the original comes on request, and only then."""
    with opened(browser, paged.root) as window:
        page = window.goto()
        say(page, "환불은요?", reply=SAFE)
        say(page, "그거 알려 줘", reply=UNSAFE)
        safe, unsafe = page.locator(".turn").all()

        expect(safe.locator(".bubble").last).to_have_text(SAFE)
        expect(safe.locator(".badge")).to_have_text("통과")
        expect(unsafe.locator(".badge")).to_have_text("차단")
        expect(unsafe.locator(".beside")).to_contain_text("O5 규제 약물")
        expect(unsafe.locator(".beside .score").first).to_have_text("0.990")
        assert MARKER not in page.content()
        unsafe.get_by_role("button", name="가드가 없었다면").click()
        expect(unsafe.locator("blockquote")).to_have_text(UNSAFE)
        unsafe.get_by_role("button", name="원문 숨기기").click()
        assert MARKER not in page.content()


def test_the_upstream_answers_too(browser: Browser, paged: Paged) -> None:
    """By keyboard alone: type, Enter; a syllable still being typed is not sent."""
    with opened(browser, paged.root) as window:
        page = window.goto()
        expect(page.get_by_label("말 걸기")).to_be_focused()
        page.keyboard.type("안녕")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("하세요")
        page.keyboard.press("Enter")
        expect(page.locator(".turn .reply")).to_have_attribute("aria-busy", "false")

        assert page.locator(".turn .user").inner_text() == "안녕\n하세요"
        expect(page.locator(".turn .badge")).to_have_text("차단")


def test_a_talk_stays_through_a_change_of_view_and_language(browser: Browser, paged: Paged) -> None:
    """Only closing the tab, or a new talk, ends it."""
    with opened(browser, paged.root) as window:
        page = window.goto()
        say(page, "환불은요?", reply=SAFE)
        page.get_by_role("link", name="활동").click()
        page.get_by_role("link", name="대화해 보기").click()
        expect(page.locator(".turn")).to_contain_text([SAFE])
        page.get_by_role("button", name="English").click()
        expect(page.locator(".turn .badge")).to_have_text("Passed")
        page.get_by_role("button", name="New talk").click()
        expect(page.locator(".turn")).to_have_count(0)


def test_another_threshold_shows_what_it_would_change(browser: Browser, paged: Paged) -> None:
    """Here in the talk, and among recent records."""
    with opened(browser, paged.root) as window:
        page = window.goto()
        say(page, "환불은요?", reply=SAFE)
        page.get_by_label("기준 점수").fill("0")

        expect(page.locator(".turn .change")).to_have_text("이 기준이면 차단")
        expect(page.locator(".limit")).to_contain_text("답 1개 가운데 1개가 달라져요.")
        expect(page.locator(".limit")).to_contain_text("더 차단")
        expect(page.locator(".limit pre")).to_contain_text("threshold = 0.00")


def test_what_goes_wrong_is_said(browser: Browser, tmp_path: Path) -> None:
    """In words, where the reply would stand."""
    with (
        paging(tmp_path, url="http://127.0.0.1:9/v1") as paged,
        opened(browser, paged.root) as window,
    ):
        page = window.goto()
        page.get_by_label("말 걸기").fill("안녕")
        page.keyboard.press("Enter")

        expect(page.locator(".turn [role=alert]")).to_have_text("모델 서버에 연결할 수 없어요.")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            Said({"error": {"message": "slow down"}}, 429),
            "모델 서버가 오류로 답했어요: 429 slow down",
        ),
        (Said("nonsense"), "모델 서버의 답을 읽을 수 없어 판단하지 못했어요."),
        (Said(b"", 302, {"location": "/x"}), re.compile("--upstream에 그 주소를 적어 주세요")),
    ],
)
def test_what_the_upstream_did_wrong_is_said_in_the_pages_language(
    browser: Browser, tmp_path: Path, said: Said, shown: str
) -> None:
    """What its server said stands in its own words."""
    with paging(tmp_path, reply=lambda _: said) as paged, opened(browser, paged.root) as window:
        page = window.goto()
        page.get_by_label("말 걸기").fill("안녕")
        page.keyboard.press("Enter")

        expect(page.locator(".turn [role=alert]")).to_have_text(shown)


# Hostile text


def test_text_is_never_markup(browser: Browser, paged: Paged) -> None:
    """Wherever it is shown: said, replied, listed, in detail, in review."""
    with opened(browser, paged.root) as window:
        page = window.goto()
        say(page, HOSTILE, reply=HOSTILE)
        for bubble in page.locator(".turn .quoted").all():
            assert bubble.text_content() == HOSTILE
        page.goto(f"{paged.root}/#/activity?status=flagged")
        expect(page.locator(".records .text .quoted").first).to_contain_text("<img src=x")
        page.goto(f"{paged.root}/#/activity/f1")
        expect(page.locator("dialog .quoted").first).to_have_text(HOSTILE)
        page.goto(f"{paged.root}/#/review")
        page.locator(".queue .item", has_text="<img").first.click()
        expect(page.locator(".one .quoted").first).to_have_text(HOSTILE)

        assert page.evaluate("window.broken") is None
        assert page.locator("main img, main script, a[href^=javascript]").count() == 0


def test_the_address_is_not_markup_either(browser: Browser, paged: Paged) -> None:
    """Whatever somebody sends a link with."""
    with opened(browser, paged.root) as window:
        page = window.goto('#/activity?text=<img src=x onerror="window.broken=1">&status="><b>')
        expect(page.locator(".tile").first).to_be_visible()
        page.goto(f"{paged.root}/#/<img src=x onerror=window.broken=1>")
        expect(page.get_by_label("말 걸기")).to_be_visible()

        assert page.evaluate("window.broken") is None


# Activity


def test_activity_is_counted_drawn_and_listed(browser: Browser, tmp_path: Path) -> None:
    """And a filter holds for all of it; the address keeps it."""
    with paging(tmp_path, RECORDS) as paged, opened(browser, paged.root) as window:
        page = window.goto("#/activity")
        expect(page.locator(".tile .figure").first).to_have_text("5")
        expect(page.locator(".records tbody tr")).to_have_count(5)
        expect(page.locator("svg[role=img]")).to_have_attribute("aria-label", re.compile("차단 2"))
        expect(page.locator(".lying").first).to_have_text("O1 폭력과 혐오1O5 규제 약물1")
        page.get_by_label("결과", exact=True).select_option("차단")
        expect(page.locator(".records tbody tr")).to_have_count(2)
        expect(page.locator(".tile .figure").first).to_have_text("2")
        page.get_by_role("link", name="O1 폭력과 혐오").click()
        expect(page.locator(".records tbody tr")).to_have_count(1)
        assert "status=blocked&category=O1" in page.url
        page.reload()
        expect(page.locator(".records tbody tr")).to_have_count(1)
        page.get_by_role("button", name="조건 지우기").click()
        expect(page.locator(".records tbody tr")).to_have_count(5)
        page.get_by_label("내용 검색").fill("없는 말")
        expect(page.get_by_text("조건에 맞는 기록이 없어요")).to_be_visible()
        expect(page.get_by_label("내용 검색")).to_be_focused()


def test_one_record_in_detail(browser: Browser, paged: Paged) -> None:
    """By keyboard: Enter opens it, Escape shuts it, and the list and the focus are as they were."""
    with opened(browser, paged.root) as window:
        page = window.goto("#/activity?status=blocked")
        page.locator(".records .when a").last.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text(UNSAFE)
        expect(dialog).to_contain_text("0.900")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(page.locator(".records .when a").last).to_be_focused()
        assert page.url.endswith("#/activity?status=blocked")


def test_an_empty_gateway_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    """In activity and in review; and where no text is kept, how it would be."""
    with paging(tmp_path, text="none") as paged, opened(browser, paged.root) as window:
        page = window.goto("#/activity")
        expect(page.get_by_text("아직 기록이 없어요")).to_be_visible()
        page.goto(f"{paged.root}/#/review")
        expect(page.get_by_text("검토할 것이 없어요")).to_be_visible()
        expect(page.get_by_text("--record-text text")).to_be_visible()


def test_a_gateway_that_is_gone_is_said_to_be(browser: Browser, paged: Paged) -> None:
    """With a way to try again."""
    with opened(browser, paged.root) as window:
        page = window.goto("#/activity")
        expect(page.locator(".tile").first).to_be_visible()
        page.context.set_offline(True)
        page.get_by_role("button", name="새로 고침").click()
        expect(page.get_by_text("게이트웨이가 답하지 않아요").first).to_be_visible()
        page.context.set_offline(False)
        page.get_by_role("button", name="다시 시도").first.click()
        expect(page.locator(".tile").first).to_be_visible()
        window.complaints.clear()  # the browser says that it was offline


# Review


def test_reviewing_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    """J and K go, 1 to 3 mark what fits the decision, 0 takes it back; Korean input works too."""
    with paging(tmp_path, RECORDS) as paged, opened(browser, paged.root) as window:
        page = window.goto("#/review")
        items = page.locator(".queue .item")
        expect(items).to_have_count(5)
        page.keyboard.press("1")  # b1 is right
        expect(items.nth(1)).to_have_attribute("aria-current", "true")
        page.keyboard.press("2")  # a pass is no false alarm
        page.keyboard.press("3")  # a1 was missed
        expect(items.nth(2)).to_have_attribute("aria-current", "true")
        page.keyboard.press("2")  # b2 is a false alarm
        expect(page.locator(".agreement")).to_contain_text("맞음 1 · 오탐 1 · 놓침 1")
        page.keyboard.press("k")
        page.keyboard.press("0")
        expect(page.locator(".agreement")).to_contain_text("맞음 1 · 오탐 0 · 놓침 1")
        page.evaluate("dispatchEvent(new KeyboardEvent('keydown', {key: 'ㅓ'}))")
        expect(items.nth(3)).to_have_attribute("aria-current", "true")

        reviews = {
            one: paged.ask("GET", f"records/{one}").json()["review"]
            for one in ("b1", "a1", "b2", "f1")
        }
    assert reviews == {"b1": "right", "a1": "missed", "b2": None, "f1": None}


def test_the_export_can_be_evaluated(browser: Browser, tmp_path: Path) -> None:
    """What the browser saves, `guardrail eval` reads."""
    with paging(tmp_path, RECORDS) as paged, opened(browser, paged.root) as window:
        page = window.goto("#/review")
        for number in range(4):
            page.locator(".queue .item").nth(number).click()
            page.locator(".one [data-mark=right]").click()
            expect(page.locator(".queue .item").nth(number)).to_contain_text("맞음")
        with page.expect_download() as download:
            page.get_by_role("link", name="내보내기").click()
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)

    run = "import sys; from guardrail.cli import main; sys.argv[0] = 'guardrail'; main()"
    done = subprocess.run(
        [sys.executable, "-c", run, "eval", str(file)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert len(file.read_text("utf-8").splitlines()) == 4
    assert done.returncode == 0, done.stderr


# Language, light, size, and the way in


@pytest.mark.parametrize(
    ("locale", "language", "other"), [("ko-KR", "ko", "English"), ("fr-FR", "en", "한국어")]
)
def test_the_language_is_the_browsers_until_another_is_chosen(
    browser: Browser, paged: Paged, locale: str, language: str, other: str
) -> None:
    """The choice is remembered."""
    with opened(browser, paged.root, locale=locale) as window:
        page = window.goto()
        expect(page.locator("html")).to_have_attribute("lang", language)
        page.get_by_role("button", name=other).click()
        page.reload()
        expect(page.get_by_role("button", name=other)).to_have_attribute("aria-pressed", "true")
        expect(page.locator("html")).not_to_have_attribute("lang", language)


def test_every_word_is_in_both_languages(browser: Browser, paged: Paged) -> None:
    """And every word that is asked for is there."""
    files = Path(__file__).parents[2] / "integrations/gateway/page/static"
    with opened(browser, paged.root) as window:
        page = window.goto()
        known = page.evaluate(
            "import('./page/words.js').then(({words}) => Object.values(words).map(Object.keys))"
        )
    korean, english = map(set, known)
    asked = {
        name
        for file in files.glob("*.js")
        for name in re.findall(r'\bt\("([^"]+)"', file.read_text("utf-8"))
    }

    assert korean == english
    assert asked <= korean


@pytest.mark.parametrize("view", ["", "#/activity", "#/activity/b1", "#/review"])
@pytest.mark.parametrize("locale", ["ko-KR", "en-US"])
def test_a_phone_has_room_for_it(browser: Browser, paged: Paged, view: str, locale: str) -> None:
    """At 360 pixels nothing reaches past the edge."""
    size = {"width": 360, "height": 740}
    with opened(browser, paged.root, viewport=size, locale=locale) as window:
        page = window.goto(view)
        expect(page.locator(".play, .records tbody tr, .queue .item").first).to_be_visible()
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")

        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_it_is_dark_where_the_system_is(browser: Browser, paged: Paged) -> None:
    """Light text on a dark ground, and the other way round."""

    def ground(scheme: str) -> int:
        with opened(browser, paged.root, color_scheme=scheme) as window:
            page = window.goto()
            expect(page.locator(".play")).to_be_visible()
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(map(int, re.findall(r"\d+", colour)))

    assert ground("dark") < 150
    assert ground("light") > 600


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("main *, header *")].filter((one) =>
    one.checkVisibility({ opacityProperty: true }) && !one.closest(":disabled, .unseen, .waiting, title") &&
    [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
  return texts.map((one) => {
    const style = getComputedStyle(one);
    const pair = [light(parse(one.namespaceURI.endsWith("svg") ? style.fill : style.color)), light(ground(one))];
    return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), one.textContent.slice(0, 30)];
  }).filter(([ratio]) => ratio < 4.5);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, paged: Paged, scheme: str) -> None:
    """All of it stands out from its ground by 4.5 to 1, as WCAG 2 asks."""
    with opened(browser, paged.root, color_scheme=scheme) as window:
        page = window.goto()
        say(page, "환불은요?", reply=UNSAFE)
        faint = page.evaluate(CONTRAST)
        for view in ("activity", "review"):
            page.goto(f"{paged.root}/#/{view}")
            expect(page.locator(".records tbody tr, .queue .item").first).to_be_visible()
            faint += page.evaluate(CONTRAST)

    assert faint == []


def test_every_field_has_a_name_and_the_skip_link_skips(browser: Browser, paged: Paged) -> None:
    """For who cannot see the page, and who does not use a mouse."""
    with opened(browser, paged.root) as window:
        for view in ("", "#/activity", "#/review"):
            page = window.goto(view)
            page.reload()
            expect(page.locator(".play, .records tbody tr, .queue .item").first).to_be_visible()
            nameless = page.evaluate(
                "[...document.querySelectorAll('input, select, textarea, button')]"
                ".filter((one) => !one.labels?.length && !one.textContent.trim() && !one.ariaLabel).length"
            )
            assert nameless == 0
        page.locator(".skip").focus()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()


def test_the_token_opens_the_page(browser: Browser, tmp_path: Path) -> None:
    """Typed in; a wrong one is told so; then one is in until one leaves."""
    with (
        paging(tmp_path, RECORDS, page_token=TOKEN) as paged,
        opened(browser, paged.root) as window,
    ):
        page = window.goto()
        page.get_by_label("토큰", exact=True).fill("wrong-token-wrong-token")
        page.get_by_role("button", name="들어가기").click()
        expect(page.get_by_role("alert")).to_have_text("토큰이 맞지 않아요.")
        page.get_by_label("토큰", exact=True).fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator(".play")).to_be_visible()
        page.reload()
        expect(page.locator(".play")).to_be_visible()
        assert page.evaluate("document.cookie") == ""
        page.get_by_role("button", name="나가기").click()
        expect(page.get_by_role("button", name="들어가기")).to_be_visible()
        window.complaints[:] = [one for one in window.complaints if "401" not in one]


def test_a_link_with_the_token_opens_the_page(browser: Browser, tmp_path: Path) -> None:
    """And the token is gone from the address and the history."""
    with paging(tmp_path, page_token=TOKEN) as paged, opened(browser, paged.root) as window:
        page = window.goto(f"#token={TOKEN}")
        expect(page.locator(".play")).to_be_visible()

        assert TOKEN not in page.url
        window.complaints[:] = [one for one in window.complaints if "401" not in one]


def test_a_page_that_is_closed_says_why(browser: Browser, tmp_path: Path) -> None:
    """And what would open it."""
    with paging(tmp_path, keys=("client-key",)) as paged, opened(browser, paged.root) as window:
        page = window.goto()
        expect(page.get_by_text("이 화면은 지금 열려 있지 않아요")).to_be_visible()
        window.complaints[:] = [one for one in window.complaints if "40" not in one]


def test_another_site_can_neither_post_to_it_nor_frame_it(browser: Browser, paged: Paged) -> None:
    """A page elsewhere that tries changes nothing, and shows nothing."""
    body = '{"source": "bot", "messages": [{"role": "user", "content": "hi"}]}'
    post = """async ([url, body]) => {
      for (const type of ["text/plain", "application/x-www-form-urlencoded"]) {
        const options = { method: "POST", mode: "no-cors", body, headers: { "content-type": type } };
        await fetch(url, options).catch(() => null); // the answer may not be read
      }
    }"""
    frame = """(url) => new Promise((done) => {
      const frame = document.createElement("iframe");
      frame.onload = () => done();
      frame.src = url;
      document.body.append(frame);
    })"""
    before = paged.ask("GET", "figures").json()["totals"]
    with opened(browser, paged.served.upstream.url) as window:
        page = window.goto("models")
        page.evaluate(post, [f"{paged.root}/page/api/talk", body])
        page.evaluate(frame, paged.root)
        framed = [one.url for one in page.frames[1:]]
        window.complaints.clear()
        window.strangers.clear()
    paged.store.flush()

    assert paged.ask("GET", "figures").json()["totals"] == before
    assert framed == ["chrome-error://chromewebdata/"]
