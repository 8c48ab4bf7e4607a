// Keyboard shortcuts: "/" moves to the search field, Alt+1 to Alt+9 to a section of a note.
import { takesText } from "./keyboard.js";

function focusSearch(event) {
  const search = document.querySelector('[data-hotkey="/"]');
  if (!search || takesText(document.activeElement) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  search.focus();
}

function focusSection(event) {
  const section = document.querySelectorAll(".note-field textarea")[Number(event.code.slice(5)) - 1];
  if (!section) return;
  event.preventDefault();
  section.focus();
}

/** Listen for the shortcuts of the page. */
export function startShortcuts() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "/") focusSearch(event);
    if (event.altKey && /^Digit[1-9]$/.test(event.code)) focusSection(event);
  });
}
