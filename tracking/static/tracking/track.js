"use strict";

// The page is whole without this script. With it, the page renews itself in place: it fetches
// itself and takes over what has changed of the elements marked `data-live`:
//   attributes  only these (whatever is in the element is drawn here)
//   content     attributes and children
//   ask         as a whole, once something else is asked for: somebody may be typing in it
// An element that another script owns (the map's, where Leaflet sets classes and style) is inside such
// an element and is never marked itself: it would lose what the server does not write.
const Track = (() => {
  const HIDDEN_TIMES = 5;
  const SLOWEST_S = 120;
  const TIMEOUT_MS = 20_000;
  const spoken = document.documentElement.lang;
  // The region of the phone, where it speaks the page's language, decides on the clock.
  const language = navigator.languages.find((known) => known.split("-")[0] === spoken) ?? spoken;
  const words = document.getElementById("words").dataset;
  const page = document.getElementById("page");
  const raw = new Map(); // what the server wrote, by id: times are rewritten here
  let timer = null;
  let failures = 0;
  let shownAt = Date.now();
  let sending = false;

  // --- times and the countdown -------------------------------------------------------------------

  const formats = {
    time: { timeStyle: "short" },
    moment: { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" },
    day: { weekday: "long", day: "numeric", month: "long", hour: "numeric", minute: "2-digit" },
  };

  // “near” is the time alone today, and the day as well on any other.
  function localize() {
    for (const time of document.querySelectorAll("time[data-format]")) {
      const at = new Date(time.dateTime);
      let format = time.dataset.format;
      if (format === "near") format = at.toDateString() === new Date().toDateString() ? "time" : "moment";
      time.textContent = new Intl.DateTimeFormat(language, formats[format]).format(at);
    }
  }

  function inMinutes(seconds) {
    const minutes = Math.ceil(seconds / 60);
    if (minutes < 1) return words.soon;
    return minutes === 1 ? words.minute : words.minutes.replace("{n}", minutes);
  }

  // Counted from when the page came, so that the phone's own clock need not be right.
  function count() {
    const left = document.getElementById("facts").dataset.seconds;
    const about = document.querySelector("[data-about]");
    if (left === "" || !about) return;
    const passed = (Date.now() - shownAt) / 1000;
    const now = inMinutes(Number(left) - passed);
    if (about.textContent !== now) about.textContent = now;
    fly(Number(left), passed);
  }

  // The drone of the drawing, on the same arc as the server puts it (scene.py).
  function fly(left, passed) {
    const drone = document.getElementById("scene-drone");
    const start = Number(drone.dataset.share);
    const share = start + Math.max(0, 0.97 - start) * Math.min(1, passed / Math.max(1, left));
    drone.setAttribute("transform", `translate(${74 + 174 * share} ${78 - 208 * share * (1 - share)})`);
    document.getElementById("scene-done").setAttribute("stroke-dasharray", `${100 * share} 100`);
  }

  // --- taking over what is new -------------------------------------------------------------------

  function copyAttributes(from, to) {
    for (const { name } of [...to.attributes]) if (!from.hasAttribute(name)) to.removeAttribute(name);
    for (const { name, value } of from.attributes) if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  }

  function show(fresh, { answered = false } = {}) {
    const its = fresh.getElementById("page");
    if (!its) return location.reload(); // an error page, which knows what to do
    // A copy on the way may be a few seconds older than the answer to what was just done.
    if (!answered && its.dataset.updated < page.dataset.updated) return;
    for (const element of fresh.querySelectorAll("[data-live]")) {
      const shown = document.getElementById(element.id);
      if (!shown) return location.reload();
      const kind = element.dataset.live;
      if (kind === "ask" && !answered && shown.dataset.ask === element.dataset.ask) continue;
      if (element.id === "told" && !answered) continue;
      copyAttributes(element, shown);
      if (kind === "attributes" || (kind === "content" && raw.get(element.id) === element.innerHTML)) continue;
      raw.set(element.id, element.innerHTML);
      shown.replaceChildren(...element.childNodes);
    }
    // Over: the page has no map any more, and what this one shows would stay for good.
    if (!fresh.getElementById("where")) document.getElementById("where")?.remove();
    shownAt = Date.now();
    shown();
  }

  function shown() {
    localize();
    count();
    const headline = document.getElementById("headline").textContent.replace(/\s+/g, " ").trim();
    if (document.title !== headline) document.title = headline;
    document.dispatchEvent(new Event("shown"));
  }

  const parsed = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

  // --- asking again, gently ----------------------------------------------------------------------

  const every_s = () => Number(page.dataset.every) * (document.hidden ? HIDDEN_TIMES : 1);

  function later(seconds) {
    clearTimeout(timer);
    // A little apart from all the others that were told to wait as long.
    if (seconds) timer = setTimeout(look, seconds * 1000 * (0.9 + 0.2 * Math.random()));
  }

  async function look() {
    if (sending) return later(1);
    try {
      const answer = await fetch(page.dataset.here, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer.status === 404) return location.reload();
      if (!answer.ok) return missed(Number(answer.headers.get("Retry-After")) || 0);
      const fresh = await parsed(answer);
      if (!sending) show(fresh);
      found();
    } catch {
      missed(0);
    }
  }

  function found() {
    failures = 0;
    document.getElementById("lost").textContent = "";
    later(every_s());
  }

  function missed(wait_s) {
    failures += 1;
    if (failures > 1 || !navigator.onLine) sayLost();
    later(Math.max(wait_s, Math.min(SLOWEST_S, (every_s() || 15) * 2 ** Math.min(failures, 6))));
  }

  function sayLost() {
    const lost = document.getElementById("lost");
    const since = new Intl.DateTimeFormat(language, formats.time).format(shownAt);
    const told = `${lost.dataset.words} ${since}.`;
    if (lost.textContent !== told) lost.textContent = told;
  }

  // --- doing something ---------------------------------------------------------------------------

  function tell(text) {
    const told = document.createElement("p");
    told.className = "told refused";
    told.setAttribute("role", "alert");
    told.textContent = text;
    document.getElementById("told").replaceChildren(told);
    told.scrollIntoView({ block: "nearest" });
  }

  async function send(form) {
    if (sending) return; // a second tap
    sending = true;
    const buttons = form.querySelectorAll("button");
    buttons.forEach((button) => button.setAttribute("aria-disabled", "true"));
    try {
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout(TIMEOUT_MS) });
      show(await parsed(answer), { answered: true });
      document.querySelector("#told > p")?.scrollIntoView({ block: "center" });
      found();
    } catch {
      tell(words.failed);
    } finally {
      sending = false;
      buttons.forEach((button) => button.removeAttribute("aria-disabled"));
    }
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-do]")) return;
    event.preventDefault();
    document.dispatchEvent(new CustomEvent("sending", { detail: event.target }));
    send(event.target);
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-share]");
    if (!button) return;
    const url = button.dataset.share;
    try {
      if (navigator.share) await navigator.share({ url, title: document.querySelector("meta[property='og:title']").content });
      else {
        await navigator.clipboard.writeText(url);
        button.textContent = button.dataset.done;
      }
    } catch {
      // Closed without sharing. The link stands below the button, too.
    }
  });

  document.addEventListener("visibilitychange", () => (document.hidden ? later(every_s()) : page.dataset.every > 0 && look()));
  addEventListener("offline", sayLost);
  addEventListener("online", look);

  for (const element of document.querySelectorAll("[data-live=content]")) raw.set(element.id, element.innerHTML);
  document.getElementById("zone").textContent = words.zone;
  // The scripts after this one may listen by then.
  document.addEventListener("DOMContentLoaded", shown);
  setInterval(count, 1000);
  later(every_s());
  return { tell, words };
})();
