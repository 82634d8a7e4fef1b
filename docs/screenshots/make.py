"""Take the README's screenshots of a running instance: `make.py SIGN_IN_LINK [FOLDER]`.

`make demo` prints the link; it signs in once. Needs a Chromium (CHROMIUM, or one on the PATH).
"""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
RUN = "the latest run"
SHOTS = (
    ("delivery-light", "/delivery?period=90", "light", WIDE, False),
    ("delivery-dark", "/delivery?period=90", "dark", WIDE, False),
    ("delivery-390", "/delivery?period=30", "light", PHONE, True),
    ("stability", "/delivery/stability?period=90", "light", WIDE, False),
    ("builds-light", "/builds?period=90", "light", WIDE, False),
    ("builds-dark", "/builds?period=90&platform=ios", "dark", WIDE, False),
    ("builds-390", "/builds?period=30", "light", PHONE, True),
    ("incidents", "/incidents?period=90", "light", WIDE, False),
    ("pull-requests", "/pull-requests?period=90", "dark", WIDE, False),
    ("people", "/people?period=90", "light", WIDE, False),
    ("explain", "/delivery/explain/change-lead-time?period=30", "light", WIDE, False),
    ("agent-light", "/agent", "light", WIDE, True),
    ("agent-dark", "/agent", "dark", WIDE, True),
    ("agent-390", "/agent", "light", PHONE, True),
    ("run-light", RUN, "light", WIDE, True),
    ("run-dark", RUN, "dark", WIDE, True),
    ("run-390", RUN, "dark", PHONE, True),
    ("deliveries", "/deliveries", "light", WIDE, False),
    ("deliveries-390", "/deliveries", "dark", PHONE, False),
)


def signed_in(browser: Browser, link: str) -> BrowserContext:
    """Use the link up and keep the session."""
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.goto(link)
    if "/sign-in" in page.url:
        page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/delivery*")
    return context


def open_shot(page: Page, address: str, path: str) -> None:
    """Open a path, or the page of the run under way, else of the one that ended last."""
    page.goto(address + ("/agent" if path == RUN else path))
    if path == RUN:
        first = page.locator("a[href^='/agent/runs/']").first
        page.goto(address + str(first.get_attribute("href")))
    page.wait_for_timeout(400)


def main(link: str, folder: Path) -> None:
    """Take every screenshot."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    address = "{0.scheme}://{0.netloc}".format(urlsplit(link))
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=sandbox)
        context = signed_in(browser, link)
        for name, path, scheme, size, whole in SHOTS:
            page = context.new_page()
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.set_viewport_size({"width": size["width"], "height": size["height"]})
            open_shot(page, address, path)
            page.screenshot(path=folder / f"{name}.png", full_page=whole)
            page.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
