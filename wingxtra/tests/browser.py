"""A real Chromium for tests marked `browser`, and for the pictures in docs/images/."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# How long `expect` waits: a busy machine stalls for seconds. Less than the time after which a page
# with a silent stream asks by itself (QUIET_S in track.js).
EXPECTS_WITHIN_MS = 12_000
# No background traffic: only requests of the pages are tested.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed Chromium: Playwright's own download is not needed."""
    # Playwright's event loop runs in this thread, so Django would refuse synchronous queries.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=EXPECTS_WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
