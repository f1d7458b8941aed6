"use strict";

// Remedies and acknowledgements on the dashboard, without a change of the page. Without this script
// the same links and forms work as pages.
(() => {
  const box = document.getElementById("now");
  const dialog = document.getElementById("now-dialog");
  const FAILED = "It was not sent: the server does not answer. Try again.";

  function token() {
    return document.querySelector("#now-token input").value;
  }

  async function post(url, body) {
    const headers = { "X-In-Place": "1", "X-CSRFToken": token() };
    return fetch(url, { method: "POST", body, headers }).catch(() => null);
  }

  // --- acknowledgement ----------------------------------------------------------------------------

  async function acknowledge(event) {
    const form = event.target.closest("form.wx-ack, .wx-ack form");
    if (!form) return;
    event.preventDefault();
    const body = new FormData(form, event.submitter);
    // Nothing of this line is to be kept by the renewal.
    form.reset();
    form.closest("details.wx-ack")?.removeAttribute("open");
    const answer = await post(`${form.getAttribute("action")}${WxDashboard.address().replace(/^[^?]*/, "")}`, body);
    if (answer?.ok && !answer.redirected) WxDashboard.renew(await answer.text());
    else WxDashboard.tell(FAILED);
  }

  // --- remedies -----------------------------------------------------------------------------------

  async function open(event) {
    const link = event.target.closest(".wx-remedies a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const url = new URL(link.href);
    if (!url.pathname.startsWith(box.dataset.actions)) return;
    event.preventDefault();
    url.searchParams.set("next", `${WxDashboard.address()}&told`);
    const answer = await fetch(url).catch(() => null);
    const html = answer?.ok && !answer.redirected ? await answer.text() : "";
    if (!show(html, url)) location.assign(link.href);
  }

  // Whether the page has a form that works without scripts of its own.
  function show(html, url) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const part = page.querySelector("[data-in-place]");
    if (!part) return false;
    const heading = document.createElement("h2");
    heading.id = "now-dialog-title";
    heading.textContent = page.title.split("|")[0].trim();
    dialog.replaceChildren(heading, document.importNode(part, true));
    dialog.dataset.url = url;
    if (!dialog.open) dialog.showModal();
    dialog.querySelector("textarea, input:not([type=hidden]), select, button")?.focus();
    return true;
  }

  async function carryOut(event) {
    event.preventDefault();
    const button = event.submitter;
    button.disabled = true;
    const answer = await post(dialog.dataset.url, new FormData(event.target, button));
    button.disabled = false;
    if (!answer?.ok) return WxDashboard.tell(FAILED);
    const html = await answer.text();
    if (answer.redirected && new URL(answer.url).pathname === new URL(box.dataset.url, location).pathname) {
      dialog.close();
      return WxDashboard.renew(html);
    }
    if (answer.redirected) return location.assign(answer.url);
    if (!show(html, dialog.dataset.url)) location.assign(dialog.dataset.url);
    return WxDashboard.ask();
  }

  function close(event) {
    const isBack = event.target === dialog || event.target.closest("a.wx-button");
    if (!isBack) return;
    event.preventDefault();
    dialog.close();
  }

  box.addEventListener("submit", acknowledge);
  box.addEventListener("click", open);
  dialog.addEventListener("submit", carryOut);
  dialog.addEventListener("click", close);
  // Escape closes the form of an acknowledgement.
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const form = event.target.closest("details.wx-ack[open]");
    form?.removeAttribute("open");
    form?.querySelector("summary").focus();
  });
})();
