"use strict";

// The map: where the drone is and where it goes; and before the flight, where exactly it shall go.
(() => {
  const TILE_ERRORS = 4;
  const AROUND_M = 70; // the drop point is told rounded, so the pin stands for a neighbourhood
  const SVG = "http://www.w3.org/2000/svg";
  const element = document.getElementById("map");
  const words = element.dataset;
  const map = L.map(element, { zoomControl: false, zoomSnap: 0.5, attributionControl: true }).setView(drop(), 16);
  const drone = marker("drone", [34, 34], [17, 17], words.wordsDrone, "M6 9h5M17 9h5M8.500 9v2.500l3.500 2M19.500 9v2.500l-3.500 2M11 13h6v4h-6zM14 17v3");
  const target = marker("drop", [34, 44], [17, 43], words.wordsDrop, "M17 43C9 31 3 25 3 16a14 14 0 0 1 28 0c0 9-6 15-14 27z");
  const around = L.circle(drop(), { radius: AROUND_M, className: "around", interactive: false });
  const leg = L.polyline([], { className: "leg", interactive: false });
  let moved = false;
  let framed = "";

  function drop() {
    return element.dataset.drop.split(",").map(Number);
  }

  function marker(name, iconSize, iconAnchor, alt, shape) {
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", name === "drone" ? "0 0 28 28" : "0 0 34 44");
    const add = (kind, attributes) => {
      const part = document.createElementNS(SVG, kind);
      for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
      drawing.append(part);
      return part;
    };
    if (name === "drone") {
      add("path", { class: "nose", d: "M14 -9l8 12h-16z" });
      add("circle", { cx: 14, cy: 14, r: 13 });
    }
    add("path", { d: shape });
    if (name === "drop") add("circle", { cx: 17, cy: 16, r: 5 });
    const icon = L.divIcon({ className: `pin-${name}`, html: drawing, iconSize, iconAnchor });
    const made = L.marker(drop(), { icon, alt, title: alt, keyboard: false, interactive: name === "drop" });
    made.nose = drawing.querySelector(".nose");
    return made;
  }

  const Grid = L.GridLayer.extend({
    createTile() {
      const tile = document.createElement("div");
      tile.className = "grid-tile";
      return tile;
    },
  });

  function ground() {
    const grid = (said) => {
      new Grid({ tileSize: 64 }).addTo(map);
      map.attributionControl.addAttribution(said);
    };
    map.attributionControl.setPrefix(false);
    if (!words.tiles) return grid(words.wordsGrid);
    let failed = 0;
    const streets = L.tileLayer(words.tiles, { attribution: words.attribution, maxZoom: 19 });
    streets.on("tileerror", () => {
      if (++failed < TILE_ERRORS || !map.hasLayer(streets)) return;
      streets.remove();
      grid(words.wordsFailed);
    });
    streets.on("tileload", () => (failed = -Infinity));
    streets.addTo(map);
  }

  // --- what is shown -----------------------------------------------------------------------------

  function show() {
    if (!moved) {
      target.setLatLng(drop());
      around.setLatLng(drop()).setRadius(AROUND_M);
    }
    for (const layer of [around, target]) layer.addTo(map);
    target.dragging[element.dataset.movable === undefined ? "disable" : "enable"]();
    if (element.dataset.movable === undefined) moved = false;
    const here = element.dataset.drone?.split(",").map(Number);
    if (here) {
      drone.setLatLng(here).addTo(map);
      drone.nose.style.transformOrigin = "14px 14px";
      drone.nose.style.transform = `rotate(${Number(element.dataset.heading)}deg)`;
      leg.setLatLngs([here, drop()]).addTo(map);
    } else {
      for (const layer of [drone, leg]) layer.remove();
    }
    frame(here);
  }

  // Both in view: at first, and when the drone has come to a part that is not shown.
  function frame(here) {
    const scene = here ? "flight" : "still";
    if (framed === scene && (!here || map.getBounds().contains(here))) return;
    framed = scene;
    if (here) map.fitBounds(L.latLngBounds([here, drop()]).pad(0.25), { maxZoom: 17, animate: false });
    else map.setView(moved ? target.getLatLng() : drop(), 16, { animate: false });
  }

  // --- moving the drop point ---------------------------------------------------------------------

  const form = () => document.querySelector("form[data-do=dropoff]");

  function put({ lat, lng }, accuracy_m = "", captured_at = "") {
    const fields = form().elements;
    [fields.lat.value, fields.lng.value] = [lat.toFixed(7), lng.toFixed(7)];
    [fields.accuracy_m.value, fields.captured_at.value] = [accuracy_m, captured_at];
    const known = form().querySelector("[data-fix]");
    known.hidden = accuracy_m === "";
    known.textContent = known.dataset.words.replace("{n}", Math.ceil(accuracy_m));
    form().classList.add("moved");
    moved = true;
    target.setLatLng([lat, lng]);
    around.setLatLng([lat, lng]).setRadius(accuracy_m === "" ? 5 : accuracy_m);
    map.panTo([lat, lng]);
  }

  function leave() {
    moved = false;
    form()?.classList.remove("moved");
    framed = "";
    show();
  }

  function locate(button) {
    button.setAttribute("aria-disabled", "true");
    const free = () => button.removeAttribute("aria-disabled");
    navigator.geolocation.getCurrentPosition(
      ({ coords, timestamp }) => {
        free();
        if (form()) put({ lat: coords.latitude, lng: coords.longitude }, coords.accuracy, new Date(timestamp).toISOString());
      },
      (error) => {
        free();
        Track.tell(error.code === error.PERMISSION_DENIED ? Track.words.denied : Track.words.unknown);
      },
      { enableHighAccuracy: true, timeout: 20_000, maximumAge: 0 },
    );
  }

  target.on("dragend", () => form() && put(target.getLatLng()));
  document.addEventListener("click", (event) => {
    const gps = event.target.closest("[data-gps]");
    if (gps) locate(gps);
    if (event.target.closest("[data-undo]")) leave();
  });
  document.addEventListener("shown", () => {
    if (moved && !form()?.classList.contains("moved")) moved = false; // it was sent
    show();
  });

  ground();
  L.control.zoom({ position: "topright", zoomInTitle: words.wordsIn, zoomOutTitle: words.wordsOut }).addTo(map);
  L.control.scale({ imperial: false }).addTo(map);
  // The drone glides between two reports by a transition, which must not run while zooming.
  map.on("zoomstart", () => element.classList.add("zooming"));
  map.on("zoomend", () => setTimeout(() => element.classList.remove("zooming"), 50));
})();
