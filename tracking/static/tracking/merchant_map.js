"use strict";

// The map of a new order: two pins, tied to two text fields. Without this script the fields do the
// same. Tap the map, drag a pin, or type “latitude, longitude”.
(() => {
  const element = document.getElementById("map");
  const map = WxMap.create(element, WxMap.tilesOf(element));
  const POINT = /^\s*([+-]?\d+(?:\.\d+)?)\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*$/;
  const DECIMALS = 6;
  const names = { pickup: "Pickup", dropoff: "Drop point" };

  const areas = JSON.parse(document.getElementById("areas").textContent);
  const outlines = L.featureGroup(areas.map((area) => L.geoJSON(area, { className: "area", interactive: false }))).addTo(map);
  const way = L.polyline([], { className: "way-line", interactive: false }).addTo(map);

  const pins = Object.keys(names).map((name) => {
    const field = document.getElementById(`id_${name}`);
    const icon = L.divIcon({ className: `pin-on-map ${name}`, iconSize: [30, 30], iconAnchor: name === "pickup" ? [15, 15] : [15, 34] });
    const marker = L.marker([0, 0], { icon, draggable: true, title: names[name], alt: names[name], keyboard: false });
    return { name, field, marker };
  });

  function typed({ field }) {
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
    pin.field.value = `${lat.toFixed(DECIMALS)}, ${lng.toFixed(DECIMALS)}`;
    draw();
  }

  // Both pins; until there are two, all that we serve.
  function frame(places) {
    const box = places.length === pins.length ? L.latLngBounds(places).pad(0.3) : outlines.getBounds().extend(L.latLngBounds(places));
    if (box.isValid()) map.fitBounds(box, { maxZoom: 16, animate: false });
  }

  for (const pin of pins) {
    pin.marker.on("drag", () => put(pin, pin.marker.getLatLng()));
    pin.field.addEventListener("change", () => frame(draw()));
    pin.field.addEventListener("focus", () => { document.querySelector(`input[name=pin][value=${pin.name}]`).checked = true; });
  }
  map.on("click", ({ latlng }) => {
    const chosen = document.querySelector("input[name=pin]:checked").value;
    put(pins.find(({ name }) => name === chosen), latlng);
  });
  frame(draw());
})();
