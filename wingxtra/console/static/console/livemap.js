"use strict";

// The live map: everything once, then every two seconds what has changed since. Beside it a list of
// the same features, which a keyboard and a screen reader can use.
(() => {
  const EVERY_MS = 2000;
  const LATE_S = 6; // without an answer for this long, what is shown is old
  const MAX_LISTED = 100;
  const CLOSE_ZOOM = 15;
  const element = document.getElementById("live-map");
  const age = document.getElementById("map-age");
  const areaChoice = document.getElementById("map-area");
  const stateChoice = document.getElementById("map-state");
  const search = document.getElementById("map-search");
  const list = document.getElementById("map-list");
  const count = document.getElementById("map-count");
  const leftOut = document.getElementById("map-left-out");
  const map = WxMap.create(element, WxMap.tilesOf(element));
  const canvas = new WxCanvas.Canvas(map, open);
  const groups = JSON.parse(document.getElementById("map-groups").textContent);
  const LISTED = ["drone", "drop", "hub", "zone"]; // an order is listed once, by its drop point
  const GRAVITY = ["bad", "warn", "busy", "good", "idle"];
  const features = new Map(); // by n
  const rows = new Map(); // the list's buttons by feature id
  let version = "";
  let answer = null;
  let answeredAt = null;
  let isAsking = false;
  let opened = null; // the feature whose popup is open

  const isOn = (name) => document.querySelector(`[data-layer="${name}"]`)?.checked;

  function isWanted(feature) {
    const area = areaChoice.value;
    const state = stateChoice.value;
    return isOn(feature.layer) && (!area || !feature.area || feature.area === area) && (!state || !feature.state || feature.state === state);
  }

  // --- what the server sent ---

  function take(news) {
    const changed = [];
    if (news.is_full) forget([...features.keys()]);
    for (const [layer, found] of Object.entries(news.layers)) {
      if (layer === "trails") continue;
      for (const row of found) {
        const feature = { ...WxMap.featureOf(row), layer };
        features.set(feature.n, feature);
        changed.push(feature);
      }
    }
    for (const [n, ...place] of news.moves) {
      const feature = features.get(n);
      if (!feature) continue;
      WxMap.moveTo(feature, place);
      changed.push(feature);
    }
    forget(news.gone);
    const isNew = changed.some((feature) => !canvas.shown.has(feature.id));
    changed.forEach(show);
    if (isNew) canvas.raise("drone");
    if (news.layers.trails) drawTrails(news.layers.trails);
    version = news.version;
    if (Object.keys(news.layers).length || news.gone.length) {
      offerChoices();
      fillList();
    }
  }

  function forget(numbers) {
    for (const n of numbers) {
      const feature = features.get(n);
      if (feature) canvas.remove(feature.id);
      features.delete(n);
    }
  }

  function show(feature) {
    if (isWanted(feature)) canvas.put(feature);
    else canvas.remove(feature.id);
  }

  function drawTrails(trails) {
    if (!isOn("trails")) return;
    for (const { of, geometry } of trails) {
      if (canvas.shown.has(of)) canvas.trail(of, geometry.coordinates.map((line) => line.map(([lng, lat]) => L.latLng(lat, lng))));
    }
  }

  async function refresh() {
    if (isAsking) return;
    isAsking = true;
    try {
      const url = version ? `${element.dataset.url}?since=${encodeURIComponent(version)}` : element.dataset.url;
      const got = await WxPoll.get(url);
      if (!got) return;
      answer = await got.json();
      if (answer.problem) return;
      const isFirst = answeredAt === null;
      answeredAt = Date.now();
      take(answer);
      tellLeftOut(answer.left_out);
      if (isFirst) WxMap.fit(map, canvas.boundsOf(["area", "hub"]));
      if (opened) renewPopup();
    } finally {
      isAsking = false;
      showAge();
    }
  }

  function tellLeftOut(sentences) {
    const text = sentences.join(" ");
    if (leftOut.textContent !== text) leftOut.textContent = text;
  }

  // --- how old it is ---

  function showAge() {
    const seconds = answeredAt === null ? null : (Date.now() - answeredAt) / 1000;
    const isLate = seconds !== null && seconds >= LATE_S;
    const stale = answer ? wxStale(answer, seconds ?? 0) : "";
    const text = isLate && !answer.problem ? `No answer for ${wxAge(seconds)}: what you see is old` : stale || (seconds === null ? "Asking…" : "Live");
    if (age.textContent !== text) age.textContent = text;
    const tone = stale || isLate ? "bad" : seconds === null ? "idle" : "good";
    age.className = `wx-badge wx-${tone}`;
    element.classList.toggle("wx-old", tone === "bad");
  }

  // --- the popup of a feature, with facts of this moment ---

  const popup = L.popup({ autoPanPadding: [20, 20] });
  popup.on("remove", () => { opened = null; });

  function open(feature, where = null) {
    popup.setLatLng(where ?? anchor(feature)).setContent(WxMap.popup({ ...feature, facts: [["", "Asking…"]] })).openOn(map);
    opened = { id: feature.id, layer: feature.layer, isFixed: Boolean(where) };
    renewPopup();
  }

  function anchor(feature) {
    if (feature.geometry.type === "Point") return WxMap.latLng(feature);
    return L.geoJSON(feature.geometry).getBounds().getCenter();
  }

  async function renewPopup() {
    const mine = opened;
    const query = new URLSearchParams({ layer: mine.layer, id: mine.id });
    const got = await WxPoll.get(`${element.dataset.feature}?${query}`);
    const facts = got ? (await got.json()).facts : null;
    const feature = canvas.shown.get(mine.id)?.feature;
    if (opened !== mine || !feature) return;
    // Not while the link in the popup has the focus, which an update would lose.
    if (popup.getElement()?.contains(document.activeElement)) return;
    popup.setContent(WxMap.popup({ ...feature, facts: facts ?? [["", "Its details are not known now."]] }));
    if (!mine.isFixed) popup.setLatLng(anchor(feature));
  }

  // --- filters ---

  function offer(select, choices) {
    const offered = new Set([...select.options].map((option) => option.value));
    for (const [value, label] of choices) if (!offered.has(value)) select.append(new Option(label, value));
  }

  function offerChoices() {
    const all = [...features.values()];
    offer(areaChoice, all.filter((feature) => feature.look === "area").map((feature) => [feature.area, feature.label]));
    for (const [layer, title] of Object.entries(groups)) {
      const states = new Set(all.filter((feature) => feature.layer === layer && feature.state).map((feature) => feature.state));
      if (!states.size) continue;
      let group = stateChoice.querySelector(`optgroup[label="${title}"]`);
      if (!group) {
        group = document.createElement("optgroup");
        group.label = title;
        stateChoice.append(group);
      }
      const offered = new Set([...group.children].map((option) => option.value));
      for (const state of states) if (!offered.has(state)) group.append(new Option(state, state));
    }
  }

  function drawAll() {
    features.forEach(show);
    canvas.raise("drone");
    if (!isOn("trails")) canvas.removeTrails();
    version = ""; // what was hidden has lost its trail: the next answer has everything again
    fillList();
  }

  // --- the list ---

  const rank = (feature) => (feature.is_alert ? -1 : GRAVITY.indexOf(feature.tone));

  // Buttons are kept by feature, so that the focus stays while the list changes around it.
  function fillList() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const named = (feature) => `${feature.label} ${feature.state}`.toLowerCase();
    const found = [...features.values()]
      .filter((feature) => LISTED.includes(feature.look) && isWanted(feature) && words.every((word) => named(feature).includes(word)))
      .sort((a, b) => rank(a) - rank(b) || a.label.localeCompare(b.label));
    const shown = found.slice(0, MAX_LISTED);
    const ids = new Set(shown.map((feature) => feature.id));
    for (const [id, row] of rows) if (!ids.has(id)) { row.remove(); rows.delete(id); }
    shown.forEach((feature, i) => {
      const row = rows.get(feature.id) ?? newRow(feature.id);
      fillRow(row, feature);
      if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    });
    const more = found.length > shown.length ? `, the first ${shown.length} are listed: search for others` : "";
    const text = `${found.length} found${more}.`;
    if (count.textContent !== text) count.textContent = text;
  }

  function newRow(id) {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.append(document.createElement("i"), document.createElement("span"), document.createElement("small"));
    button.firstChild.setAttribute("aria-hidden", "true");
    button.addEventListener("click", () => goTo(id));
    row.append(button);
    row.dataset.id = id;
    rows.set(id, row);
    return row;
  }

  function fillRow(row, feature) {
    const key = `${feature.look} ${feature.tone} ${feature.is_alert} ${feature.state} ${feature.label}`;
    if (row.dataset.key === key) return;
    row.dataset.key = key;
    const [sign, name, state] = row.firstChild.children;
    sign.className = `wx-sign wx-${feature.look} wx-${feature.tone}${feature.is_alert ? " wx-alert" : ""}`;
    name.textContent = feature.look === "drop" ? feature.label.replace(/^Drop point of /, "") : feature.label;
    state.textContent = feature.state;
  }

  function goTo(id) {
    const feature = [...features.values()].find((one) => one.id === id);
    if (!feature) return;
    map.setView(anchor(feature), Math.max(map.getZoom(), CLOSE_ZOOM), { animate: false });
    open(feature);
  }

  // The arrow keys go through the list, and from the search into it.
  document.getElementById("map-side").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const stops = [search, ...list.querySelectorAll("button")];
    const next = stops[stops.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    list.querySelector("button")?.click();
  });
  search.addEventListener("input", fillList);
  document.querySelectorAll("[data-layer]").forEach((box) => box.addEventListener("change", drawAll));
  for (const choice of [areaChoice, stateChoice]) choice.addEventListener("change", drawAll);
  refresh();
  setInterval(() => { if (!document.hidden) refresh(); }, EVERY_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  setInterval(showAge, 1000);
})();
