"use strict";

// Replays a flight, or an area hour by hour. Between two points of a track the drone is drawn where it
// was to within a few metres. In a gap nothing is known: it stays, hollow, where it was last seen,
// and the line over the gap is dashed.
(() => {
  const AHEAD_S = 600; // the next hour is asked for this long before it is needed
  const MAX_NOTES = 200; // in the page at a time, around the present one
  const box = document.getElementById("replay");
  const range = document.getElementById("replay-time");
  const playButton = document.getElementById("replay-play");
  const speed = document.getElementById("replay-speed");
  const clock = document.getElementById("replay-clock");
  const facts = document.getElementById("replay-facts");
  const notesBox = document.getElementById("replay-notes");
  const state = document.getElementById("replay-state");
  const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
  const windows = read("replay-windows"); // null for one flight
  const map = WxMap.create(document.getElementById("replay-map"), WxMap.tilesOf(box));
  const canvas = new WxCanvas.Canvas(map, open);
  const loaded = new Map(); // recording by the start of its window
  const popup = L.popup();
  let at = 0;
  let isPlaying = false;
  let lastFrame = null;
  let listedFor = null; // what the list of notes was made from
  let currentRow = null;

  // --- the recording ---

  const windowOf = (t) => (windows ? windows.findLast((start) => start <= t) ?? windows[0] : 0);

  function load(start) {
    if (start === undefined || loaded.has(start)) return;
    loaded.set(start, null);
    const url = windows ? `${box.dataset.url}?from=${encodeURIComponent(new Date(1000 * start).toISOString())}` : box.dataset.url;
    WxPoll.get(url).then((answer) => answer?.json() ?? null).then((recording) => {
      if (!recording) {
        loaded.delete(start);
        pause();
        state.textContent = "The server does not answer. Press play to try again.";
        return;
      }
      loaded.set(start, recording);
      if (!windows) startFlight(recording);
      draw();
    });
  }

  function startFlight(recording) {
    range.min = Math.floor(recording.start);
    range.max = Math.ceil(recording.end);
    at = asked() ?? recording.tracks[0]?.t[0] ?? recording.start;
    clamp();
    const path = recording.tracks[0];
    if (path) WxMap.fit(map, L.latLngBounds(path.lat.map((lat, i) => [lat, path.lng[i]])));
  }

  // The time of a link, as POSIX seconds or as a date; undefined without a valid one.
  function asked() {
    const text = new URLSearchParams(location.search).get("at");
    if (!text) return undefined;
    const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000;
    return Number.isFinite(seconds) ? seconds : undefined;
  }

  const clamp = () => { at = Math.min(Math.max(at, Number(range.min)), Number(range.max)); };

  // --- a frame ---

  // The index of the last point at or before t; -1 before the first.
  function indexAt(times, t) {
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= t) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  // Where the track's drone was; null when it has no track at that time.
  function placeOf(track, t) {
    const i = indexAt(track.t, t);
    const isLast = i === track.t.length - 1;
    if (i < 0 || (isLast && t > track.t[i])) return null;
    const seen = { i, alt_m: track.alt_m[i], battery_pct: track.battery_pct[i] };
    if (isLast) return { ...seen, lat: track.lat[i], lng: track.lng[i], heading: heading(track, i - 1) };
    if (track.gaps.includes(i)) return { ...seen, lat: track.lat[i], lng: track.lng[i], heading: heading(track, i - 1), gap: [track.t[i], track.t[i + 1]] };
    const share = (t - track.t[i]) / (track.t[i + 1] - track.t[i]);
    const between = (column) => track[column][i] + share * (track[column][i + 1] - track[column][i]);
    const alt_m = seen.alt_m === null || track.alt_m[i + 1] === null ? seen.alt_m : between("alt_m");
    return { ...seen, alt_m, lat: between("lat"), lng: between("lng"), heading: heading(track, i) };
  }

  function heading(track, i) {
    if (i < 0 || i + 1 >= track.t.length) return 0;
    const north = track.lat[i + 1] - track.lat[i];
    const east = (track.lng[i + 1] - track.lng[i]) * Math.cos((track.lat[i] * Math.PI) / 180);
    return (Math.atan2(east, north) * 180) / Math.PI;
  }

  function draw() {
    const recording = loaded.get(windowOf(at));
    clock.textContent = said(at);
    range.value = at;
    range.setAttribute("aria-valuetext", said(at));
    if (!recording) {
      state.textContent = loaded.has(windowOf(at)) ? "Loading this hour…" : state.textContent;
      return;
    }
    const flying = recording.tracks.map((track) => ({ track, place: placeOf(track, at) })).filter(({ place }) => place);
    drawFlights(recording, flying);
    showFacts(recording, flying);
    showNotes(recording);
    if (!performance.getEntriesByName("wx-first-frame").length) performance.mark("wx-first-frame");
  }

  function drawFlights(recording, flying) {
    const wanted = new Set();
    for (const track of windows ? flying.map((one) => one.track) : recording.tracks) {
      for (const [look, lines] of Object.entries(linesOf(track))) {
        const id = `${look}-${track.job}-${windowOf(at)}`;
        wanted.add(id);
        if (lines.length && !canvas.shown.has(id)) canvas.put({ id, look, tone: look === "gap" ? "bad" : "idle", label: "", geometry: { type: "MultiLineString", coordinates: lines }, track });
      }
    }
    for (const { track, place } of flying) {
      wanted.add(track.job);
      const point = { type: "Point", coordinates: [place.lng, place.lat] };
      canvas.put({ id: track.job, look: "drone", tone: "busy", label: track.drone, heading_deg: place.heading, geometry: point, track }, Boolean(place.gap));
    }
    for (const id of [...canvas.shown.keys()]) if (!wanted.has(id) && !id.startsWith("fixed")) canvas.remove(id);
  }

  // The known parts of a track and the gaps between them, as lines of [lng, lat].
  function linesOf(track) {
    if (track.lines) return track.lines;
    const at = (i) => [track.lng[i], track.lat[i]];
    const ends = [...track.gaps, track.t.length - 1];
    const flown = ends.map((end, n) => {
      const first = n ? track.gaps[n - 1] + 1 : 0;
      return Array.from({ length: end - first + 1 }, (_, i) => at(first + i));
    });
    track.lines = { flown: flown.filter((line) => line.length > 1), gap: track.gaps.map((i) => [at(i), at(i + 1)]) };
    return track.lines;
  }

  // --- words ---

  const said = (t) => `${new Date(1000 * t).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const time = (t) => said(t).slice(11, 19);
  const metres = (value) => (value === null ? "not known" : `${Math.round(value)} m`);
  const percent = (value) => (value === null ? "not known" : `${Math.round(value)} %`);
  const gapText = ([from, to]) => `No telemetry from ${time(from)} to ${time(to)}: where it was is not known`;

  function showFacts(recording, flying) {
    const silent = flying.filter(({ place }) => place.gap).length;
    let rows = [["In the air", `${flying.length}`], ["Of them without telemetry", `${silent}`]];
    if (!windows) {
      const place = flying[0]?.place;
      rows = place ? [["Height", metres(place.alt_m)], ["Battery", percent(place.battery_pct)]] : [["Track", recording.tracks.length ? "none at this time" : "none: it has not flown, or the customer's data was deleted"]];
      if (place?.gap) rows.push(["Gap", gapText(place.gap)]);
    }
    const key = JSON.stringify(rows);
    if (facts.dataset.key === key) return;
    facts.dataset.key = key;
    facts.replaceChildren(...rows.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      term.textContent = name;
      const text = document.createElement("dd");
      text.textContent = value;
      return [term, text];
    }));
    const left = recording.notes_left_out;
    state.textContent = left ? `${left} more events and decisions of this hour are not listed.` : "";
  }

  function open(feature) {
    if (!feature.track) return;
    const { track } = feature;
    const place = placeOf(track, at);
    const rows = [["Order", track.order]];
    if (place) rows.push(["Height", metres(place.alt_m)], ["Battery", percent(place.battery_pct)]);
    if (place?.gap) rows.push(["Gap", gapText(place.gap)]);
    const url = windows ? box.dataset.flight.replace("00000000-0000-0000-0000-000000000000", track.job) + `?at=${Math.floor(at)}` : "";
    pause();
    popup.setLatLng(place ?? [track.lat[0], track.lng[0]]).setContent(WxMap.popup({ label: track.drone, facts: rows, url })).openOn(map);
  }

  // --- events and decisions ---

  function showNotes(recording) {
    const { notes } = recording;
    const current = indexAt(notes.map((note) => note.t), at);
    const isListed = listedFor?.notes === notes && current >= listedFor.first - 1 && current < listedFor.end;
    if (!isListed) listNotes(notes, Math.max(0, current - MAX_NOTES / 2));
    const row = notesBox.children[current - listedFor.first] ?? null;
    if (row === currentRow) return;
    currentRow?.removeAttribute("aria-current");
    currentRow = row;
    if (!row) return;
    row.setAttribute("aria-current", "true");
    if (!notesBox.contains(document.activeElement)) notesBox.scrollTop = row.offsetTop - notesBox.clientHeight / 2;
  }

  function listNotes(notes, first) {
    listedFor = { notes, first, end: Math.min(notes.length, first + MAX_NOTES) };
    currentRow = null;
    notesBox.replaceChildren(...notes.slice(first, listedFor.end).map(noteRow));
    document.getElementById("replay-none").hidden = notes.length > 0;
  }

  function noteRow(note) {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = `wx-note wx-${note.tone}`;
    const parts = [["time", time(note.t)], ["strong", note.label], ["span", [note.drone, windows ? note.order : "", note.who].filter(Boolean).join(" · ")], ["small", note.text]];
    button.append(...parts.filter(([, text]) => text).map(([tag, text]) => {
      const part = document.createElement(tag);
      part.textContent = text;
      return part;
    }));
    button.addEventListener("click", () => goTo(note.t));
    row.append(button);
    return row;
  }

  // --- time ---

  function frame(now) {
    if (!isPlaying) return;
    const passed = lastFrame === null ? 0 : (now - lastFrame) / 1000;
    lastFrame = now;
    // While an hour is loading, time stands still.
    if (loaded.get(windowOf(at))) at += Math.min(passed, 0.5) * Number(speed.value);
    load(windowOf(at));
    if (windows) load(windows.find((start) => start > at && start - at < AHEAD_S));
    const isOver = at >= Number(range.max);
    clamp();
    draw();
    if (isOver) pause();
    else requestAnimationFrame(frame);
  }

  function play() {
    if (at >= Number(range.max)) at = Number(range.min);
    isPlaying = true;
    lastFrame = null;
    state.textContent = "";
    playButton.textContent = "Pause";
    requestAnimationFrame(frame);
  }

  function pause() {
    isPlaying = false;
    playButton.textContent = "Play";
    remember();
  }

  function goTo(t) {
    at = t;
    clamp();
    load(windowOf(at));
    draw();
    remember();
  }

  // The address leads back to this moment.
  function remember() {
    const url = new URL(location.href);
    url.searchParams.set("at", `${new Date(1000 * at).toISOString().slice(0, 19)}Z`);
    history.replaceState(null, "", url);
  }

  playButton.addEventListener("click", () => (isPlaying ? pause() : play()));
  range.addEventListener("input", () => {
    at = Number(range.value);
    load(windowOf(at));
    draw();
  });
  range.addEventListener("change", remember);
  document.getElementById("replay-area")?.addEventListener("change", (event) => event.target.form.submit());
  for (const feature of read("replay-features") ?? []) canvas.put({ ...feature, id: `fixed-${feature.id}` });
  if (windows) {
    at = asked() ?? Math.max(Number(range.min), Number(range.max) - 3600);
    clamp();
    WxMap.fit(map, canvas.boundsOf(["area"]));
  }
  load(windowOf(at));
})();
