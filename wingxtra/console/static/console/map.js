"use strict";

// Maps of the console: a street map if one is configured, else a grid, with features on it as in
// wingxtra.console.registry.Feature. This code does not know what the features are.

const WxMap = (() => {
  const TILE_ERRORS = 4;
  const TRAIL_POINTS = 150;
  // Drones are drawn above static features.
  const Z = { drone: 2000, drop: 1000, pickup: 500 };

  const Grid = L.GridLayer.extend({
    options: { tileSize: 128 },
    createTile() {
      const tile = document.createElement("div");
      tile.className = "wx-grid-tile";
      return tile;
    },
  });

  function create(element, tiles) {
    const map = L.map(element, { zoomSnap: 0.5 }).setView([0, 0], 2);
    map.attributionControl.setPrefix(false);
    const useGrid = (reason) => {
      new Grid().addTo(map);
      map.attributionControl.addAttribution(reason);
    };
    if (tiles.url) {
      let failed = 0;
      const street = L.tileLayer(tiles.url, { attribution: tiles.attribution, maxZoom: 19 });
      const giveUp = () => {
        if (++failed < TILE_ERRORS || !map.hasLayer(street)) return;
        street.remove();
        useGrid("The street map cannot be reached: a plain grid instead");
      };
      street.on("tileerror", giveUp).on("tileload", () => street.off("tileerror", giveUp)).addTo(map);
    } else {
      useGrid("No street map is configured: a plain grid instead");
    }
    L.control.scale({ imperial: false }).addTo(map);
    // A CSS transition moves markers between reports; it must not run while zooming.
    map.on("zoomstart", () => element.classList.add("wx-zooming"));
    map.on("zoomend", () => setTimeout(() => element.classList.remove("wx-zooming"), 50));
    return map;
  }

  function popup(feature) {
    const box = document.createElement("div");
    const title = document.createElement("strong");
    title.textContent = feature.label;
    box.append(title);
    const facts = document.createElement("dl");
    facts.className = "wx-facts";
    for (const [name, value] of feature.facts) {
      const term = document.createElement("dt");
      term.textContent = name;
      const text = document.createElement("dd");
      text.textContent = value;
      facts.append(term, text);
    }
    box.append(facts);
    if (feature.url) {
      const link = document.createElement("a");
      link.href = feature.url;
      link.className = "wx-link";
      link.textContent = "Open";
      box.append(link);
    }
    return box;
  }

  function icon(feature) {
    const turn = feature.heading_deg === null ? "" : ` style="transform: rotate(${Number(feature.heading_deg)}deg)"`;
    const symbol = document.createElement("div");
    symbol.innerHTML = `<span${turn}></span>`;
    if (feature.mark) {
      const mark = document.createElement("b");
      mark.textContent = feature.mark;
      mark.setAttribute("aria-hidden", "true"); // the marker's name stays; its popup has the number
      symbol.append(mark);
    }
    return L.divIcon({
      className: `wx-pin wx-${feature.look} wx-${feature.tone}${feature.is_alert ? " wx-alert" : ""}`,
      html: symbol.innerHTML,
      iconSize: [22, 22],
    });
  }

  const look = (feature) => `${feature.look} ${feature.tone} ${feature.is_alert} ${Math.round(feature.heading_deg ?? -1)} ${feature.mark}`;

  // A drawing of a few features by id: known features are moved, not created again. The live map and
  // the replay draw many, on a canvas: see canvas.js.
  class Drawing {
    // A drawing that is not interactive is a background: clicks on it reach the map.
    constructor(map, { interactive = true } = {}) {
      this.group = L.layerGroup().addTo(map);
      this.shown = new Map();
      this.interactive = interactive;
    }

    show(features) {
      const gone = new Set(this.shown.keys());
      for (const feature of features) {
        gone.delete(feature.id);
        this.one(feature);
      }
      for (const id of gone) {
        const { layer, trail } = this.shown.get(id);
        layer.remove();
        trail?.remove();
        this.shown.delete(id);
      }
    }

    one(feature) {
      const before = this.shown.get(feature.id);
      const isPoint = feature.geometry.type === "Point";
      const shape = JSON.stringify(feature.geometry) + feature.tone;
      if (before && isPoint) {
        before.feature = feature;
        before.layer.setLatLng(latLng(feature));
        if (before.look !== look(feature)) {
          before.layer.setIcon(icon(feature));
          before.look = look(feature);
        }
        this.extendTrail(before, feature);
        // Not while the link in the popup has the focus, which an update would lose.
        const open = before.layer.isPopupOpen() && before.layer.getPopup();
        if (open && !open.getElement()?.contains(document.activeElement)) open.update();
        return;
      }
      if (before && before.shape === shape) {
        before.feature = feature;
        return;
      }
      before?.layer.remove();
      const entry = { feature, shape, look: look(feature) };
      entry.layer = isPoint
        ? L.marker(latLng(feature), { icon: icon(feature), title: feature.label, alt: feature.label, zIndexOffset: Z[feature.look] ?? 0, interactive: this.interactive, keyboard: this.interactive })
        : L.geoJSON(feature.geometry, { className: `wx-shape wx-${feature.look} wx-${feature.tone}`, interactive: this.interactive });
      if (this.interactive) entry.layer.bindPopup(() => popup(entry.feature));
      entry.layer.addTo(this.group);
      if (feature.look === "drone") this.extendTrail(entry, feature);
      this.shown.set(feature.id, entry);
    }

    extendTrail(entry, feature) {
      if (feature.look !== "drone") return;
      entry.trail ??= L.polyline([], { className: "wx-shape wx-trail", interactive: false }).addTo(this.group);
      const points = entry.trail.getLatLngs();
      const here = latLng(feature);
      const last = points[points.length - 1];
      if (!last || last.distanceTo(here) > 2) entry.trail.setLatLngs([...points, here].slice(-TRAIL_POINTS));
    }

    bounds() {
      const box = L.latLngBounds([]);
      for (const { layer } of this.shown.values()) {
        box.extend(layer.getLatLng ? layer.getLatLng() : layer.getBounds());
      }
      return box;
    }
  }

  const latLng = (feature) => L.latLng(feature.geometry.coordinates[1], feature.geometry.coordinates[0]);

  // A feature as the map's data has it: a point's place is apart, in units of 1e-5 degrees.
  function featureOf({ n, place, is }) {
    const feature = { ...is, n };
    if (place) moveTo(feature, place);
    return feature;
  }

  function moveTo(feature, [lng, lat, heading]) {
    feature.geometry = { type: "Point", coordinates: [lng / 1e5, lat / 1e5] };
    feature.heading_deg = heading;
  }

  // Areas, zones and hubs behind something that is drawn; resolves to the Drawing.
  async function around(map, url, isWanted = () => true) {
    const drawing = new Drawing(map, { interactive: false });
    const answer = await WxPoll.get(`${url}?layers=areas,zones,hubs`);
    const layers = answer ? (await answer.json()).layers ?? {} : {};
    const features = ["areas", "zones", "hubs"].flatMap((name) => (layers[name] ?? []).map(featureOf));
    drawing.show(features.filter(isWanted));
    return drawing;
  }

  const fit = (map, box) => {
    if (box.isValid()) map.fitBounds(box.pad(0.03), { maxZoom: 16, animate: false });
  };

  const tilesOf = (element) => ({ url: element.dataset.tiles, attribution: element.dataset.attribution });

  return { create, Drawing, fit, tilesOf, popup, featureOf, moveTo, latLng, around };
})();

// “12 s”, “3 min”, “2 h”.
const wxAge = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`);

// What is wrong with the sources of an answer, as a sentence; empty if nothing is. `later`: seconds since the answer.
const wxStale = ({ problem, sources }, later = 0) => {
  if (problem) return problem.detail;
  return sources.filter((one) => one.is_stale).map((one) => {
    const when = one.age_s === null ? "was never received" : `is ${wxAge(one.age_s + later)} old`;
    return `${one.name} ${when}: positions are not current.`;
  }).join(" ");
};

// A map inside a page: draws its features once, and those of `data-now` again whenever the page has
// renewed itself.
document.querySelectorAll("[data-map]").forEach((element) => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const map = WxMap.create(element, WxMap.tilesOf(element));
  const drawing = new WxMap.Drawing(map);
  drawing.show(read(element.dataset.map));
  const bounds = drawing.bounds();
  if (element.dataset.now) {
    const live = new WxMap.Drawing(map);
    live.show(read(element.dataset.now));
    bounds.extend(live.bounds());
    document.addEventListener("wx-renewed", () => live.show(read(element.dataset.now)));
  }
  WxMap.fit(map, bounds);
});
