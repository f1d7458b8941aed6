"use strict";

// Polls the parts of a page while one of them is marked with data-goes-on (work in progress), and
// replaces those that have changed.
document.querySelectorAll("[data-renew]").forEach((box) => {
  const everyMs = Number(box.dataset.everyS) * 1000;

  async function ask() {
    if (!document.hidden) {
      const answer = await WxPoll.get(box.dataset.renew);
      if (answer) renew(await answer.text());
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
