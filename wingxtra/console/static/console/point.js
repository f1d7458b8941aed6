"use strict";

// One point on a map, tied to two number fields: drag the pin, click the map, or enter numbers.
document.querySelectorAll("[data-point]").forEach((element) => {
  const lat = document.getElementById(element.dataset.lat);
  const lng = document.getElementById(element.dataset.lng);
  const moved = document.querySelector("[data-moved]");
  const map = WxMap.create(element, WxMap.tilesOf(element));
  const isSet = () => lat.value !== "" && lng.value !== "";
  const here = () => L.latLng(Number(lat.value) || 0, Number(lng.value) || 0);
  const start = here();
  const icon = L.divIcon({ className: "wx-pin wx-drop wx-busy", html: "<span></span>", iconSize: [22, 22] });
  const pin = L.marker(start, { draggable: true, icon, title: element.dataset.label, zIndexOffset: 1000 });
  const show = () => {
    if (isSet()) pin.setLatLng(here()).addTo(map);
    const metres = Math.round(map.distance(start, here()));
    if (moved) moved.textContent = metres ? `${metres} m from where it is now.` : "Not moved yet.";
  };
  const put = (point) => {
    lat.value = point.lat.toFixed(6);
    lng.value = point.wrap().lng.toFixed(6);
    show();
  };
  pin.on("drag", () => put(pin.getLatLng()));
  map.on("click", (event) => put(event.latlng));
  for (const field of [lat, lng]) field.addEventListener("change", show);
  show();
  const isNew = !isSet();
  map.setView(start, isNew ? 2 : 16);
  WxMap.around(map, element.dataset.around).then((around) => {
    if (isNew) WxMap.fit(map, around.bounds());
  });
});
