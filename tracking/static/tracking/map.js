"use strict";

// The map: the drone and the drop point. Before the flight the customer can move the drop point.
(() => {
  const SLOW_MS = 4000; // the map's pictures may take this long before the words say that there are none
  const SQUARE_PX = 40; // the smallest
  const M_PER_DEG = 111_195; // as on the server
  const AROUND_M = 70; // the server rounds the drop point to about 110 m
  const NEAR_M = 5;
  const DOOR_M = 140;
  const STILL_ZOOM = 17; // the edges are about as far as a pin may be moved
  const PADDING = { paddingTopLeft: [40, 60], paddingBottomRight: [90, 60] }; // room for buttons and pins
  const SVG = "http://www.w3.org/2000/svg";
  const element = document.getElementById("map"); // owned by Leaflet: track.js must not touch it
  if (!element) return; // the delivery was over before this script arrived
  const data = document.getElementById("where").dataset; // from the server: track.js updates it
  const map = L.map(element, { zoomControl: false, zoomSnap: 0.5, attributionControl: true }).setView(drop(), STILL_ZOOM);
  const drone = marker("drone", [34, 34], [17, 17], data.wordsDrone, "M6 9h5M17 9h5M8.500 9v2.500l3.500 2M19.500 9v2.500l-3.500 2M11 13h6v4h-6zM14 17v3");
  const target = marker("drop", [34, 44], [17, 43], data.wordsDrop, "M17 43C9 31 3 25 3 16a14 14 0 0 1 28 0c0 9-6 15-14 27z");
  const around = L.circle(drop(), { radius: AROUND_M, className: "around", interactive: false });
  const leg = L.polyline([], { className: "leg", interactive: false });
  const STORAGE_KEY = `drop ${location.pathname}`;
  const STEP_M = 3;
  let moved = false;
  let exact = false; // whether the moved pin has true coordinates, or is right only relative to the given place
  let framed = "";

  function drop() {
    return data.drop.split(",").map(Number);
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
      add("path", { class: "nose", d: "M14 -8l6 9a14 14 0 0 0 -12 0z" });
      add("circle", { cx: 14, cy: 14, r: 13 });
    }
    add("path", { d: shape });
    if (name === "drop") add("circle", { cx: 17, cy: 16, r: 5 });
    const icon = L.divIcon({ className: `pin-${name}`, html: drawing, iconSize, iconAnchor });
    const made = L.marker(drop(), { icon, alt, title: alt, keyboard: name === "drop", interactive: name === "drop" });
    made.nose = drawing.querySelector(".nose");
    return made;
  }

  // Squares of 1, 2 or 5 times 10, 100 ... m, so that a place without map pictures is a plan to scale.
  const Squares = L.GridLayer.extend({
    getTileSize() {
      const [lat] = drop();
      const pxPerM = (256 * 2 ** this._tileZoom) / (360 * M_PER_DEG * Math.cos((lat * Math.PI) / 180));
      const least_m = SQUARE_PX / pxPerM;
      const power = Math.max(10, 10 ** Math.floor(Math.log10(least_m)));
      const side_m = [1, 2, 5, 10].find((step) => step * power >= least_m) * power;
      return L.point(side_m * pxPerM, side_m * pxPerM);
    },
    createTile() {
      const tile = document.createElement("div");
      tile.className = "square";
      return tile;
    },
  });

  function ground() {
    map.attributionControl.setPrefix(false);
    new Squares({ zIndex: 0 }).addTo(map);
    if (!data.tiles) return;
    const streets = L.tileLayer(data.tiles, { attribution: data.attribution, maxZoom: 19 });
    const judge = () => element.classList.toggle("pictured", isPictured());
    let slow = null;
    streets.on("loading", () => {
      clearTimeout(slow);
      slow = setTimeout(judge, SLOW_MS);
    });
    streets.on("load", judge); // all of them have arrived or failed
    streets.on("tileload", () => isPictured() && judge());
    addEventListener("online", () => isPictured() || streets.redraw());
    streets.addTo(map);
  }

  // Whether at least half of the visible part has map pictures.
  function isPictured() {
    const card = element.getBoundingClientRect();
    const visible = [...element.querySelectorAll("img.leaflet-tile")].filter((tile) => {
      const { left, right, top, bottom } = tile.getBoundingClientRect();
      return left < card.right && right > card.left && top < card.bottom && bottom > card.top;
    });
    const there = visible.filter((tile) => tile.classList.contains("leaflet-tile-loaded")).length;
    return there > 0 && 2 * there >= visible.length;
  }

  // --- drawing -----------------------------------------------------------------------------------

  function show() {
    if (!moved) {
      target.setLatLng(shownDrop());
      around.setLatLng(shownDrop()).setRadius(savedPin()?.exact ? NEAR_M : AROUND_M);
    }
    for (const layer of [around, target]) layer.addTo(map);
    target.dragging[data.movable === undefined ? "disable" : "enable"]();
    if (data.movable === undefined) moved = exact = false;
    target.getElement().tabIndex = data.movable === undefined ? -1 : 0;
    const here = data.drone?.split(",").map(Number);
    if (here) {
      drone.setLatLng(here).addTo(map);
      drone.nose.style.transformOrigin = "14px 14px";
      drone.nose.style.transform = `rotate(${Number(data.heading)}deg)`;
      leg.setLatLngs([here, drop()]).addTo(map);
    } else {
      for (const layer of [drone, leg]) layer.remove();
    }
    frame(here);
  }

  // Shows drone and drop point: at first, each time the drone has come four times closer, and when
  // it leaves the visible part.
  function frame(here) {
    const away = here ? map.distance(here, drop()) / DOOR_M : 0;
    const scene = here ? `flight ${Math.ceil(Math.log(Math.max(1, away)) / Math.log(4))}` : "still";
    if (framed === scene && (!here || map.getBounds().contains(here))) return;
    framed = scene;
    if (here) map.fitBounds(L.latLngBounds([here, drop()]), { ...PADDING, maxZoom: 17, animate: false });
    else map.setView(target.getLatLng(), STILL_ZOOM, { animate: false });
  }

  // --- moving the drop point ---------------------------------------------------------------------

  const form = () => document.querySelector("form[data-do=dropoff]");

  function put({ lat, lng }, accuracy_m = "", captured_at = "") {
    const fields = form().elements;
    const byGps = accuracy_m !== "";
    exact ||= byGps || element.classList.contains("pictured") || savedPin()?.exact === true;
    const beside = exact ? ["", ""] : fromGiven_m({ lat, lng });
    [fields.lat.value, fields.lng.value] = [lat.toFixed(7), lng.toFixed(7)];
    [fields.accuracy_m.value, fields.captured_at.value] = [accuracy_m, captured_at];
    [fields.north_m.value, fields.east_m.value] = beside;
    const fix = form().querySelector("[data-fix]");
    fix.hidden = exact && !byGps;
    fix.textContent = byGps
      ? fix.dataset.words.replace("{n}", Math.ceil(accuracy_m))
      : fix.dataset.wordsBeside.replace("{n}", Math.round(Math.hypot(...beside)));
    form().classList.add("moved");
    moved = true;
    target.setLatLng([lat, lng]);
    around.setLatLng([lat, lng]).setRadius(byGps ? accuracy_m : exact ? NEAR_M : AROUND_M);
    map.panTo([lat, lng]);
  }

  // Metres to the north and to the east of the place that was given. The page knows that place only
  // rounded: without map pictures, only the distance from it is true.
  function fromGiven_m({ lat, lng }) {
    const [north, east] = data.moved.split(",").map(Number);
    const shown = L.latLng(shownDrop());
    const perLng = M_PER_DEG * Math.cos((shown.lat * Math.PI) / 180);
    return [north + (lat - shown.lat) * M_PER_DEG, east + (lng - shown.lng) * perLng].map((m) => m.toFixed(1));
  }

  const shownDrop = () => savedPin()?.at ?? drop();

  // The server rounds the drop point. This tab stores the pin that was set here, until the drop
  // point moves.
  function savePin() {
    const { lat, lng } = target.getLatLng();
    stored(JSON.stringify({ at: [lat, lng], exact, drop: data.drop }));
  }

  function savedPin() {
    const pin = JSON.parse(stored() ?? "{}");
    return pin.drop === data.drop ? pin : undefined;
  }

  function stored(text) {
    try {
      return text === undefined ? sessionStorage.getItem(STORAGE_KEY) : sessionStorage.setItem(STORAGE_KEY, text);
    } catch {
      return null; // storage is switched off: the pin is shown rounded
    }
  }

  function undo() {
    moved = exact = false;
    form()?.classList.remove("moved");
    form()?.querySelector("[data-fix]").setAttribute("hidden", "");
    framed = "";
    show();
  }

  function locate(button) {
    button.setAttribute("aria-disabled", "true");
    const enable = () => button.removeAttribute("aria-disabled");
    navigator.geolocation.getCurrentPosition(
      ({ coords, timestamp }) => {
        enable();
        if (!form()) return;
        put({ lat: coords.latitude, lng: coords.longitude }, coords.accuracy, new Date(timestamp).toISOString());
        element.scrollIntoView({ block: "center" });
      },
      (error) => {
        enable();
        Track.showError(error.code === error.PERMISSION_DENIED ? Track.words.denied : Track.words.unknown);
      },
      { enableHighAccuracy: true, timeout: 20_000, maximumAge: 0 },
    );
  }

  target.on("dragend", () => form() && put(target.getLatLng()));
  map.on("click", ({ latlng }) => form() && put(latlng));
  target.on("keydown", ({ originalEvent: event }) => {
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step || !form()) return;
    event.preventDefault();
    event.stopPropagation(); // else the map moves as well
    const px_m = map.distance(map.containerPointToLatLng([0, 0]), map.containerPointToLatLng([1, 0]));
    put(map.unproject(map.project(target.getLatLng()).add(L.point(step).multiplyBy(STEP_M / px_m))));
  });
  document.addEventListener("click", (event) => {
    const gps = event.target.closest("[data-gps]");
    if (gps) locate(gps);
    if (event.target.closest("[data-undo]")) undo();
  });
  document.addEventListener("shown", () => {
    if (!element.isConnected) return; // the delivery is over
    if (moved && !form()?.classList.contains("moved")) {
      moved = false; // it was sent
      if (document.querySelector("#feedback .thanks")) savePin();
      exact = false;
    }
    show();
  });

  ground();
  L.control.zoom({ position: "topright", zoomInTitle: data.wordsIn, zoomOutTitle: data.wordsOut }).addTo(map);
  L.control.scale({ imperial: false }).addTo(map);
  // A CSS transition moves the drone between two positions. It must not run while zooming.
  map.on("zoomstart", () => element.classList.add("zooming"));
  map.on("zoomend", () => setTimeout(() => element.classList.remove("zooming"), 50));
  show();
})();
