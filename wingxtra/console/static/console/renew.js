"use strict";

// A page about work that goes on renews its parts until one of them says no more that it goes on. A
// part that has not changed is left alone.
document.querySelectorAll("[data-renew]").forEach((box) => {
  const everyMs = Number(box.dataset.everyS) * 1000;

  async function ask() {
    if (!document.hidden) {
      const answer = await fetch(box.dataset.renew).catch(() => null);
      if (answer?.redirected) location.reload(); // logged out meanwhile
      if (answer?.ok && !answer.redirected) renew(await answer.text());
    }
    wait();
  }

  function renew(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of fresh.body.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      old.toggleAttribute("data-goes-on", part.hasAttribute("data-goes-on"));
      if (old.innerHTML !== part.innerHTML) old.replaceChildren(...part.childNodes);
    }
  }

  function wait() {
    if (box.querySelector("[data-goes-on]")) setTimeout(ask, everyMs);
  }

  wait();
});
