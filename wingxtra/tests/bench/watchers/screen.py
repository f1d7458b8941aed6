"""A real Chromium with one open page: when it paints each position."""

import os
from datetime import datetime
from urllib.parse import urlsplit

from playwright.sync_api import Route

from wingxtra.tests.browser import CHROMIUM, chromium

CHROMIUM_IS_THERE = os.access(CHROMIUM, os.X_OK)
# When the drone was where the page was told it is, by a stream or by polls, and the time of the
# frame after the page has moved it there.
NOTE_PAINTS = """
window.painted = [];
let at = null;
const tell = (seen) => { at = seen.at; };
window.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    this.addEventListener("message", ({ data }) => tell(JSON.parse(data)));
  }
};
const ask = fetch;
window.fetch = async (url, options) => {
  const answer = await ask(url, options);
  if (answer.ok && url.includes("/position")) tell(await answer.clone().json());
  return answer;
};
addEventListener("DOMContentLoaded", () => {
  const where = document.getElementById("where");
  const note = () => {
    const told = at;
    requestAnimationFrame(() => requestAnimationFrame(
      () => painted.push([Date.now() / 1000, told])));
  };
  new MutationObserver(note).observe(where, { attributes: true, attributeFilter: ["data-drone"] });
});
"""


def watch(url: str, seconds: float, streams_port: int) -> list[tuple[float, float]]:
    """(time of the paint, time of its telemetry) of each new position, in POSIX seconds.
    streams_port: 0 for none.
    """
    with chromium() as browser:
        page = browser.new_page()
        page.add_init_script(NOTE_PAINTS)
        page.route("**/stream", lambda route: _as_the_proxy(route, streams_port))
        page.goto(url)
        page.wait_for_timeout(1000 * seconds)
        painted = page.evaluate("painted")
    first = {told: painted_s for painted_s, told in reversed(painted) if told}
    return [(first[told], datetime.fromisoformat(told).timestamp()) for told in first]


def _as_the_proxy(route: Route, streams_port: int) -> None:
    url = urlsplit(route.request.url)
    if streams_port:
        route.continue_(url=url._replace(netloc=f"{url.hostname}:{streams_port}").geturl())
    else:
        route.fulfill(status=404, body="")
