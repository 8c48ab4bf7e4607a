// Knows which forms hold words that are not saved, and asks before somebody leaves them behind.

const unsaved = new Set();
const saves = [];

/** Return whether a form takes words that would be lost: any form but a search and one with a password or a PIN. */
function holdsWords(form) {
  return form?.method === "post" && !form.querySelector("input[type=password], [data-secret]");
}

/** Note that a form's words are saved. */
export function markSaved(form) {
  unsaved.delete(form);
}

/** Note that a form holds words that are not saved. */
export function markUnsaved(form) {
  unsaved.add(form);
}

/** Return whether any form of the page holds words that are not saved. */
export function hasUnsavedWords() {
  return unsaved.size > 0;
}

/** Have a function called that saves words at once; it returns a promise of the server's answer. */
export function whenLeaving(save) {
  saves.push(save);
}

/** Save all words of the page that are not saved, and wait until the server has answered. */
export function saveWords() {
  return Promise.allSettled(saves.map((save) => save()));
}

/** Follow every form of the page, and ask before the page is left with unsaved words. */
export function startLeaveWarning() {
  document.addEventListener("input", (event) => {
    if (holdsWords(event.target.form)) markUnsaved(event.target.form);
  });
  let downloads = false;
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    // A file to download leaves the page and its words as they are, although the browser asks as if it went away.
    downloads = Boolean(event.submitter?.hasAttribute("data-download"));
    if (!downloads) markSaved(event.target);
  });
  // A page that somebody may have to leave at once never holds them back; the save on hiding must do.
  if (document.querySelector("[data-quick-exit]")) return;
  addEventListener("beforeunload", (event) => {
    if (hasUnsavedWords() && !downloads) event.preventDefault();
    downloads = false;
  });
}
