"use strict";

// While the drone flies and the page is visible, the server sends what moves with the drone as soon as
// it knows it. Until the connection is there, and when it fails, track.js asks for the same each second.
(() => {
  const AGAIN_S = 30; // after a connection that the server refused, up to twice as long
  let source = null;
  let notBefore = 0;
  let heard_ms = 0; // when the connection was opened or the last event came
  let heardAt = null; // when the drone was where the last event says
  let events = 0;

  // Whether positions come by themselves.
  function listens() {
    const { stream } = document.getElementById("page").dataset;
    if (!stream || document.hidden || navigator.connection?.saveData) close();
    else if (!source && Date.now() >= notBefore) open(stream);
    return source?.readyState === EventSource.OPEN;
  }

  function open(stream) {
    source = new EventSource(stream);
    source.onopen = () => {
      heard_ms = Date.now();
      Track.heard();
    };
    source.onmessage = ({ data }) => {
      const seen = JSON.parse(data);
      [heard_ms, heardAt] = [Date.now(), seen.at];
      events += 1;
      Track.take(seen);
    };
    // The browser connects again by itself, unless the server refused.
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) giveUp();
      Track.heard();
    };
  }

  function close() {
    source?.close();
    source = null;
  }

  function giveUp() {
    close();
    notBefore = Date.now() + AGAIN_S * 1000 * (1 + Math.random());
  }

  // What was asked for at this time, after a silence that still lasts. If it is news, something on the
  // way holds the events back.
  function compare(seen, asked_ms) {
    const isSilent = source?.readyState === EventSource.OPEN && heard_ms < asked_ms;
    if (isSilent && seen.at !== heardAt) giveUp();
  }

  Track.hear({ listens, compare, told: () => events });
})();
