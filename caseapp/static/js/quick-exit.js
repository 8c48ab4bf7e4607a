// Quick exit: hides the page at once and replaces it, so that Back does not return to it.
import { takesText } from "./keyboard.js";

const PRESSES = 3;
const WITHIN_MS = 5000;

/** Hide the page, then go where the exit link leads. */
function close(link) {
  document.title = "\u00a0";
  const cover = document.createElement("div");
  cover.className = "exit-cover";
  document.body.replaceChildren(cover);
  location.replace(link.href);
}

/** Leave on every page of this browser: one in another window would still show what it showed. */
function leave(link) {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel stays within its origin
  new BroadcastChannel("exit").postMessage("left");
  close(link);
}

/** Leave after Shift was pressed three times, never while somebody types. */
function leaveOnShift(link) {
  let presses = [];
  document.addEventListener("keyup", (event) => {
    if (event.key !== "Shift" || takesText(document.activeElement)) {
      presses = [];
      return;
    }
    presses = [...presses.filter((time) => event.timeStamp - time < WITHIN_MS), event.timeStamp];
    if (presses.length === PRESSES) leave(link);
  });
}

/** Make every exit link of the page work without a trace in the history. */
export function startQuickExit() {
  const links = document.querySelectorAll("[data-quick-exit]");
  if (!links.length) return;
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      leave(links[0]);
    });
  }
  new BroadcastChannel("exit").addEventListener("message", () => close(links[0]));
  // Only where there is a hardware keyboard: on a phone Shift is pressed to write a capital letter.
  if (matchMedia("(pointer: fine)").matches) leaveOnShift(links[0]);
  // A page that the browser kept in memory could show an ended session.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
