"use strict";

// The live map: polls moving features every two seconds, and loads static ones once.
(() => {
  const EVERY_MS = 2000;
  const element = document.getElementById("live-map");
  const age = document.getElementById("map-age");
  const areaChoice = document.getElementById("map-area");
  const stateChoice = document.getElementById("map-state");
  const map = WxMap.create(element, WxMap.tilesOf(element));
  const drawings = new Map();
  const known = new Map();
  const groups = JSON.parse(document.getElementById("map-groups").textContent);
  const TRAILS = "trails";
  const trails = new Map();
  let answeredAt = null;

  const isOn = (name) => document.querySelector(`[data-layer="${name}"]`)?.checked;

  function isWanted(feature) {
    const area = areaChoice.value;
    const state = stateChoice.value;
    return (!area || !feature.area || feature.area === area) && (!state || !feature.state || feature.state === state);
  }

  function draw() {
    element.classList.toggle("wx-no-trails", isOn(TRAILS) === false);
    for (const [name, features] of known) {
      if (name === TRAILS) continue; // they are drawn with the drones
      if (!drawings.has(name)) drawings.set(name, new WxMap.Drawing(map, trails));
      drawings.get(name).show(isOn(name) ? features.filter(isWanted) : []);
    }
  }

  function offer(select, choices) {
    const offered = new Set([...select.options].map((option) => option.value));
    for (const [value, label] of choices) if (!offered.has(value)) select.append(new Option(label, value));
  }

  // Offers the states that occur now, grouped by drones and orders.
  function offerStates() {
    for (const [name, features] of known) {
      if (!groups[name]) continue;
      let group = stateChoice.querySelector(`optgroup[label="${groups[name]}"]`);
      if (!group) {
        group = document.createElement("optgroup");
        group.label = groups[name];
        stateChoice.append(group);
      }
      const offered = new Set([...group.children].map((option) => option.value));
      for (const { state } of features) {
        if (!state || offered.has(state)) continue;
        offered.add(state);
        group.append(new Option(state, state));
      }
    }
  }

  async function refresh(query = "") {
    const answer = await WxPoll.get(element.dataset.url + query);
    if (!answer) return;
    const { layers } = await answer.json();
    for (const [name, features] of Object.entries(layers)) known.set(name, features);
    if (layers[TRAILS]) for (const [id, points] of WxMap.trailsOf(layers[TRAILS])) trails.set(id, points);
    offer(areaChoice, (known.get("areas") ?? []).map((area) => [area.area, area.label]));
    offerStates();
    draw();
    answeredAt = Date.now();
  }

  function showAge() {
    const seconds = answeredAt === null ? null : Math.round((Date.now() - answeredAt) / 1000);
    age.textContent = seconds === null ? "Asking…" : seconds < 6 ? "Live" : `No answer for ${seconds} s: what you see is old`;
    age.className = `wx-badge wx-${seconds === null ? "idle" : seconds < 6 ? "good" : "bad"}`;
  }

  document.querySelectorAll("[data-layer]").forEach((box) => box.addEventListener("change", draw));
  for (const choice of [areaChoice, stateChoice]) choice.addEventListener("change", draw);
  refresh("?all").then(() => {
    const box = L.latLngBounds([]);
    for (const name of ["areas", "hubs"]) if (drawings.has(name)) box.extend(drawings.get(name).bounds());
    WxMap.fit(map, box);
  });
  setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
  setInterval(showAge, 1000);
})();
