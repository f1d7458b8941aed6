"use strict";

// Draws many features of the map on one canvas (Leaflet's own renderer, with symbols of ours), so
// that 500 drones and 300 orders pan smoothly without a graphics card. A canvas is nothing to a
// keyboard or a screen reader: the list beside the map has the same features as buttons.

const WxCanvas = (() => {
  const TONES = ["good", "busy", "idle", "warn", "bad"];
  const SIZE = 11; // half a symbol, in pixels, with room for its ring and mark
  const TRAIL_POINTS = 150;
  let colours = null;

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--wx-${name}`).trim();
    colours = Object.fromEntries([...TONES, "strong", "back", "quiet"].map((name) => [name, of(name)]));
    // A colour may be given by another variable: the computed colour of an element is final.
    const probe = document.createElement("i");
    document.body.append(probe);
    for (const name of Object.keys(colours)) {
      probe.style.color = `var(--wx-${name})`;
      colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
  }

  const paths = {
    drone: (ctx) => { ctx.moveTo(0, -11); ctx.lineTo(9, 11); ctx.lineTo(0, 5); ctx.lineTo(-9, 11); ctx.closePath(); },
    hub: (ctx) => ctx.rect(-8, -8, 16, 16),
    pickup: (ctx) => ctx.arc(0, 0, 6, 0, 7),
    drop: (ctx) => { ctx.arc(0, -4, 7, 0.75 * Math.PI, 0.25 * Math.PI); ctx.lineTo(0, 8); ctx.closePath(); },
  };

  function paint(ctx, { x, y }, feature, isUnsure) {
    ctx.save();
    ctx.translate(x, y);
    ctx.setLineDash([]); // the renderer leaves the dashes and the opacity of the line before
    ctx.globalAlpha = 1;
    if (feature.is_alert) {
      ctx.beginPath();
      ctx.arc(0, 0, 16, 0, 7);
      ctx.lineWidth = 3;
      ctx.strokeStyle = colours.bad;
      ctx.stroke();
    }
    ctx.save();
    if (feature.look === "drone") ctx.rotate(((feature.heading_deg ?? 0) * Math.PI) / 180);
    ctx.beginPath();
    (paths[feature.look] ?? paths.pickup)(ctx);
    ctx.lineWidth = isUnsure ? 2.5 : 1.5;
    ctx.strokeStyle = isUnsure ? colours[feature.tone] : colours.back;
    ctx.fillStyle = isUnsure ? colours.back : feature.look === "hub" ? colours.strong : colours[feature.tone];
    ctx.fill();
    ctx.stroke();
    ctx.restore();
    if (feature.mark) paintMark(ctx, feature.mark);
    ctx.restore();
  }

  function paintMark(ctx, text) {
    ctx.font = "11px sans-serif";
    const width = Math.max(16, ctx.measureText(text).width + 8);
    ctx.beginPath();
    ctx.roundRect(4, -18, width, 15, 8);
    ctx.fillStyle = colours.back;
    ctx.strokeStyle = colours.strong;
    ctx.lineWidth = 1;
    ctx.fill();
    ctx.stroke();
    ctx.fillStyle = colours.strong;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(text, 4 + width / 2, -10);
  }

  const Symbol = L.CircleMarker.extend({
    options: { radius: SIZE, weight: 10 },
    _updatePath() {
      if (this._renderer?._drawing && !this._empty()) paint(this._renderer._ctx, this._point, this.feature, this.isUnsure);
    },
  });

  const styles = {
    area: (tone) => ({ color: tone, weight: 2, fillColor: tone, fillOpacity: 0.04 }),
    zone: (tone) => ({ color: tone, weight: 2, dashArray: "6 4", fillColor: tone, fillOpacity: 0.18 }),
    line: (tone) => ({ color: tone, weight: 2, dashArray: "2 6", fill: false }),
    trail: () => ({ color: colours.busy, opacity: 0.5, weight: 3, fill: false }),
    flown: (tone) => ({ color: tone, opacity: 0.7, weight: 3, fill: false }),
    gap: () => ({ color: colours.bad, weight: 2, dashArray: "4 8", fill: false }),
  };
  const styleOf = (feature) => styles[feature.look](colours[feature.tone] ?? colours.busy);

  // Features by id on one map. `onOpen(feature, latLng)` is called on a click.
  class Canvas {
    constructor(map, onOpen = null) {
      readColours();
      this.map = map;
      this.onOpen = onOpen;
      // Larger than the map, so that a pan shows no empty edge until it is drawn again.
      this.renderer = L.canvas({ padding: 0.2 });
      this.shown = new Map();
      this.trails = new Map();
      new MutationObserver(() => this.recolour()).observe(document.documentElement, { attributeFilter: ["class"] });
    }

    // `isUnsure`: it is not known to be there now; a drone is then hollow.
    put(feature, isUnsure = false) {
      const known = this.shown.get(feature.id);
      if (known) known.layer.isUnsure = isUnsure;
      if (known && known.source === feature.geometry && known.feature === feature) return;
      if (known && feature.geometry.type === "Point") {
        known.feature = known.layer.feature = feature;
        known.source = feature.geometry;
        known.layer.setLatLng(WxMap.latLng(feature));
      } else {
        known?.layer.remove();
        this.shown.set(feature.id, { feature, source: feature.geometry, layer: this.create(feature, isUnsure) });
      }
      if (feature.look === "drone" && this.trails.has(feature.id)) this.extendTrail(feature);
    }

    create(feature, isUnsure) {
      const isPoint = feature.geometry.type === "Point";
      const options = { renderer: this.renderer, interactive: Boolean(this.onOpen) && feature.look !== "trail" };
      const layer = isPoint
        ? new Symbol(WxMap.latLng(feature), options)
        : L.geoJSON(feature.geometry, { ...options, ...styleOf(feature) });
      layer.feature = feature;
      layer.isUnsure = isUnsure;
      if (options.interactive) {
        layer.on("click", (event) => {
          L.DomEvent.stop(event);
          this.onOpen(this.shown.get(feature.id).feature, isPoint ? null : event.latlng);
        });
      }
      layer.addTo(this.map);
      if (!isPoint) layer.bringToBack();
      return layer;
    }

    remove(id) {
      const known = this.shown.get(id);
      if (!known) return;
      known.layer.remove();
      this.shown.delete(id);
      this.trails.get(id)?.remove();
      this.trails.delete(id);
    }

    // Lines ([[lat, lng], …] each) behind the drone with this id; it extends the last one.
    trail(id, lines) {
      this.trails.get(id)?.remove();
      const line = L.polyline(lines, { ...styles.trail(), renderer: this.renderer, interactive: false });
      line.feature = { look: "trail" };
      this.trails.set(id, line.addTo(this.map).bringToBack());
    }

    extendTrail(feature) {
      const line = this.trails.get(feature.id);
      const lines = line.getLatLngs();
      const last = lines[lines.length - 1] ?? [];
      const here = WxMap.latLng(feature);
      if (last.length && here.distanceTo(last[last.length - 1]) <= 2) return;
      line.setLatLngs([...lines.slice(0, -1), [...last, here].slice(-TRAIL_POINTS)]);
    }

    removeTrails() {
      for (const line of this.trails.values()) line.remove();
      this.trails.clear();
    }

    // Above all others; after new features were added below them.
    raise(look) {
      for (const { feature, layer } of this.shown.values()) if (feature.look === look) layer.bringToFront();
    }

    recolour() {
      readColours();
      for (const { feature, layer } of this.shown.values()) {
        if (feature.geometry.type === "Point") layer.redraw();
        else layer.setStyle(styleOf(feature));
      }
      for (const line of this.trails.values()) line.setStyle(styles.trail());
    }

    boundsOf(looks) {
      const box = L.latLngBounds([]);
      for (const { feature, layer } of this.shown.values()) {
        if (looks.includes(feature.look)) box.extend(layer.getLatLng ? layer.getLatLng() : layer.getBounds());
      }
      return box;
    }
  }

  return { Canvas };
})();
