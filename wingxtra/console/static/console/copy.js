"use strict";

// The copy button confirms in its own label, with a fixed width, so that the layout does not move.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const label = button.textContent;
  button.style.minWidth = `${button.offsetWidth}px`;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    window.prompt("Copy this link:", button.dataset.copy);
  }
  setTimeout(() => { button.textContent = label; }, 1500);
});
