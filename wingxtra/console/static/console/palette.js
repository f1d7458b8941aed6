"use strict";

// Ctrl+K: a dialog that finds orders, drones, merchants, pages and actions. The focus stays in the
// field; the arrows move the choice, Enter opens it.
(() => {
  const dialog = document.getElementById("wx-find");
  const [field, list, note] = ["input", "ul", "p"].map((tag) => dialog.querySelector(tag));
  const WAIT_MS = 120;
  let chosen = -1;
  let timer = 0;
  let latest = 0;

  const options = () => [...list.querySelectorAll("[role=option]")];

  function choose(n) {
    const all = options();
    chosen = all.length ? (n + all.length) % all.length : -1;
    all.forEach((one, at) => one.setAttribute("aria-selected", at === chosen));
    if (chosen < 0) return field.removeAttribute("aria-activedescendant");
    field.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({ block: "nearest" });
  }

  function element(tag, text, attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function show(hits) {
    let kind = "";
    list.replaceChildren();
    hits.forEach((hit, n) => {
      if (hit.kind !== kind) list.append(element("li", hit.kind, { role: "presentation", class: "wx-kind" }));
      kind = hit.kind;
      const option = element("li", "", { role: "option", id: `wx-found-${n}`, "data-url": hit.url });
      option.append(element("strong", hit.title), " ", element("span", hit.detail));
      list.append(option);
    });
    field.setAttribute("aria-expanded", hits.length > 0);
    const found = hits.length === 1 ? "1 found" : `${hits.length} found`;
    note.textContent = hits.length ? `${found}. Arrows choose, Enter opens.` : "Nothing is found.";
    choose(0);
  }

  async function find() {
    const asked = ++latest;
    const text = field.value;
    const answer = await WxPoll.get(`${dialog.dataset.url}?q=${encodeURIComponent(text)}`);
    if (asked !== latest) return;
    if (answer) {
      list.dataset.text = text;
      show((await answer.json()).hits);
    }
    else note.textContent = "The server does not answer. Type again in a moment.";
  }

  function open(url, elsewhere) {
    if (elsewhere) window.open(url, "_blank", "noopener");
    else location.assign(url);
  }

  function start() {
    if (dialog.open) return;
    dialog.showModal();
    field.select();
    find();
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      start();
    }
  });

  document.querySelectorAll("[data-find]").forEach((link) =>
    link.addEventListener("click", (event) => {
      event.preventDefault();
      start();
    }),
  );

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(find, WAIT_MS);
  });

  field.addEventListener("keydown", async (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) choose(chosen + step);
    else if (event.key === "Enter") {
      // What was typed last, not what was found for the text before.
      clearTimeout(timer);
      const elsewhere = event.ctrlKey || event.metaKey;
      event.preventDefault();
      if (list.dataset.text !== field.value) await find();
      const one = options()[chosen];
      if (one) open(one.dataset.url, elsewhere);
      return;
    } else return;
    event.preventDefault();
  });

  list.addEventListener("click", (event) => {
    const one = event.target.closest("[data-url]");
    if (one) open(one.dataset.url, event.ctrlKey || event.metaKey);
  });

  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
})();
