"use strict";

// Polls the dashboard and replaces the parts that have changed; the focus stays. A hidden tab polls
// less often, because the count in its title must stay current.
(() => {
  const LATE_MS = 10_000; // without an answer for this long, the page is marked as stale
  const TIMEOUT_MS = 20_000;
  const box = document.getElementById("now");
  const title = document.title;
  let timer = null;
  let isAsking = false;
  let renewedAt = Date.now();
  let unansweredSince = null; // when the first of the requests without an answer was sent

  // The tab's title shows the number of items that need attention.
  function showCount() {
    const count = Number(document.getElementById("attention")?.dataset.count);
    setTitle(count ? `(${count}) ${title}` : title);
  }

  function setTitle(text) {
    if (document.title !== text) document.title = text;
  }

  function renew(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const focused = document.activeElement?.id;
    for (const part of fresh.body.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      if (!old) continue;
      const isUnfolded = old.querySelector("details")?.open;
      const details = part.querySelector("details");
      if (details && isUnfolded) details.open = true;
      if (old.innerHTML !== part.innerHTML) old.replaceWith(document.importNode(part, true));
    }
    showCount();
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
    renewedAt = Date.now();
    unansweredSince = null;
  }

  // Null without an answer: offline, timeout, error, or a login page.
  async function fetchParts() {
    try {
      const answer = await WxPoll.get(box.dataset.url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      return answer && (await answer.text());
    } catch {
      return null; // it ended in the middle
    }
  }

  async function ask() {
    if (isAsking) return;
    clearTimeout(timer);
    isAsking = true;
    unansweredSince ??= Date.now();
    const html = await fetchParts();
    isAsking = false;
    schedule();
    if (html !== null) renew(html);
  }

  function schedule() {
    const { everyS, everyHiddenS } = box.dataset;
    timer = setTimeout(ask, Number(document.hidden ? everyHiddenS : everyS) * 1000);
  }

  // A hidden tab polls seldom, and the browser may throttle it: only an unanswered request means stale.
  function showAge() {
    const now = Date.now();
    const renewed_s = Math.round((now - renewedAt) / 1000);
    const isLate = unansweredSince !== null && now - unansweredSince >= LATE_MS;
    const age = document.getElementById("now-age");
    age.textContent = isLate ? `No answer for ${renewed_s} s: what you see is old` : `Renewed ${renewed_s} s ago`;
    age.classList.toggle("wx-problem", isLate);
    if (isLate) setTitle(`(?) ${title}`);
  }

  showCount();
  schedule();
  setInterval(showAge, 1000);
  document.addEventListener("visibilitychange", () => document.hidden || ask());
})();
