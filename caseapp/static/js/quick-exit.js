// Leave now: hides the page at once, goes to the everyday site without asking our server, and has it end the session.
import { saveWords } from "./leave-warning.js";

const PRESSES = 3;
const WITHIN_MS = 5000;
const LONGEST_SAVE_MS = 500;

/** What leaves one page: its exit links, and the channel to the other pages of this browser. */
class QuickExit {
  constructor(links) {
    this.links = links;
    this.address = links[0].href;
    this.end = links[0].dataset.quickExit;
    this.presses = document.querySelector("[data-exit-presses]");
    this.channel = new BroadcastChannel("exit");
    this.leaving = false;
  }

  start() {
    for (const link of this.links) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        this.leave();
      });
    }
    this.channel.addEventListener("message", () => this.close());
    // Only where there is a hardware keyboard: on a phone Shift is pressed to write a capital letter.
    if (matchMedia("(pointer: fine)").matches) this.leaveOnShift();
    // A page that the browser kept in memory could show an ended session.
    addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      this.hide();
      location.reload();
    });
  }

  hide() {
    document.title = "\u00a0";
    const cover = document.createElement("div");
    cover.className = "exit-cover";
    document.body.replaceChildren(cover);
  }

  /** Hide the page and put the everyday site in its place in the history; `left.js` reads the mark of this tab. */
  close() {
    this.hide();
    try {
      sessionStorage.setItem("left", "yes");
    } finally {
      location.replace(this.address);
    }
  }

  /** Leave on every page of this browser: one in another window would still show what it showed. */
  async leave() {
    if (this.leaving) return;
    this.leaving = true;
    this.hide();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel stays within its origin
    this.channel.postMessage("left");
    const patience = new Promise((resolve) => {
      setTimeout(resolve, LONGEST_SAVE_MS);
    });
    // The session ends after the last words are saved, which it would refuse.
    await Promise.race([saveWords(), patience]);
    fetch(this.end, { method: "POST", keepalive: true, redirect: "manual" }).catch(() => {});
    this.close();
  }

  /** Leave after Shift was pressed three times with no other key in between, so also while somebody writes. */
  leaveOnShift() {
    const { two, one } = this.presses.dataset;
    const texts = ["", two, one, ""];
    let count = 0;
    let alone = false;
    let timer = 0;
    const show = (presses) => {
      count = presses;
      this.presses.textContent = texts[count];
    };
    const forget = () => {
      alone = false;
      clearTimeout(timer);
      show(0);
    };
    document.addEventListener("keydown", (event) => {
      if (event.key === "Shift") alone = true;
      else forget();
    });
    document.addEventListener("pointerdown", forget);
    document.addEventListener("keyup", (event) => {
      if (event.key !== "Shift" || !alone) return;
      alone = false;
      if (count === 0) timer = setTimeout(forget, WITHIN_MS);
      show(count + 1);
      if (count === PRESSES) this.leave();
    });
  }
}

/** Make every exit link of the page leave without a trace in the history. */
export function startQuickExit() {
  const links = document.querySelectorAll("[data-quick-exit]");
  if (links.length) new QuickExit(links).start();
}
