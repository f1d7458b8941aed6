"use strict";

// One point on a map, tied to two number fields: drag the pin, click elsewhere, or write.
document.querySelectorAll("[data-point]").forEach((element) => {
  const lat = document.getElementById(element.dataset.lat);
  const lng = document.getElementById(element.dataset.lng);
  const map = WxMap.create(element, WxMap.tilesOf(element));
  const here = () => [Number(lat.value) || 0, Number(lng.value) || 0];
  const icon = L.divIcon({ className: "wx-pin wx-drop wx-busy", html: "<span></span>", iconSize: [22, 22] });
  const pin = L.marker(here(), { draggable: true, icon, title: "Drop point", zIndexOffset: 1000 }).addTo(map);
  const put = (point) => {
    pin.setLatLng(point);
    lat.value = point.lat.toFixed(6);
    lng.value = point.wrap().lng.toFixed(6);
  };
  pin.on("drag", () => put(pin.getLatLng()));
  map.on("click", (event) => put(event.latlng));
  for (const field of [lat, lng]) field.addEventListener("change", () => pin.setLatLng(here()));
  map.setView(here(), 16);
  fetch(`${element.dataset.around}?all`).then((answer) => answer.json()).then(({ layers }) => {
    new WxMap.Drawing(map).show(["areas", "zones", "hubs"].flatMap((name) => layers[name] ?? []));
  }).catch(() => {});
});
