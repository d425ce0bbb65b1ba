"""Debian's Chromium, for the tests of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

__all__ = ["Opened", "opened", "running_browser"]

_SWITCHES = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run the browser as long as the block lasts; skips where there is none, fails in CI."""
    program = shutil.which("chromium")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_SWITCHES))
        try:
            yield browser
        finally:
            browser.close()


class Opened:
    """A page in a browser, and all that went wrong in it.

    Attributes:
        page: what is looked at.
        complaints: errors, and breaches of the content policy, as the console tells them.
        strangers: addresses elsewhere that were asked for.
    """

    def __init__(self, context: BrowserContext, root: str) -> None:
        self.root = root
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.page.set_default_timeout(10_000)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: self._note(asked.url))

    def goto(self, place: str = "") -> Page:
        """Open the page, at a view of it."""
        self.page.goto(f"{self.root}/{place}")
        return self.page

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):  # not its tips for developers
            self.complaints.append(said.text)

    def _note(self, url: str) -> None:
        if not url.startswith((self.root, "blob:")):
            self.strangers.append(url)


@contextmanager
def opened(browser: Browser, root: str, **how: object) -> Iterator[Opened]:
    """Open a fresh window; nothing may have gone wrong in it at the end."""
    settings = {"locale": "ko-KR", "viewport": {"width": 1280, "height": 900}, **how}
    context = browser.new_context(**settings)  # type: ignore[arg-type] # its keys are fixed
    try:
        window = Opened(context, root)
        yield window
        assert (window.complaints, window.strangers) == ([], [])
    finally:
        context.close()
