"use strict";

// The copy button: says that it has copied, in the button itself, without moving anything.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const words = button.textContent;
  button.style.minWidth = `${button.offsetWidth}px`;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    window.prompt("Copy this link:", button.dataset.copy);
  }
  setTimeout(() => { button.textContent = words; }, 1500);
});
