"""A real Chromium with one open page: when it paints each position."""

import json
import os
from datetime import datetime

from playwright.sync_api import Response

from wingxtra.tests.browser import CHROMIUM, chromium

CHROMIUM_IS_THERE = os.access(CHROMIUM, os.X_OK)
# The place of the drone in the page, and the time of the frame after it was set.
NOTE_PAINTS = """
window.painted = [];
addEventListener("DOMContentLoaded", () => {
  const where = document.getElementById("where");
  const note = () => requestAnimationFrame(() => requestAnimationFrame(
    () => painted.push([Date.now() / 1000, where.dataset.drone])));
  new MutationObserver(note).observe(where, { attributes: true, attributeFilter: ["data-drone"] });
});
"""


def watch(url: str, seconds: float) -> list[tuple[float, float]]:
    """(time of the paint, time of its telemetry) of each new position, in POSIX seconds."""
    told: dict[str, float] = {}
    last = ""

    def note(answer: Response) -> None:
        nonlocal last
        if answer.url.endswith("/position") and answer.ok:
            seen = json.loads(answer.text())
            if seen["position"] and seen["position"] != last:
                last = seen["position"]
                place = f"{last['lat']},{last['lng']}"
                told[place] = datetime.fromisoformat(seen["at"]).timestamp()

    with chromium() as browser:
        page = browser.new_page()
        page.add_init_script(NOTE_PAINTS)
        page.on("response", note)
        page.goto(url)
        page.wait_for_timeout(1000 * seconds)
        painted = page.evaluate("painted")
    return [(at_s, told[place]) for at_s, place in painted if place in told]
