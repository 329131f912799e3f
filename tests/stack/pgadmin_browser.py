"""A person at pgAdmin's pages, in a real Chromium."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Frame, Locator, Page, expect, sync_playwright

from tests.stack.harness import wait_until
from tools.machine import browser

SECONDS = 1000.0  # milliseconds
PATIENCE = 30 * SECONDS
TRIES = 3
POLL = 50.0


class Visitor:
    """Somebody who uses pgAdmin; `complaints` is what the browser said against its pages."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda fault: self.complaints.append(str(fault)))

    def log_in(self, url: str, email: str, password: str) -> None:
        self.page.goto(url)
        self.page.fill("input[name=email]", email)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")
        expect(self.page.get_by_text("Object Explorer")).to_be_visible(timeout=PATIENCE)
        expect(self.page.locator(".file-entry").first).to_be_visible(timeout=PATIENCE)

    def shown(self) -> list[str]:
        """The lines of the tree, without the number of their children."""
        return [re.sub(r"\s*\(\d+\)$", "", text) for text in self.page.locator(".file-entry").all_inner_texts()]

    def line(self, name: str, icon: str = "icon") -> Locator:
        exact = re.compile(rf"^\s*{re.escape(name)}(\s*\(\d+\))?\s*$")
        return self.page.locator(f".file-entry:has([class*='{icon}'])").filter(has_text=exact).last

    def below(self, name: str) -> list[str]:
        """The lines after the last one of that name: a server and its database share one."""
        shown = self.shown()
        return shown[len(shown) - shown[::-1].index(name) :] if name in shown else []

    def open(self, name: str, child: str, icon: str = "icon") -> None:
        """Expand a line of the tree, until `child` stands below it."""
        self._toggle(self.line(name, icon), lambda: child in self.below(name))

    def close(self, name: str, child: str) -> None:
        self._toggle(self.line(name), lambda: child not in self.below(name))

    def _toggle(self, line: Locator, done: Callable[[], bool]) -> None:
        """Double-click, again where pgAdmin was still drawing its tree and did not notice."""
        for left in reversed(range(TRIES)):
            line.dblclick()
            try:
                wait_until(done, f"the tree follows; it shows {self.shown()}", PATIENCE / SECONDS / TRIES)
            except AssertionError:
                if not left:
                    raise
            else:
                return

    def asked_for_a_password(self) -> bool:
        return self.page.get_by_text("Please enter the password").is_visible()

    def query(self, statement: str) -> list[list[str]]:
        """Run a statement in a query tool on the line that is chosen, and return the rows that it shows."""
        self.page.get_by_role("button", name="Query Tool", exact=True).click()
        wait_until(self._query_tools, "the query tool opens", PATIENCE / SECONDS)
        tool = self._query_tools()[-1]
        tool.locator(".cm-content").click()
        self.page.keyboard.insert_text(statement)
        self.page.keyboard.press("F5")
        rows = tool.locator(".rdg-row")
        expect(rows.first).to_be_visible(timeout=PATIENCE)
        return [row.locator(".rdg-cell").all_inner_texts()[1:] for row in rows.all()]

    def _query_tools(self) -> list[Frame]:
        self.page.wait_for_timeout(POLL)  # lets the browser's news in
        return [frame for frame in self.page.frames if "/sqleditor/panel/" in frame.url]


@contextlib.contextmanager
def visitor() -> Iterator[Visitor]:
    """Start Chromium with a fresh profile; skips the test where there is none."""
    program = browser.find()
    if program is None:
        pytest.skip("no Chromium here; `tools/setup browser` brings it where apt may be used")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=as_root)
        try:
            yield Visitor(chromium.new_page(viewport={"width": 1280, "height": 800}))
        finally:
            chromium.close()


def picture(guest: Visitor, file: Path) -> None:
    """Take a picture of the page as it is."""
    guest.page.mouse.move(640, 790)
    guest.page.screenshot(path=file)
