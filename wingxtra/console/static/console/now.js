"use strict";

// The dashboard renews itself part by part; a part that has not changed is left alone, and what has
// the focus keeps it.
(() => {
  const box = document.getElementById("now");
  const title = document.title;
  let renewedAt = Date.now();

  // What needs somebody is seen in the browser's tab too.
  function tellTitle() {
    const count = Number(document.getElementById("attention")?.dataset.count);
    document.title = count ? `(${count}) ${title}` : title;
  }

  function renew(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const focused = document.activeElement?.id;
    for (const part of fresh.body.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      if (!old) continue;
      const isUnfolded = old.querySelector("details")?.open;
      const details = part.querySelector("details");
      if (details && isUnfolded) details.open = true;
      if (old.innerHTML !== part.innerHTML) old.replaceWith(document.importNode(part, true));
    }
    tellTitle();
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
    renewedAt = Date.now();
  }

  async function ask() {
    if (document.hidden) return;
    const answer = await fetch(box.dataset.url).catch(() => null);
    if (answer?.ok && !answer.redirected) renew(await answer.text());
  }

  function tellAge() {
    const seconds = Math.round((Date.now() - renewedAt) / 1000);
    const age = document.getElementById("now-age");
    age.textContent = seconds < 15 ? `Renewed ${seconds} s ago` : `No answer for ${seconds} s: what you see is old`;
    age.classList.toggle("wx-problem", seconds >= 15);
  }

  tellTitle();
  setInterval(ask, Number(box.dataset.everyS) * 1000);
  setInterval(tellAge, 1000);
  document.addEventListener("visibilitychange", ask);
})();
