"use strict";

// The map of a new order, with two pins, and of a store, with one. Each is tied to a text field;
// without this script the fields do the same. Tap the map, drag a pin, or type “latitude, longitude”.
// A chosen store is the pickup, until its pin is moved.
(() => {
  const element = document.getElementById("map");
  const map = WxMap.create(element, WxMap.tilesOf(element));
  const POINT = /^\s*([+-]?\d+(?:\.\d+)?)\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*$/;
  const DECIMALS = 6;
  const names = { pickup: "Pickup", dropoff: "Drop point", place: "Store" };
  const stores = JSON.parse(document.getElementById("stores")?.textContent ?? "{}");
  const choice = document.getElementById("id_store_id");

  const areas = JSON.parse(document.getElementById("areas").textContent);
  const outlines = L.featureGroup(areas.map((area) => L.geoJSON(area, { className: "area", interactive: false }))).addTo(map);
  const way = L.polyline([], { className: "way-line", interactive: false }).addTo(map);

  const pins = Object.keys(names).filter((name) => document.getElementById(`id_${name}`)).map((name) => {
    const field = document.getElementById(`id_${name}`);
    const icon = L.divIcon({ className: `pin-on-map ${name}`, iconSize: [30, 30], iconAnchor: name === "dropoff" ? [15, 34] : [15, 15] });
    const marker = L.marker([0, 0], { icon, draggable: true, title: names[name], alt: names[name], keyboard: false });
    return { name, field, marker };
  });

  function typed({ name, field }) {
    const store = name === "pickup" && choice && stores[choice.value];
    if (store) return L.latLng(store);
    const found = POINT.exec(field.value);
    if (!found) return null;
    const [lat, lng] = [Number(found[1]), Number(found[2])];
    return Math.abs(lat) <= 90 && Math.abs(lng) <= 180 ? L.latLng(lat, lng) : null;
  }

  function draw() {
    const places = [];
    for (const pin of pins) {
      const at = typed(pin);
      if (at) {
        pin.marker.setLatLng(at).addTo(map);
        places.push(at);
      } else {
        pin.marker.remove();
      }
    }
    way.setLatLngs(places.length === 2 ? places : []);
    return places;
  }

  function put(pin, latLng) {
    const { lat, lng } = latLng.wrap();
    if (pin.name === "pickup" && choice) choice.value = "";
    pin.field.value = `${lat.toFixed(DECIMALS)}, ${lng.toFixed(DECIMALS)}`;
    draw();
  }

  // The pins; until all are there, all that we serve.
  function frame(places) {
    const box = places.length === pins.length ? L.latLngBounds(places).pad(0.3) : outlines.getBounds().extend(L.latLngBounds(places));
    if (box.isValid()) map.fitBounds(box, { maxZoom: 16, animate: false });
  }

  for (const pin of pins) {
    pin.marker.on("drag", () => put(pin, pin.marker.getLatLng()));
    pin.field.addEventListener("change", () => frame(draw()));
    const radio = document.querySelector(`input[name=pin][value=${pin.name}]`);
    if (radio) pin.field.addEventListener("focus", () => { radio.checked = true; });
  }
  choice?.addEventListener("change", () => frame(draw()));
  map.on("click", ({ latlng }) => {
    const chosen = document.querySelector("input[name=pin]:checked")?.value ?? pins[0].name;
    put(pins.find(({ name }) => name === chosen), latlng);
  });
  frame(draw());
})();
