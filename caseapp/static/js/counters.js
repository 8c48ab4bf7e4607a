// Says how much room is left in a long answer, once it is nearly full. It is shown and never read out while somebody types.
const SHOWN_FROM = 200;

/** Show what is left of a text area in the hint below it. */
function count(area, hint, told) {
  const left = Number(area.dataset.longest) - area.value.trim().length;
  const text = left < 0 ? hint.dataset.over : hint.dataset.left;
  hint.textContent = left > SHOWN_FROM ? told : text.replace("{number}", () => String(Math.abs(left)));
  hint.classList.toggle("is-over", left < 0);
}

/** Start a counter at each text area that has a longest length. */
export function startCounters() {
  for (const area of document.querySelectorAll("textarea[data-longest]")) {
    const hint = document.getElementById(`${area.id}-c`);
    const told = hint.textContent;
    area.addEventListener("input", () => count(area, hint, told));
    count(area, hint, told);
  }
}
