"use strict";

// The page works without this script. With it, the page polls itself and updates the elements marked
// `data-live` in place:
//   attributes  the attributes only (scripts draw the children)
//   content     attributes and children
//   ask         attributes and children, but only when the form changes: the customer may be typing
// Never mark an element that another script owns, like #map, where Leaflet sets classes and style: the
// update would remove them. Put it inside a marked element instead.
const Track = (() => {
  const HIDDEN_TIMES = 5;
  const SAVING_TIMES = 4;
  const SLOWEST_S = 120;
  const OLD_S = 60;
  const QUIET_S = 15; // no event of a stream that is open
  const TIMEOUT_MS = 20_000;
  const POSITION_TIMEOUT_MS = 5_000;
  const PHOTO_TIMEOUT_MS = 180_000; // 4 MB over a slow line
  const PHOTO_SIDE_PX = 2048; // larger ones are made smaller by the server too
  const PHOTO_QUALITY = 0.85;
  const pageLanguage = document.documentElement.lang;
  // The browser's variant of the page's language, like en-US, decides on the format of times.
  const language = navigator.languages.find((tag) => tag.split("-")[0] === pageLanguage) ?? pageLanguage;
  const words = document.getElementById("words").dataset;
  const page = document.getElementById("page");
  const raw = new Map(); // the server's HTML by element id, because `localize` changes the times
  let timer = null;
  let notBefore = 0; // the server's Retry-After, on the phone's clock
  let failures = 0;
  let shownAt = Date.now(); // the whole page
  let countedAt = Date.now(); // its time left
  let flown = null; // share of the way at which the drone is drawn
  let sending = false;
  let polling = false;
  let stream = { listens: () => false, compare() {}, told: () => 0 }; // until stream.js is there

  // --- times and the countdown -------------------------------------------------------------------

  const formats = {
    time: { timeStyle: "short" },
    moment: { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" },
    day: { weekday: "long", day: "numeric", month: "long", hour: "numeric", minute: "2-digit" },
  };

  // “near” is the time today, and date and time on other days.
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

  // Counts from the time of the last update, so a wrong clock of the phone does not matter.
  function count() {
    const left = document.getElementById("facts").dataset.seconds;
    const about = document.querySelector("[data-about]");
    if (left === "" || !about) return;
    const passed = (Date.now() - countedAt) / 1000;
    const now = inMinutes(Number(left) - passed);
    if (about.textContent !== now) about.textContent = now;
    fly(Number(left), passed);
  }

  // Moves the drawn drone along the same arc as `page_context.arc`.
  function fly(left, passed) {
    const drone = document.getElementById("scene-drone");
    const start = Number(drone.dataset.share);
    const share = start + Math.max(0, 0.97 - start) * Math.min(1, passed / Math.max(1, left));
    flown = share;
    drone.setAttribute("transform", `translate(${74 + 174 * share} ${78 - 208 * share * (1 - share)})`);
    document.getElementById("scene-done").setAttribute("stroke-dasharray", `${100 * share} 100`);
  }

  // --- updating the page -------------------------------------------------------------------------

  function copyAttributes(from, to) {
    for (const { name } of [...to.attributes]) if (!from.hasAttribute(name)) to.removeAttribute(name);
    for (const { name, value } of from.attributes) if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  }

  // answered: the form that was sent; its section is replaced in any case.
  function show(fresh, { answered = null } = {}) {
    const freshPage = fresh.getElementById("page");
    if (!freshPage) return location.reload(); // an error page, which reloads itself
    // A cached copy may be a few seconds older than the answer to a form.
    if (!answered && freshPage.dataset.updated < page.dataset.updated) return;
    for (const element of fresh.querySelectorAll("[data-live]")) {
      const shown = document.getElementById(element.id);
      if (!shown) return location.reload();
      const kind = element.dataset.live;
      if (kind === "ask" && !shown.contains(answered) && shown.dataset.ask === element.dataset.ask) continue;
      if (element.id === "feedback" && !answered) continue;
      copyAttributes(element, shown);
      if (kind === "attributes" || (kind === "content" && raw.get(element.id) === element.innerHTML)) continue;
      raw.set(element.id, element.innerHTML);
      shown.replaceChildren(...element.childNodes);
    }
    // The fresh page has no map when the delivery is over.
    if (!fresh.getElementById("where")) document.getElementById("where")?.remove();
    shownAt = countedAt = Date.now();
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

  // --- polling -----------------------------------------------------------------------------------

  const every_s = () => Number(page.dataset.every) * (document.hidden ? HIDDEN_TIMES : 1);

  function schedule(seconds, what = poll) {
    clearTimeout(timer);
    // Random jitter: other phones poll as often, and may have got the same Retry-After.
    const wait_ms = seconds * 1000 * (0.9 + 0.2 * Math.random());
    const asked_ms = Math.max(0, notBefore - Date.now()) * (1 + 0.1 * Math.random());
    if (seconds) timer = setTimeout(what, Math.max(wait_ms, asked_ms));
  }

  // While the drone flies and the page is visible, only what moves is sent (stream.js) or asked for, and
  // the page when something else has changed or when it is old.
  function next() {
    const { position, positionEvery } = page.dataset;
    const listens = stream.listens();
    if (!position || document.hidden) return schedule(every_s());
    if (listens) return schedule(QUIET_S, look);
    schedule(Number(positionEvery) * (navigator.connection?.saveData ? SAVING_TIMES : 1), look);
  }

  async function look() {
    if (sending) return next();
    const [asked_ms, told] = [Date.now(), stream.told()];
    try {
      const answer = await fetch(page.dataset.position, { cache: "no-store", signal: AbortSignal.timeout(POSITION_TIMEOUT_MS) });
      if (!answer.ok) throw answer;
      const seen = await answer.json();
      stream.compare(seen, asked_ms);
      if (stream.told() === told) take(seen);
      else heard(); // an event has come since, which is newer
    } catch (answer) {
      waitAs(answer);
      schedule(every_s()); // for the page, which says what is wrong
    }
  }

  // Shows what the server says that moves. After a failure the next page is waited for.
  function take(seen) {
    if (failures) return;
    // Without the map there is the drawn plan, which only the page brings.
    const old_s = document.querySelector(".leaflet-container") ? OLD_S : every_s();
    if (seen.page !== page.dataset.version || Date.now() - shownAt > old_s * 1000) return poll();
    if (!sending) move(seen);
    next();
  }

  function move({ position, eta_seconds, expected, left, bearing }) {
    const where = document.getElementById("where");
    if (!where) return;
    if (position) {
      where.dataset.drone = `${position.lat},${position.lng}`;
      where.dataset.heading = position.heading_deg ?? 0;
    } else delete where.dataset.drone;
    put(document.querySelector("[data-left]"), left);
    put(document.getElementById("bearing"), bearing);
    document.getElementById("facts").dataset.seconds = eta_seconds ?? "";
    if (flown !== null) document.getElementById("scene-drone").dataset.share = flown;
    countedAt = Date.now();
    const times = document.querySelectorAll("#facts time[data-moves]");
    times.forEach((time, n) => expected && (time.dateTime = expected[n]));
    if (times.length) raw.delete("facts");
    shown();
  }

  // The next page replaces it in any case.
  function put(element, text) {
    if (!element || !text || element.textContent === text) return;
    element.textContent = text;
    raw.delete(element.closest("[data-live=content]").id);
  }

  async function poll() {
    if (polling) return;
    if (sending) return schedule(1);
    // Also when the page is shown again or the phone is online again.
    if (Date.now() < notBefore) return schedule(every_s() || 1);
    polling = true;
    try {
      const answer = await fetch(page.dataset.here, { cache: "no-cache", signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (answer.status === 404) return location.reload();
      if (!answer.ok) return failed(answer);
      const fresh = await parsed(answer);
      if (!sending) show(fresh);
      succeeded();
    } catch {
      failed();
    } finally {
      polling = false;
    }
  }

  function succeeded() {
    failures = 0;
    document.getElementById("lost").textContent = "";
    next();
    loadTheRest();
  }

  function failed(answer) {
    failures += 1;
    waitAs(answer);
    if (failures > 1 || !navigator.onLine) showLost();
    schedule(Math.min(SLOWEST_S, (every_s() || 15) * 2 ** Math.min(failures, 6)));
  }

  // Retry-After of a 429 or 503. There is none without an answer.
  function waitAs(answer) {
    const seconds = Number(answer?.headers?.get("Retry-After")) || 0;
    notBefore = Math.max(notBefore, Date.now() + seconds * 1000);
  }

  function showLost() {
    const lost = document.getElementById("lost");
    const since = new Intl.DateTimeFormat(language, formats.time).format(shownAt);
    const text = `${lost.dataset.words} ${since}.`;
    if (lost.textContent !== text) lost.textContent = text;
  }

  // --- forms and sharing -------------------------------------------------------------------------

  function showError(text) {
    const error = document.createElement("p");
    error.className = "feedback refused";
    error.setAttribute("role", "alert");
    error.textContent = text;
    document.getElementById("feedback").replaceChildren(error);
    error.scrollIntoView({ block: "nearest" });
  }

  // The form with its photo made smaller: a phone's photo has more bytes than the server takes. The
  // new file has no position and no make of the phone.
  async function withSmallPhoto(form) {
    const body = new FormData(form);
    const photo = body.get("photo");
    if (!photo?.size) return body;
    try {
      const image = await createImageBitmap(photo);
      const scale = Math.min(1, PHOTO_SIDE_PX / Math.max(image.width, image.height));
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(image.width * scale));
      canvas.height = Math.max(1, Math.round(image.height * scale));
      const paper = canvas.getContext("2d");
      paper.fillStyle = "#fff"; // behind a transparent picture
      paper.fillRect(0, 0, canvas.width, canvas.height);
      paper.drawImage(image, 0, 0, canvas.width, canvas.height);
      const smaller = await new Promise((done) => canvas.toBlob(done, "image/jpeg", PHOTO_QUALITY));
      if (smaller && smaller.size < photo.size) body.set("photo", smaller, "photo.jpg");
    } catch {
      // No picture that this browser can read. The server says what it takes.
    }
    return body;
  }

  async function send(form) {
    if (sending) return; // a second tap
    sending = true;
    const buttons = form.querySelectorAll("button");
    buttons.forEach((button) => button.setAttribute("aria-disabled", "true"));
    try {
      const hasFile = form.enctype === "multipart/form-data";
      const body = hasFile ? await withSmallPhoto(form) : new URLSearchParams(new FormData(form));
      const signal = AbortSignal.timeout(hasFile ? PHOTO_TIMEOUT_MS : TIMEOUT_MS);
      const answer = await fetch(form.action, { method: "POST", body, signal });
      const fresh = await parsed(answer);
      // A notice instead of the page: what was typed or drawn must stay.
      if (!answer.ok && !fresh.getElementById("page")) {
        waitAs(answer);
        return showError(words.failed);
      }
      show(fresh, { answered: form });
      document.querySelector("#feedback > p")?.scrollIntoView({ block: "center" });
      succeeded();
    } catch {
      showError(words.failed);
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
      // Closed without sharing. The link is below the button as well.
    }
  });

  document.addEventListener("visibilitychange", () => (document.hidden ? next() : page.dataset.every > 0 && poll()));
  addEventListener("offline", showLost);
  addEventListener("online", poll);

  // --- what can wait until the page is painted -----------------------------------------------------

  const rest = document.getElementById("rest").dataset;
  const here = new Set();
  let loading = false;

  // Whether the file arrived. Our own styles come last, so that they count.
  function load(file) {
    const isStyle = file.endsWith(".css");
    const element = document.createElement(isStyle ? "link" : "script");
    return new Promise((done) => {
      element.onload = () => done(here.add(file));
      element.onerror = () => done(false);
      Object.assign(element, isStyle ? { rel: "stylesheet", href: file } : { src: file });
      document.querySelector("link[rel=stylesheet]").before(element);
    });
  }

  // On a slow connection Leaflet takes longer than all that the customer needs first. A file that
  // did not arrive is asked for again after the next poll.
  async function loadTheRest() {
    if (loading) return;
    loading = true;
    for (const files of [rest.first, rest.then]) {
      const missing = files.split(" ").filter((file) => file && !here.has(file));
      const arrived = await Promise.all(missing.map(load));
      if (!arrived.every(Boolean)) break;
    }
    loading = false;
  }

  // A browser that does not tell when it painted has done so when the second frame begins.
  function afterFirstPaint(then) {
    if (!PerformanceObserver.supportedEntryTypes?.includes("paint")) {
      requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(then)));
      return;
    }
    new PerformanceObserver((list, observer) => {
      if (list.getEntriesByName("first-contentful-paint").length === 0) return;
      observer.disconnect();
      then();
    }).observe({ type: "paint", buffered: true });
  }

  for (const element of document.querySelectorAll("[data-live=content]")) raw.set(element.id, element.innerHTML);
  document.getElementById("zone").textContent = words.zone;
  shown();
  setInterval(count, 1000);
  next();
  afterFirstPaint(loadTheRest);
  // heard: the stream has opened or failed.
  const heard = () => failures || next();
  const hear = (theStream) => {
    stream = theStream;
    heard();
  };
  return { showError, words, take, hear, heard };
})();
