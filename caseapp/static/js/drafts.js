// Keeps the words of forms that are not sent yet, two seconds after typing stops and when the page is hidden.
// A form is sent only once its words are kept: a failed page would take them with it.
import { markSaved, whenLeaving } from "./leave-warning.js";
import { sendWords } from "./token.js";

const PAUSE_MS = 2000;
const LONGEST_RETRY_MS = 30000;
const PAUSE_WHEN_TOO_OFTEN_MS = 1000;
// Browsers let a request outlive its page only up to 64 KB.
const LARGEST_KEEPALIVE_BYTES = 60000;
// The form may be sent: its words are kept, or the server takes them as they are or keeps them itself.
const SENDABLE = new Set(["kept", "large", "signedOut", "expired"]);

/** The words of one form: what the server has not got yet, and what the person is told. */
class FormDraft {
  constructor(form) {
    this.form = form;
    this.status = form.querySelector("[data-draft-state]");
    this.unsaved = false;
    this.state = "kept";
    this.request = null;
    this.timer = 0;
    this.retry = PAUSE_MS;
    this.waiting = false;
    this.sending = false;
  }

  start() {
    this.form.addEventListener("input", () => {
      this.unsaved = true;
      this.keepLater(PAUSE_MS);
    });
    this.form.addEventListener("submit", (event) => this.submit(event));
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.keepAll();
    });
    addEventListener("online", () => this.keep());
    whenLeaving(() => this.keepAll());
  }

  keepLater(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), milliseconds);
  }

  /** Send the words to the server, unless it has them; one request at a time, so that an older one never comes last. */
  keep() {
    if (!this.unsaved || this.request || this.sending) return;
    this.unsaved = false;
    clearTimeout(this.timer);
    this.request = this.send()
      .catch(() => "failed")
      .then((state) => this.take(state))
      .finally(() => {
        this.request = null;
      });
  }

  /** Keep what was typed until now; what was typed while a request was on its way needs one more. */
  async keepAll() {
    if (this.request) await this.request;
    this.keep();
    await this.request;
  }

  async send() {
    const words = [...new FormData(this.form)].filter(([, value]) => typeof value === "string");
    const body = new URLSearchParams(words);
    const keepalive = document.visibilityState === "hidden" && body.toString().length < LARGEST_KEEPALIVE_BYTES;
    const { status } = await sendWords(this.form.dataset.draft, body, "draft", { keepalive });
    if (status === 429) {
      await new Promise((resolve) => {
        setTimeout(resolve, PAUSE_WHEN_TOO_OFTEN_MS);
      });
      return this.send();
    }
    if (status === 401) return "signedOut";
    if (status === 400) return "expired";
    if (status === 413) return "large";
    if (status === 409) return "refused";
    return status === 204 ? "kept" : "failed";
  }

  /** Note what became of the words: kept, too large, or to be tried again. */
  take(state) {
    this.state = state;
    this.status.textContent = this.status.dataset[state];
    this.status.dataset.state = SENDABLE.has(state) ? "saved" : "error";
    if (state === "kept") {
      this.retry = PAUSE_MS;
      if (!this.unsaved) markSaved(this.form);
      return;
    }
    this.unsaved = true;
    if (state === "refused") return;
    this.retry = Math.min(this.retry * 2, LONGEST_RETRY_MS);
    this.keepLater(this.retry);
  }

  /** Keep the words before the form is sent; hold it while that fails. */
  async submit(event) {
    if (this.sending || !(this.unsaved || this.request || this.waiting)) return;
    event.preventDefault();
    // Of two clicks the first one counts.
    if (this.waiting) return;
    this.waiting = true;
    const { submitter } = event;
    await this.keepAll();
    this.waiting = false;
    if (!SENDABLE.has(this.state)) {
      this.status.focus();
      return;
    }
    this.sending = true;
    this.unsaved = false;
    clearTimeout(this.timer);
    this.form.requestSubmit(submitter);
    this.sending = false;
  }
}

/** Keep the words of every declared form of the page. */
export function startDrafts() {
  for (const form of document.querySelectorAll("form[data-draft]")) new FormDraft(form).start();
}
