"use strict";

// A sound and a browser notification for each new grave line, if a person has switched them on.
(() => {
  const box = document.getElementById("now");
  const sound = document.getElementById("alarm-sound");
  const notice = document.getElementById("alarm-notice");
  let audio = null;
  let known = graveLines();

  // Cause -> level of each grave line: one with a higher level has become worse.
  function graveLines() {
    const lines = box.querySelectorAll("#attention li.wx-bad[data-cause]");
    return new Map([...lines].map((line) => [line.dataset.cause, Number(line.dataset.level)]));
  }

  function textOf(cause) {
    const line = box.querySelector(`#attention li[data-cause="${CSS.escape(cause)}"]`);
    return line.querySelector("a, strong").textContent;
  }

  function isOn(button) {
    return localStorage.getItem(button.id) === "on";
  }

  function show(button, on) {
    localStorage.setItem(button.id, on ? "on" : "off");
    button.setAttribute("aria-pressed", String(on));
    button.querySelector("span").textContent = on ? "on" : "off";
  }

  // Browsers allow sound only after a click or a key on the page.
  function wake() {
    if (!isOn(sound)) return;
    audio ??= new AudioContext();
    if (audio.state === "suspended") audio.resume();
  }

  function beep() {
    wake();
    for (const [after_s, hz] of [[0, 880], [0.25, 660]]) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      const at = audio.currentTime + after_s;
      tone.frequency.value = hz;
      volume.gain.setValueAtTime(0.2, at);
      volume.gain.exponentialRampToValueAtTime(0.001, at + 0.2);
      tone.connect(volume).connect(audio.destination);
      tone.start(at);
      tone.stop(at + 0.2);
    }
  }

  function hear() {
    const lines = graveLines();
    const fresh = [...lines.keys()].filter((cause) => lines.get(cause) > (known.get(cause) ?? -1));
    known = lines;
    if (!fresh.length) return;
    if (isOn(sound)) beep();
    if (isOn(notice) && Notification.permission === "granted") {
      const more = fresh.length > 1 ? `and ${fresh.length - 1} more` : "";
      new Notification(textOf(fresh[0]), { body: more, tag: "wingxtra" }).onclick = () => window.focus();
    }
  }

  sound.addEventListener("click", () => {
    show(sound, !isOn(sound));
    if (isOn(sound)) beep(); // so that the volume is known
  });
  notice.addEventListener("click", async () => {
    const wanted = !isOn(notice);
    const allowed = !wanted || (await Notification.requestPermission()) === "granted";
    show(notice, wanted && allowed);
    if (!allowed) WxDashboard.tell("Your browser blocks notifications of this page: allow them in its settings.");
  });
  if (!("Notification" in window)) notice.hidden = true;
  show(sound, isOn(sound));
  show(notice, isOn(notice));
  box.addEventListener("wx:renewed", hear);
  for (const gesture of ["pointerdown", "keydown"]) document.addEventListener(gesture, wake);
})();
