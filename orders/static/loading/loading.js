"use strict";

// The page works without this script. The script sends taps in the background and refreshes the list:
// it copies the parts marked `data-live` from a fresh page. It copies nothing while a finger is on the
// screen, and ignores taps for PAUSE_MS after an answer: else the second tap of a double tap would hit
// the button that replaced the first.
(() => {
  const TIMEOUT_MS = 20_000;
  const OLD_MS = 30_000; // the list counts as old after this time without an answer
  const PAUSE_MS = 800;
  const age = document.getElementById("age");
  const every_ms = age ? Number(age.dataset.every) * 1000 : 0;
  let timer = null;
  let isSending = false;
  let isTouched = false;
  let ignoreTapsUntil = 0;
  let refreshedAt = Date.now();

  const parsed = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  function localize() {
    for (const time of document.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      const isToday = at.toDateString() === new Date().toDateString();
      const format = { hour: "2-digit", minute: "2-digit", ...(isToday ? {} : { day: "numeric", month: "short" }) };
      time.textContent = new Intl.DateTimeFormat(navigator.language, format).format(at);
    }
  }

  // --- updating the page -------------------------------------------------------------------------

  const shown = new Map(); // the server's HTML by id; the page itself differs in its local times
  for (const part of document.querySelectorAll("[data-live]")) shown.set(part.id, part.innerHTML);

  function show(fresh, { answered = false } = {}) {
    if (!fresh.getElementById("list")) return location.reload(); // an error page, or the log-in
    const focused = document.activeElement?.value;
    const expanded = new Set([...document.querySelectorAll("details[open] button")].map((button) => button.value));
    for (const part of fresh.querySelectorAll("[data-live]")) {
      if ((part.id === "result" && !answered) || shown.get(part.id) === part.innerHTML) continue;
      shown.set(part.id, part.innerHTML);
      document.getElementById(part.id).replaceChildren(...part.childNodes);
    }
    for (const button of document.querySelectorAll("[data-live] button")) {
      if (expanded.has(button.value)) button.closest("details").open = true;
      if (focused && button.value === focused) button.focus({ preventScroll: true });
    }
    refreshedAt = Date.now();
    localize();
    showAge();
  }

  function showRefusal(text) {
    const refusal = document.createElement("p");
    refusal.className = "result refused";
    refusal.setAttribute("role", "alert");
    refusal.textContent = text;
    document.getElementById("result").replaceChildren(refusal);
    shown.delete("result");
    refusal.scrollIntoView({ block: "nearest" });
  }

  // --- polling -----------------------------------------------------------------------------------

  function schedulePoll(ms) {
    clearTimeout(timer);
    if (every_ms) timer = setTimeout(poll, ms);
  }

  async function poll() {
    if (document.hidden) return; // polls again when the page becomes visible
    if (isSending || isTouched) return schedulePoll(500);
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer.redirected) return location.reload(); // logged out
      const fresh = answer.ok ? await parsed(answer) : null;
      if (fresh && !isSending && !isTouched) show(fresh);
    } catch {
      // No answer: the age shows it.
    }
    schedulePoll(every_ms);
  }

  function showAge() {
    if (!age) return;
    const seconds = Math.round((Date.now() - refreshedAt) / 1000);
    const isOld = seconds * 1000 >= OLD_MS;
    age.classList.toggle("old", isOld);
    const text = isOld ? `No connection for ${seconds} s: this list is old.` : "Updates itself.";
    if (age.textContent !== text) age.textContent = text;
  }

  // --- taps --------------------------------------------------------------------------------------

  async function send(form, button) {
    isSending = true;
    button.setAttribute("aria-disabled", "true");
    const body = new URLSearchParams([...new FormData(form), [button.name, button.value]]);
    try {
      const answer = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout(TIMEOUT_MS) });
      show(await parsed(answer), { answered: true });
      document.querySelector("#result > p")?.scrollIntoView({ block: "nearest" });
    } catch {
      showRefusal("No connection: this may not have been sent. Check the list, then tap again.");
    } finally {
      isSending = false;
      ignoreTapsUntil = Date.now() + PAUSE_MS;
      button.removeAttribute("aria-disabled");
    }
  }

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "tap") return;
    event.preventDefault();
    if (!isSending && Date.now() >= ignoreTapsUntil) send(event.target, event.submitter);
  });

  document.addEventListener("pointerdown", () => { isTouched = true; });
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => setTimeout(() => { isTouched = false; }, 300)); // the click comes after
  }
  document.addEventListener("visibilitychange", () => document.hidden || poll());
  addEventListener("online", poll);
  addEventListener("pageshow", (event) => event.persisted && poll());

  localize();
  showAge();
  setInterval(showAge, 1000);
  schedulePoll(every_ms);
})();
