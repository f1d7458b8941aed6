"use strict";

// Polls the parts of the page of one object and replaces those that have changed. What a person is
// in the middle of stays: the focus, an unfolded part, selected text, a form with the cursor in it.
// A part that cannot be replaced now is replaced by a later answer.
document.querySelectorAll("[data-live]").forEach((age) => {
  const LATE_MS = 12_000; // without an answer for this long, the page is marked as old
  const TIMEOUT_MS = 20_000;
  const everyMs = Number(age.dataset.everyS) * 1000;
  const html = new Map(); // of each part, as the server sent it: scripts may have changed the page
  let etag = null;
  let renewedAt = Date.now();
  let unansweredSince = null; // when the first of the requests without an answer was sent
  let isAsking = false;
  let timer = null;

  const partsOf = (root) => root.querySelectorAll("[data-part]");
  for (const part of partsOf(document)) html.set(part.id, part.innerHTML);

  // Whether a person writes or selects something in it.
  function isInUse(part) {
    const focused = document.activeElement;
    if (part.contains(focused) && focused.matches("input, textarea, select")) return true;
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(part, true);
  }

  function replace(old, fresh) {
    const unfolded = [...old.querySelectorAll("details")].map((one) => one.open);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const same = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.href && `a[href="${CSS.escape(focused.getAttribute("href"))}"]`);
    old.replaceChildren(...document.importNode(fresh, true).childNodes);
    // Parts inside of it are in order: the newest is first, and the number seldom changes.
    old.querySelectorAll("details").forEach((one, place) => { if (place in unfolded) one.open = unfolded[place]; });
    if (!focused) return;
    const target = (same && old.querySelector(same)) || old;
    if (target === old) old.tabIndex = -1;
    target.focus({ preventScroll: true });
  }

  // Adds and removes the children of a list, in the order of the answer.
  function arrange(old, fresh) {
    const wanted = [...fresh.children];
    const ids = new Set(wanted.map((child) => child.id));
    for (const child of [...old.children]) if (!ids.has(child.id)) child.remove();
    let before = null;
    for (const child of wanted) {
      let here = document.getElementById(child.id);
      if (!here) {
        here = document.importNode(child, true);
        if (before) before.after(here);
        else old.prepend(here);
        for (const part of partsOf(child)) html.set(part.id, part.innerHTML);
      }
      before = here;
    }
  }

  // Whether all of the answer is shown now.
  function renew(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    let isComplete = true;
    for (const list of fresh.querySelectorAll("[data-list]")) arrange(document.getElementById(list.id), list);
    for (const part of partsOf(fresh)) {
      const old = document.getElementById(part.id);
      if (!old || html.get(part.id) === part.innerHTML) continue;
      if (isInUse(old)) {
        isComplete = false;
        continue;
      }
      html.set(part.id, part.innerHTML);
      replace(old, part);
    }
    document.dispatchEvent(new CustomEvent("wx-renewed"));
    return isComplete;
  }

  // Null without an answer: offline, timeout, error, or a login page.
  async function ask() {
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      const answer = await WxPoll.get(age.dataset.live, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer?.status === 304) return { isSame: true };
      return answer && { etag: answer.headers.get("ETag"), text: await answer.text() };
    } catch {
      return null; // it ended in the middle
    }
  }

  async function poll() {
    if (isAsking || document.hidden) return;
    clearTimeout(timer);
    isAsking = true;
    unansweredSince ??= Date.now();
    const answer = await ask();
    isAsking = false;
    timer = setTimeout(poll, everyMs);
    if (!answer) return;
    if (!answer.isSame) etag = renew(answer.text) ? answer.etag : null;
    renewedAt = Date.now();
    unansweredSince = null;
  }

  function showAge() {
    const now = Date.now();
    const isLate = unansweredSince !== null && now - unansweredSince >= LATE_MS;
    const ago = Math.round((now - renewedAt) / 1000);
    age.textContent = isLate ? `No answer for ${ago} s: what you see is old` : `Renewed ${ago} s ago`;
    age.classList.toggle("wx-problem", isLate);
  }

  timer = setTimeout(poll, everyMs);
  setInterval(showAge, 1000);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) poll();
  });
});
