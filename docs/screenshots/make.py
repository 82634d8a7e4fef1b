"""Take the README's screenshots of a running instance: `make.py SIGN_IN_LINK [FOLDER]`.

`make demo` prints the link; it signs in once. Needs a Chromium (CHROMIUM, or one on the PATH).
"""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, sync_playwright

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SHOTS = (
    ("delivery-light", "/delivery?period=90", "light", WIDE, False),
    ("delivery-dark", "/delivery?period=90", "dark", WIDE, False),
    ("delivery-390", "/delivery?period=30", "light", PHONE, True),
    ("explain", "/delivery/explain/change-lead-time?period=30", "light", WIDE, False),
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
            page.goto(address + path)
            page.wait_for_timeout(400)
            page.screenshot(path=folder / f"{name}.png", full_page=whole)
            page.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
