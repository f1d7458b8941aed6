"use strict";

// The dashboard renews itself part by part; a part that has not changed is left alone, and what has
// the focus keeps it. In a hidden tab it goes on, less often: the count in the tab's title must be true.
(() => {
  const LATE_MS = 10_000; // without an answer for so long, what is shown is called old
  const TIMEOUT_MS = 20_000;
  const box = document.getElementById("now");
  const title = document.title;
  let timer = null;
  let isAsking = false;
  let renewedAt = Date.now();
  let unansweredSince = null; // when the first of the requests without an answer was sent

  // What needs somebody is seen in the browser's tab too.
  function tellTitle() {
    const count = Number(document.getElementById("attention")?.dataset.count);
    tell(count ? `(${count}) ${title}` : title);
  }

  function tell(words) {
    if (document.title !== words) document.title = words;
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
    tellTitle();
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
    renewedAt = Date.now();
    unansweredSince = null;
  }

  // Null for no answer: offline, too slow, an error, or a login page.
  async function answered() {
    try {
      const answer = await fetch(box.dataset.url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      return answer.ok && !answer.redirected ? await answer.text() : null;
    } catch {
      return null;
    }
  }

  async function ask() {
    if (isAsking) return;
    clearTimeout(timer);
    isAsking = true;
    unansweredSince ??= Date.now();
    const html = await answered();
    isAsking = false;
    later();
    if (html !== null) renew(html);
  }

  function later() {
    const { everyS, everyHiddenS } = box.dataset;
    timer = setTimeout(ask, Number(document.hidden ? everyHiddenS : everyS) * 1000);
  }

  // A hidden tab asks seldom, and the browser may slow it down further: only a request without an answer is bad.
  function tellAge() {
    const now = Date.now();
    const renewed_s = Math.round((now - renewedAt) / 1000);
    const isLate = unansweredSince !== null && now - unansweredSince >= LATE_MS;
    const age = document.getElementById("now-age");
    age.textContent = isLate ? `No answer for ${renewed_s} s: what you see is old` : `Renewed ${renewed_s} s ago`;
    age.classList.toggle("wx-problem", isLate);
    if (isLate) tell(`(?) ${title}`);
  }

  tellTitle();
  later();
  setInterval(tellAge, 1000);
  document.addEventListener("visibilitychange", () => document.hidden || ask());
})();
