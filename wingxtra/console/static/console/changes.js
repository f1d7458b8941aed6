"use strict";

// A page about one thing says when that has changed since. It does not renew itself: somebody may be
// reading it.
document.querySelectorAll("[data-changes]").forEach((box) => {
  const EVERY_MS = 5000;
  let told = 0;

  async function ask() {
    if (document.hidden) return;
    const answer = await fetch(box.dataset.changes).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    const { changes } = await answer.json();
    if (changes.length === told) return;
    told = changes.length;
    const again = document.createElement("a");
    again.href = location.href;
    again.className = "wx-button";
    again.textContent = "Show it as it is now";
    const words = document.createElement("span");
    words.textContent = `Changed since you opened this page: ${changes.slice(-3).join(" · ")}`;
    box.replaceChildren(words, again);
    box.hidden = false;
  }

  setInterval(ask, EVERY_MS);
  document.addEventListener("visibilitychange", ask);
});
