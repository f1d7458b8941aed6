"use strict";

// Work without a mouse: j and k move along rows, o opens, x selects, a goes to the action, ? shows
// the keys. Also hides icons from screen readers: their text is the name of a picture.
document.addEventListener("DOMContentLoaded", () => {
  const ROWS = "#result_list tbody > tr, .wx-attention > li, [data-rows] > *, .wx-shift tbody > tr";
  const ACTIONS = 'nav[aria-label="What can be done"] a, nav[aria-label="Answers"] a';
  const KEYS = [
    ["j", "next row, or next action"],
    ["k", "row before"],
    ["o or Enter", "open it"],
    ["x", "select the row"],
    ["a", "go to the action: of the selected rows, of the row, or of the page"],
    ["Enter", "in a choice: carry it out"],
    ["Ctrl + Enter", "in a text: carry it out"],
    ["/", "search"],
    ["?", "show these keys"],
    ["Escape", "close, or leave a field"],
  ];
  const ICON_NAMES = { flight_takeoff: "Now", search: "Search", more_horiz: "More", add: "Add", arrow_back: "Back" };
  const PLACE = `wx-row:${location.pathname}`;
  let current = null; // the row of the last move, while it is on the page

  const isVisible = (element) => element.getClientRects().length > 0;
  const visible = (selector, within = document) => [...within.querySelectorAll(selector)].filter(isVisible);
  const rowOf = (element) => element?.closest?.(ROWS) ?? null;
  const linkOf = (row) => row.querySelector("th a[href], a[href]:not(.wx-button)") ?? row.querySelector("a[href]");
  const boxOf = (row) => row.querySelector("input.action-select");

  // --- moving ------------------------------------------------------------------------------------

  function focusRow(row) {
    current = row;
    const target = linkOf(row) ?? row;
    if (target === row) row.tabIndex = -1;
    target.focus();
    remember(row);
  }

  function move(step) {
    const actions = visible(ACTIONS);
    const within = actions.indexOf(document.activeElement);
    if (within >= 0) return focusAt(actions, within + step);
    const rows = visible(ROWS);
    if (!rows.length) return focusAt(actions, step > 0 ? 0 : actions.length - 1);
    const here = rows.indexOf(rowOf(document.activeElement) ?? current);
    const next = here < 0 ? (step > 0 ? 0 : rows.length - 1) : here + step;
    focusRow(rows[Math.min(Math.max(next, 0), rows.length - 1)]);
  }

  function focusAt(elements, index) {
    elements[Math.min(Math.max(index, 0), elements.length - 1)]?.focus();
  }

  const here = () => rowOf(document.activeElement) ?? (current?.isConnected ? current : null);

  // --- acting ------------------------------------------------------------------------------------

  function open() {
    const row = here();
    if (row) linkOf(row)?.click();
  }

  function select() {
    const row = here();
    if (row) boxOf(row)?.click();
  }

  // In a list: the choice of actions, for the selected rows, else for this row. Elsewhere the first
  // button of the row, or of the page.
  function act() {
    const row = here();
    const choice = document.querySelector("select[name=action]");
    if (choice) {
      if (row && !document.querySelector("input.action-select:checked")) boxOf(row)?.click();
      choice.focus();
      return;
    }
    const button = (row && row.querySelector("a.wx-button")) ?? visible(ACTIONS)[0];
    button?.focus();
  }

  // Enter in a choice does nothing in browsers: here it carries the form out.
  function carryOut(event) {
    const field = event.target;
    const inList = field.matches("select[name=action]");
    const inForm = field.closest(".wx-form") && (field.matches("select") || (event.ctrlKey && field.matches("textarea")));
    if (!inForm && !(inList && field.value)) return;
    event.preventDefault();
    const form = field.form;
    form.requestSubmit(form.querySelector("button[name=index], button[type=submit]"));
  }

  // --- where one was -----------------------------------------------------------------------------

  function remember(row) {
    const link = linkOf(row);
    if (link) sessionStorage.setItem(PLACE, link.getAttribute("href"));
  }

  // Back in a list, from a page that it led to, the row has the focus again.
  function restore(cameBack) {
    const href = sessionStorage.getItem(PLACE);
    if (!href || !cameBack || document.activeElement !== document.body) return;
    const row = visible(ROWS).find((one) => linkOf(one)?.getAttribute("href") === href);
    if (row) focusRow(row);
  }

  function isBack() {
    const [entry] = performance.getEntriesByType("navigation");
    const from = document.referrer && new URL(document.referrer);
    return entry?.type === "back_forward" || Boolean(from && from.origin === location.origin && from.pathname !== location.pathname);
  }

  // The first field of an action's form, or its button when there is none to fill in. Not of the
  // form for a note beside an order: there the keys would be typed into it.
  function focusForm() {
    const form = document.querySelector("form.wx-form:not(#order-live form)");
    if (!form || document.activeElement !== document.body) return;
    const [field] = visible("select, textarea, input:not([type=hidden], [type=radio], [type=checkbox])", form);
    (field ?? form.querySelector("button[type=submit]"))?.focus({ preventScroll: true });
  }

  // --- help --------------------------------------------------------------------------------------

  function help() {
    const before = document.activeElement;
    const dialog = document.createElement("dialog");
    dialog.className = "wx-card wx-keys";
    dialog.setAttribute("aria-labelledby", "wx-keys-title");
    const title = document.createElement("h2");
    title.id = "wx-keys-title";
    title.textContent = "Keys";
    const list = document.createElement("dl");
    list.className = "wx-facts";
    for (const [key, what] of KEYS) {
      const term = document.createElement("dt");
      const name = document.createElement("kbd");
      name.textContent = key;
      term.append(name);
      const text = document.createElement("dd");
      text.textContent = what;
      list.append(term, text);
    }
    const close = document.createElement("button");
    close.className = "wx-button";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.append(title, list, close);
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
    });
    document.body.append(dialog);
    dialog.showModal();
    close.focus();
  }

  // --- icons -------------------------------------------------------------------------------------

  function hideIcons(root) {
    for (const icon of root.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
      nameOwner(icon);
      icon.setAttribute("aria-hidden", "true");
    }
  }

  // A link or button that is only an icon gets a name in its place.
  function nameOwner(icon) {
    const owner = icon.closest("a, button");
    const text = icon.textContent.trim();
    if (!owner || owner.textContent.trim() !== text || owner.hasAttribute("aria-label")) return;
    owner.setAttribute("aria-label", owner.title || ICON_NAMES[text] || text.replaceAll("_", " "));
  }

  // -----------------------------------------------------------------------------------------------

  const COMMANDS = {
    j: () => move(1),
    k: () => move(-1),
    o: open,
    x: select,
    a: act,
    "?": help,
    "/": () => document.getElementById("searchbar")?.focus(),
  };

  document.addEventListener("keydown", (event) => {
    const field = event.target;
    const isTyping = field.isContentEditable || field.matches?.("textarea, select, input:not([type=checkbox], [type=radio])");
    if (event.key === "Enter" && isTyping) return carryOut(event);
    if (event.key === "Escape" && isTyping && field.closest("#changelist")) return field.blur();
    if (isTyping || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || !COMMANDS[event.key]) return;
    event.preventDefault();
    COMMANDS[event.key]();
  });
  document.addEventListener("focusin", (event) => {
    const row = rowOf(event.target);
    if (row) {
      current = row;
      remember(row);
    }
  });
  hideIcons(document);
  new MutationObserver((changes) => changes.forEach(({ target }) => hideIcons(target))).observe(document.body, { childList: true, subtree: true });
  document.getElementById("content")?.setAttribute("tabindex", "-1");
  // Not before: Alpine shows the page, and the scroll bar of lists moves them, which drops the focus.
  window.addEventListener("load", () => {
    focusForm();
    requestAnimationFrame(() => restore(isBack()));
  });
  window.addEventListener("pageshow", ({ persisted }) => persisted && restore(true));
});
