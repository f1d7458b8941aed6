"use strict";

// A signature: strokes of [x, y] points, drawn at once and sent as JSON.
(() => {
  const MIN_STEP_PX = 1.5;
  let strokes = [];
  let canvas = null;

  function prepare() {
    const found = document.querySelector("#ask canvas");
    if (!found || found === canvas) return;
    canvas = found;
    strokes = [];
    canvas.addEventListener("pointerdown", start);
    canvas.addEventListener("pointermove", extend);
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (canvas.onPaper = null));
    document.querySelector("[data-clear]").addEventListener("click", () => {
      strokes = [];
      draw();
    });
    new ResizeObserver(draw).observe(canvas);
  }

  const at = (event) => [event.offsetX, event.offsetY].map((px) => Math.round(px * 10) / 10);

  function start(event) {
    if (!event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.onPaper = event.pointerId;
    strokes.push([at(event)]);
    draw();
  }

  function extend(event) {
    if (canvas.onPaper !== event.pointerId) return;
    const stroke = strokes.at(-1);
    for (const moved of event.getCoalescedEvents?.() ?? [event]) {
      const [x, y] = at(moved);
      const [lastX, lastY] = stroke.at(-1);
      if (Math.hypot(x - lastX, y - lastY) >= MIN_STEP_PX) stroke.push([x, y]);
    }
    draw();
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    canvas.parentElement.classList.toggle("drawn", strokes.length > 0);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.lineWidth = 3;
    pen.lineCap = pen.lineJoin = "round";
    for (const [[x, y], ...points] of strokes) {
      pen.beginPath();
      pen.moveTo(x, y);
      for (const point of points.length ? points : [[x, y]]) pen.lineTo(...point);
      pen.stroke();
    }
  }

  prepare();
  document.addEventListener("shown", prepare);
  document.addEventListener("sending", ({ detail: form }) => {
    if (form.dataset.do === "signature") form.elements.signature.value = JSON.stringify(strokes);
  });
})();
