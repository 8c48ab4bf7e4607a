// Warns two minutes before the session ends, and says when it has ended. A page of the portal closes then.
import { hasUnsavedWords } from "./leave-warning.js";
import { sendWords } from "./token.js";

const WARNING_MS = 120000;
// Timers may fire a little early.
const SHORTEST_WAIT_MS = 1000;

/** The session behind one page. The server is asked before anything is shown, since other pages use the session too. */
class SessionWatch {
  constructor(element) {
    this.element = element;
    this.address = element.dataset.session;
    this.warning = element.querySelector("[data-session-warning]");
    this.over = element.querySelector("[data-session-over]");
    this.closes = Boolean(document.querySelector("[data-quick-exit]"));
    this.timer = 0;
  }

  start() {
    this.plan(Number(this.element.dataset.seconds) * 1000);
    this.warning.querySelector("form").addEventListener("submit", (event) => this.stay(event));
    this.over.querySelector("[data-session-resume]").addEventListener("click", (event) => this.resume(event.target));
    this.over.addEventListener("cancel", (event) => {
      // On a page that has closed there is nothing behind the dialog.
      if (this.closes) event.preventDefault();
    });
    document.addEventListener("visibilitychange", () => {
      // A sleeping device stops the timers, and another page may have signed out.
      if (document.visibilityState === "visible" && !this.over.open) this.look();
    });
    new BroadcastChannel("session").addEventListener("message", () => this.look());
  }

  plan(left) {
    this.endsAt = Date.now() + left;
    clearTimeout(this.timer);
    const wait = left > WARNING_MS ? left - WARNING_MS : left;
    this.timer = setTimeout(() => this.look(), Math.max(wait, SHORTEST_WAIT_MS));
  }

  /** Ask the server how many milliseconds are left: none when nobody or somebody else is signed in now. */
  async ask(body = null) {
    const response = body ?
      await sendWords(this.address, body, "session") :
      await fetch(this.address, { headers: { "X-Requested-With": "session" } });
    if (response.status === 401) return 0;
    if (!response.ok) throw new Error(`status ${response.status}`);
    const { seconds, person } = await response.json();
    return person === this.element.dataset.person ? seconds * 1000 : 0;
  }

  /** Warn, close or wait on, by what the server says; without an answer, by what it said last. */
  async look() {
    const left = await this.ask().catch(() => this.endsAt - Date.now());
    if (left <= 0) {
      this.end();
      return;
    }
    this.plan(left);
    if (left > WARNING_MS) this.warning.close();
    else if (!this.warning.open) this.warning.showModal();
  }

  /** Use the session, so that it lasts longer. */
  async stay(event) {
    event.preventDefault();
    const { failed, limit } = event.submitter.dataset;
    const said = this.warning.querySelector("[data-session-failed]");
    said.textContent = "";
    try {
      const left = await this.ask(new URLSearchParams(new FormData(event.target)));
      if (left <= 0) {
        this.end();
        return;
      }
      this.plan(left);
      if (left > WARNING_MS) this.warning.close();
      else said.textContent = limit;
    } catch {
      said.textContent = failed;
    }
  }

  /** The session has ended: a page of the portal closes, unless it holds words that nobody has saved; they are hidden. */
  end() {
    clearTimeout(this.timer);
    this.warning.close();
    if (this.over.open) return;
    if (this.closes) {
      this.cover();
      if (!hasUnsavedWords()) {
        location.replace(this.element.dataset.start);
        return;
      }
    }
    this.over.showModal();
  }

  cover() {
    this.title = document.title;
    document.title = "\u00a0";
    this.covered = [...document.body.children].filter((each) => each !== this.element && !each.hidden);
    for (const each of this.covered) each.hidden = true;
  }

  uncover() {
    document.title = this.title;
    for (const each of this.covered) each.hidden = false;
  }

  /** Go on after the same person has signed in again in another tab. */
  async resume(button) {
    const left = await this.ask().catch(() => 0);
    this.over.querySelector("[data-session-failed]").textContent = left > 0 ? "" : button.dataset.failed;
    if (left <= 0) return;
    if (this.closes) this.uncover();
    this.over.close();
    this.plan(left);
  }
}

/** Watch the session of the page. A page without one has the other pages of this browser look whether theirs lasts. */
export function startSession() {
  const element = document.querySelector("[data-session]");
  if (element) new SessionWatch(element).start();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel stays within its origin
  else new BroadcastChannel("session").postMessage("ended");
}
