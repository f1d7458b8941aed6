"use strict";

// Shows in a zone's form which flights it would cut, after each change and before it is saved.
(() => {
  const PAUSE_MS = 400; // a dragged point changes the outline many times a second
  const box = document.querySelector("[data-zone-flights]");
  const form = document.querySelector("[data-polygon]")?.closest("form");
  if (!box || !form) return;
  // The number stands below the map, too, where it is seen while drawing.
  const short = document.createElement("p");
  short.className = "wx-headline";
  form.querySelector("[data-hint]").after(short);
  let timer = null;
  let asked = 0;

  async function ask() {
    const mine = ++asked;
    if (!form.elements.polygon.value) {
      say("Draw the outline to see which flights it cuts.");
      return;
    }
    const answer = await WxPoll.get(box.dataset.zoneFlights, { method: "POST", body: new FormData(form) });
    if (mine !== asked) return; // a newer question is on its way
    if (answer) box.innerHTML = await answer.text();
    else say("Not known which flights it cuts: the server does not answer. The next change asks again.");
    short.textContent = box.querySelector(".wx-headline")?.textContent ?? "";
  }

  function say(text) {
    const line = document.createElement("p");
    line.textContent = text;
    box.replaceChildren(line);
    short.textContent = "";
  }

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE_MS);
  };
  for (const kind of ["input", "change"]) form.addEventListener(kind, soon);
})();
