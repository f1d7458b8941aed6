"use strict";

// The page is whole without this script. With it, taps are sent in the background, and the list renews
// itself: the parts marked `data-live` are taken over from the fresh page. While a finger is on the
// screen nothing is, and for a moment after an answer nothing can be tapped: else the second tap of a
// double tap would hit the button that has come into the place of the first.
(() => {
  const TIMEOUT_MS = 20_000;
  const OLD_MS = 30_000; // without an answer for so long, what is shown is called old
  const PAUSE_MS = 800;
  const age = document.getElementById("age");
  const every_ms = age ? Number(age.dataset.every) * 1000 : 0;
  let timer = null;
  let isSending = false;
  let isTouched = false;
  let restUntil = 0;
  let renewedAt = Date.now();

  const parsed = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  function localize() {
    for (const time of document.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      const isToday = at.toDateString() === new Date().toDateString();
      const format = { hour: "2-digit", minute: "2-digit", ...(isToday ? {} : { day: "numeric", month: "short" }) };
      time.textContent = new Intl.DateTimeFormat(navigator.language, format).format(at);
    }
  }

  // --- taking over what is new -------------------------------------------------------------------

  const shown = new Map(); // what the server wrote, by id: times are rewritten here
  for (const part of document.querySelectorAll("[data-live]")) shown.set(part.id, part.innerHTML);

  function show(fresh, { answered = false } = {}) {
    if (!fresh.getElementById("list")) return location.reload(); // an error page, or the log-in
    const focused = document.activeElement?.value;
    const unfolded = new Set([...document.querySelectorAll("details[open] button")].map((button) => button.value));
    for (const part of fresh.querySelectorAll("[data-live]")) {
      if ((part.id === "told" && !answered) || shown.get(part.id) === part.innerHTML) continue;
      shown.set(part.id, part.innerHTML);
      document.getElementById(part.id).replaceChildren(...part.childNodes);
    }
    for (const button of document.querySelectorAll("[data-live] button")) {
      if (unfolded.has(button.value)) button.closest("details").open = true;
      if (focused && button.value === focused) button.focus({ preventScroll: true });
    }
    renewedAt = Date.now();
    localize();
    tellAge();
  }

  function tell(words) {
    const told = document.createElement("p");
    told.className = "told refused";
    told.setAttribute("role", "alert");
    told.textContent = words;
    document.getElementById("told").replaceChildren(told);
    shown.delete("told");
    told.scrollIntoView({ block: "nearest" });
  }

  // --- asking again ------------------------------------------------------------------------------

  function later(ms) {
    clearTimeout(timer);
    if (every_ms) timer = setTimeout(look, ms);
  }

  async function look() {
    if (document.hidden) return; // it asks when somebody looks again
    if (isSending || isTouched) return later(500);
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer.redirected) return location.reload(); // logged out
      const fresh = answer.ok ? await parsed(answer) : null;
      if (fresh && !isSending && !isTouched) show(fresh);
    } catch {
      // No answer: the age says so.
    }
    later(every_ms);
  }

  function tellAge() {
    if (!age) return;
    const seconds = Math.round((Date.now() - renewedAt) / 1000);
    const isOld = seconds * 1000 >= OLD_MS;
    age.classList.toggle("old", isOld);
    const words = isOld ? `No connection for ${seconds} s: this list is old.` : "Renews itself.";
    if (age.textContent !== words) age.textContent = words;
  }

  // --- tapping -----------------------------------------------------------------------------------

  async function send(form, button) {
    isSending = true;
    button.setAttribute("aria-disabled", "true");
    const body = new URLSearchParams([...new FormData(form), [button.name, button.value]]);
    try {
      const answer = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout(TIMEOUT_MS) });
      show(await parsed(answer), { answered: true });
      document.querySelector("#told > p")?.scrollIntoView({ block: "nearest" });
    } catch {
      tell("No connection: this may not have been sent. Look at the list, and tap again.");
    } finally {
      isSending = false;
      restUntil = Date.now() + PAUSE_MS;
      button.removeAttribute("aria-disabled");
    }
  }

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "tap") return;
    event.preventDefault();
    if (!isSending && Date.now() >= restUntil) send(event.target, event.submitter);
  });

  document.addEventListener("pointerdown", () => { isTouched = true; });
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => setTimeout(() => { isTouched = false; }, 300)); // the click comes after
  }
  document.addEventListener("visibilitychange", () => document.hidden || look());
  addEventListener("online", look);
  addEventListener("pageshow", (event) => event.persisted && look());

  localize();
  tellAge();
  setInterval(tellAge, 1000);
  later(every_ms);
})();
