"use strict";

// Draws a polygon: a click adds a point, a drag moves one, a double click removes one; with undo.
// The text field holds the GeoJSON. The server validates it.
document.querySelectorAll("[data-polygon]").forEach((box) => {
  const field = document.getElementById(box.dataset.polygon);
  const hint = box.querySelector("[data-hint]");
  const map = WxMap.create(box.querySelector(".wx-map"), WxMap.tilesOf(box));
  const shape = L.polygon([], { className: "wx-shape wx-area wx-busy", interactive: false }).addTo(map);
  const handles = L.layerGroup().addTo(map);
  const past = [];
  let points = read();
  const readOnly = field.readOnly || field.disabled;

  function read() {
    try {
      const ring = JSON.parse(field.value).coordinates[0];
      return ring.slice(0, -1).map(([lng, lat]) => [lat, lng]);
    } catch {
      return [];
    }
  }

  function write() {
    const ring = points.map(([lat, lng]) => [Number(lng.toFixed(6)), Number(lat.toFixed(6))]);
    const closed = ring.length ? [...ring, ring[0]] : [];
    field.value = points.length ? JSON.stringify({ type: "Polygon", coordinates: [closed] }) : "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // Do the segments a-b and c-d cross between their ends?
  function cross(a, b, c, d) {
    const side = (p, q, r) => Math.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]));
    return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
  }

  function crossesItself() {
    const sides = points.map((point, i) => [point, points[(i + 1) % points.length]]);
    return sides.some(([a, b], i) => sides.slice(i + 1).some(([c, d]) => cross(a, b, c, d)));
  }

  function showHint() {
    const missing = 3 - points.length;
    if (missing > 0) hint.textContent = `${missing} more point${missing > 1 ? "s" : ""} needed.`;
    else if (crossesItself()) hint.textContent = "The outline crosses itself: move a point.";
    else hint.textContent = `${points.length} points.`;
    hint.classList.toggle("wx-problem", points.length >= 3 && crossesItself());
  }

  function draw() {
    shape.setLatLngs(points);
    handles.clearLayers();
    if (!readOnly) points.forEach(handle);
    showHint();
  }

  function handle(point, i) {
    const marker = L.marker(point, {
      draggable: true,
      title: `Point ${i + 1}`,
      icon: L.divIcon({ className: "wx-handle", iconSize: [16, 16] }),
    });
    marker.on("dragstart", remember);
    marker.on("drag", () => { points[i] = at(marker.getLatLng()); shape.setLatLngs(points); showHint(); });
    marker.on("dragend", () => { write(); draw(); });
    marker.on("dblclick", (event) => { L.DomEvent.stop(event); change(() => points.splice(i, 1)); });
    marker.addTo(handles);
  }

  const at = (latLng) => [latLng.lat, latLng.wrap().lng];
  const remember = () => past.push(points.map((point) => [...point]));
  function change(how) {
    remember();
    how();
    write();
    draw();
  }

  // A new point splits the nearest side, so that the outline stays simple.
  function placeOf(point) {
    if (points.length < 3) return points.length;
    const p = map.latLngToLayerPoint(point);
    const far = points.map((from, i) => {
      const a = map.latLngToLayerPoint(from);
      const b = map.latLngToLayerPoint(points[(i + 1) % points.length]);
      return L.LineUtil.pointToSegmentDistance(p, a, b);
    });
    return far.indexOf(Math.min(...far)) + 1;
  }

  if (!readOnly) {
    map.doubleClickZoom.disable();
    map.on("click", (event) => {
      const point = at(event.latlng);
      change(() => points.splice(placeOf(point), 0, point));
    });
    box.querySelector('[data-do="undo"]').addEventListener("click", () => {
      if (past.length) { points = past.pop(); write(); draw(); }
    });
    box.querySelector('[data-do="clear"]').addEventListener("click", () => change(() => { points = []; }));
    field.addEventListener("change", () => { points = read(); draw(); });
  }

  draw();
  if (points.length) WxMap.fit(map, shape.getBounds());
  WxMap.around(map, box.dataset.around, (feature) => !location.pathname.includes(feature.id.replace(/^[a-z]+-/, ""))).then((around) => {
    if (!points.length) WxMap.fit(map, around.bounds());
  });
});
