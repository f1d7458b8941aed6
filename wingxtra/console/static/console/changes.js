"use strict";

// Shows a notice when the page's object has changed. It does not reload the page: the user may be
// reading it.
document.querySelectorAll("[data-changes]").forEach((box) => {
  const EVERY_MS = 5000;
  let shown = 0;

  async function ask() {
    if (document.hidden) return;
    const answer = await WxPoll.get(box.dataset.changes);
    if (!answer) return;
    const { changes } = await answer.json();
    if (changes.length === shown) return;
    shown = changes.length;
    const again = document.createElement("a");
    again.href = location.href;
    again.className = "wx-button";
    again.textContent = "Show it as it is now";
    const text = document.createElement("span");
    text.textContent = `Changed since you opened this page: ${changes.slice(-3).join(" · ")}`;
    box.replaceChildren(text, again);
    box.hidden = false;
  }

  setInterval(ask, EVERY_MS);
  document.addEventListener("visibilitychange", ask);
});
