"use strict";

// Polls the dashboard and replaces the parts that have changed. What is unfolded or half written
// stays, and so does the focus. A hidden tab polls less often, because the count in its title must
// stay current.
const WxDashboard = (() => {
  const LATE_MS = 10_000; // without an answer for this long, the page is marked as stale
  const TIMEOUT_MS = 20_000;
  const box = document.getElementById("now");
  const title = document.title;
  let timer = null;
  let isAsking = false;
  let asksAgain = false;
  let renewedAt = Date.now();
  let unansweredSince = null; // when the first of the requests without an answer was sent

  // The tab's title shows how many objects need attention.
  function showCount() {
    const count = Number(document.getElementById("attention")?.dataset.count);
    setTitle(count ? `(${count}) ${title}` : title);
  }

  function setTitle(text) {
    if (document.title !== text) document.title = text;
  }

  function causesOpened() {
    return [...box.querySelectorAll("details[data-opens][open]")].map((one) => one.dataset.opens);
  }

  function address() {
    const query = new URLSearchParams(causesOpened().map((cause) => ["open", cause]));
    return `${box.dataset.url}?${query}`;
  }

  // What a person has unfolded or written in a part, by id.
  function workIn(part) {
    return {
      unfolded: [...part.querySelectorAll("details[open][id]")].map((one) => one.id),
      written: [...part.querySelectorAll("input[name=note]")].filter((one) => one.value).map((one) => [one.id, one.value]),
    };
  }

  function bringBack(part, work) {
    for (const id of work.unfolded) part.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
    for (const [id, text] of work.written) {
      const field = part.querySelector(`#${CSS.escape(id)}`);
      if (field) field.value = text;
    }
  }

  function renew(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const active = document.activeElement;
    const caret = active?.selectionStart ?? null;
    for (const part of fresh.body.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      if (!old) continue;
      bringBack(part, workIn(old));
      if (old.outerHTML !== part.outerHTML) old.replaceWith(document.importNode(part, true));
    }
    showCount();
    refocus(active, caret);
    renewedAt = Date.now();
    unansweredSince = null;
    const told = document.getElementById("attention")?.dataset.told;
    if (told) tell(told);
    box.dispatchEvent(new Event("wx:renewed"));
  }

  function refocus(active, caret) {
    if (!active?.id || active.isConnected) return;
    const again = document.getElementById(active.id);
    again?.focus({ preventScroll: true });
    if (again && caret !== null) again.setSelectionRange(caret, caret);
  }

  function tell(text) {
    document.getElementById("now-told").textContent = text;
  }

  // Null without an answer: offline, timeout, error, or a login page.
  async function fetchParts() {
    try {
      const answer = await WxPoll.get(address(), { signal: AbortSignal.timeout(TIMEOUT_MS) });
      return answer && (await answer.text());
    } catch {
      return null; // it ended in the middle
    }
  }

  async function ask() {
    asksAgain = isAsking; // what it answers may be from before the change
    if (isAsking) return;
    clearTimeout(timer);
    isAsking = true;
    unansweredSince ??= Date.now();
    const html = await fetchParts();
    isAsking = false;
    schedule();
    if (html !== null) renew(html);
    if (asksAgain) ask();
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

  // The items of a line that was folded are not polled.
  function fill(event) {
    const line = event.target;
    if (line.open && line.dataset?.opens && !line.querySelector("ul")) ask();
  }

  showCount();
  schedule();
  setInterval(showAge, 1000);
  box.addEventListener("toggle", fill, true);
  document.addEventListener("visibilitychange", () => document.hidden || ask());
  return { ask, renew, address, tell };
})();
