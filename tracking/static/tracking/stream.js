"use strict";

// While the drone flies and the page is visible, the server sends what moves with the drone as soon as
// it knows it. Until the connection is there, and when it fails, track.js asks for the same each second.
(() => {
  const AGAIN_S = 30; // after a connection that the server refused, up to twice as long
  let source = null;
  let notBefore = 0;
  let heardAt = null; // when the drone was where the last event says

  // Whether positions come by themselves.
  function listens() {
    const { stream } = document.getElementById("page").dataset;
    if (!stream || document.hidden || navigator.connection?.saveData) close();
    else if (!source && Date.now() >= notBefore) open(stream);
    return source?.readyState === EventSource.OPEN;
  }

  function open(stream) {
    source = new EventSource(stream);
    source.onopen = Track.heard;
    source.onmessage = ({ data }) => {
      const seen = JSON.parse(data);
      heardAt = seen.at;
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

  // What was asked for after a silence. If it is news, something on the way holds the events back.
  function compare(seen) {
    if (source?.readyState === EventSource.OPEN && seen.at !== heardAt) giveUp();
  }

  Track.hear({ listens, compare });
})();
