"use strict";

// Lists: what is selected, the fields of the filters, and the rows as they are now.
(() => {
  const list = document.getElementById("wx-list");
  if (!list) return;
  const form = document.getElementById("changelist-form");
  const all = (selector) => [...document.querySelectorAll(selector)];
  const boxes = () => [...list.querySelectorAll(".action-select")];
  const across = () => all("input.select-across");
  const show = (selector, is) => all(selector).forEach((one) => one.classList.toggle("hidden", !is));
  let last = null;
  let range = false;

  // --- what is selected ---

  function selectAcross(is) {
    // Alpine has bound the field to a variable, which hears of it by this event.
    across().forEach((one) => {
      one.value = is ? 1 : 0;
      one.dispatchEvent(new Event("input"));
    });
    tell();
  }

  function tell() {
    const here = boxes();
    const chosen = here.filter((box) => box.checked);
    const isAll = here.length > 0 && chosen.length === here.length;
    const isAcross = across().some((one) => one.value === "1");
    const toggle = document.getElementById("action-toggle");
    if (toggle) toggle.checked = isAll;
    all(".action-counter").forEach((one) => {
      one.textContent = `${chosen.length} of ${here.length} selected`;
    });
    show(".action-counter", !isAcross);
    show(".actions .all", isAcross);
    show(".actions .question", isAll && !isAcross);
    show(".actions .clear", isAcross);
  }

  function select(some, is) {
    some.forEach((box) => (box.checked = is));
    if (across().some((one) => one.value === "1")) selectAcross(false);
    tell();
  }

  document.addEventListener("click", (event) => (range = event.shiftKey), true);

  list.addEventListener("change", ({ target }) => {
    if (target.id === "action-toggle") return select(boxes(), target.checked);
    if (!target.classList.contains("action-select")) return;
    const here = boxes();
    const ends = [here.indexOf(target), here.indexOf(last)].sort((a, b) => a - b);
    const isRange = range && last !== target && ends[0] >= 0;
    select(isRange ? here.slice(ends[0], ends[1] + 1) : [target], target.checked);
    last = target;
  });

  form.addEventListener("click", (event) => {
    const inside = (selector) => event.target.closest(selector);
    if (!inside(".question a, .clear a")) return;
    event.preventDefault();
    if (inside(".question")) selectAcross(true);
    else select(boxes(), false);
  });

  window.addEventListener("pageshow", tell);

  // --- filters: the address names only what is chosen ---

  all("form[data-drop-empty]").forEach((one) =>
    one.addEventListener("formdata", ({ formData }) => {
      for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
    }),
  );

  // --- the rows as they are now ---

  const keyOf = (row) => row.querySelector("a, .action-select")?.outerHTML.match(/[0-9a-f-]{36}/)?.[0];

  // Changes the old element into the fresh one, in place: focus, selection and open menus stay.
  function morph(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType === Node.TEXT_NODE) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes ?? []]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes ?? []) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const [had, has] = [[...old.childNodes], [...fresh.childNodes]];
    has.forEach((node, n) => (had[n] ? morph(had[n], node) : old.append(node)));
    had.slice(has.length).forEach((node) => node.remove());
  }

  function renewRows(body, fresh) {
    const old = new Map([...body.rows].map((row) => [keyOf(row), row]));
    const rows = [...fresh.rows].map((row) => {
      const known = old.get(keyOf(row));
      if (!known) return row;
      old.delete(keyOf(row));
      morph(known, row);
      return known;
    });
    const gone = [...old.values()].filter((row) => row.querySelector(".action-select:checked"));
    const focused = [...old.values()].find((row) => row.contains(document.activeElement));
    if (focused) (focused.nextElementSibling ?? focused.previousElementSibling)?.querySelector("a, input")?.focus();
    old.forEach((row) => row.remove());
    if (gone.length) say(`${gone.length} selected left this list.`);
    if (rows.every((row, n) => body.rows[n] === row)) return;
    // The row with the focus is not moved, for it would lose it: the others move around it.
    const still = rows.findIndex((row) => row.contains(document.activeElement));
    rows.slice(0, Math.max(0, still)).forEach((row) => rows[still].before(row));
    rows.slice(still + 1).forEach((row) => body.append(row));
  }

  function say(text) {
    const said = document.getElementById("wx-list-said");
    said.textContent = text;
    said.classList.remove("sr-only");
  }

  // The row that is read stays where it is on the screen. At the top of the list, new rows show.
  function inPlace(body, change) {
    const top = (row) => row.getBoundingClientRect().top;
    const visible = [...body.rows].filter((row) => top(row) >= 0 && top(row) < innerHeight);
    const read = visible.find((row) => row.contains(document.activeElement)) ?? visible[0];
    const before = read && top(read);
    const isAtTop = !read || body.rows[0] === visible[0];
    change();
    if (!isAtTop && read.isConnected) scrollBy({ top: top(read) - before, behavior: "instant" });
  }

  function renew(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const [tabs, rows] = ["wx-tabs", "wx-list"].map((id) => fresh.getElementById(id));
    morph(document.querySelector("#wx-tabs > nav"), tabs.querySelector("nav"));
    const [body, now] = [list, rows].map((one) => one.querySelector("tbody"));
    if (body && now) inPlace(body, () => renewRows(body, now));
    else list.replaceChildren(...rows.childNodes);
    tell();
  }

  const everyMs = Number(list.dataset.everyS) * 1000;
  let tag = "";

  async function ask() {
    const isAcross = across().some((one) => one.value === "1");
    if (document.hidden || isAcross) return;
    const headers = { "X-Renew": tag || "first" };
    const answer = await WxPoll.get(location.href, { headers, cache: "no-store" });
    if (answer?.status === 200 && answer.headers.has("X-Renewed")) {
      tag = answer.headers.get("X-Renewed");
      renew(await answer.text());
    }
  }

  async function goOn() {
    await ask();
    setTimeout(goOn, everyMs);
  }

  if (everyMs) {
    setTimeout(goOn, everyMs);
    document.addEventListener("visibilitychange", ask);
  }
})();
