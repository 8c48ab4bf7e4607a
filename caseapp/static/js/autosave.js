// Saves a form one second after typing stops and when the page is hidden. The server keeps the draft; the browser keeps nothing.
// A form is sent only once its words are saved: a failed page would take them with it.
import { HoldQuestions } from "./hold-questions.js";
import { markSaved, markUnsaved, whenLeaving } from "./leave-warning.js";
import { sendWords } from "./token.js";

const PAUSE_MS = 1000;
const LONGEST_RETRY_MS = 30000;
// Browsers let a request outlive its page only up to 64 KB.
const LARGEST_KEEPALIVE_BYTES = 60000;

// A form may bring texts of its own, in the language of what is written in it.
const TEXTS = {
  saving: "Saving…",
  saved: "Saved at {time}",
  again: "Not saved. Trying again…",
  signedOut: "You’re signed out. Sign in again in a new tab; your text stays here.",
  elsewhere: "Not saved. A newer version was saved in another window.",
  invalid: "Not saved. {why}",
  closed: "",
};

const TROUBLE = new Set(["error", "offline"]);

/** The saving of one form: what is unsaved, what is on its way, and what the person is told. */
class Autosave {
  constructor(form) {
    this.form = form;
    this.status = document.querySelector("[data-save-state]");
    // It takes the focus when a form is held, so that it is seen and read out wherever it stands.
    this.status.tabIndex = -1;
    this.conflict = form.querySelector("[data-conflict]");
    this.keepButton = this.conflict.querySelector("[data-keep]");
    this.version = form.elements.namedItem("version");
    this.texts = { ...TEXTS, ...JSON.parse(form.dataset.texts || "{}") };
    this.unsaved = false;
    this.waiting = false;
    // The page's token is of no use any more: only sending the form brings a page with a new one, and the words in it.
    this.expired = false;
    this.request = null;
    // Whether a save was asked for while another one was on its way.
    this.saveNext = false;
    this.timer = 0;
    this.retry = PAUSE_MS;
    // In a conflict nothing is sent by itself: only the person can say which text is to stay.
    this.stopped = !this.conflict.hidden;
    // The server puts both texts together; a page that it has sent back shows them already.
    this.merges = false;
    this.questions = new HoldQuestions(form, () => {
      this.unsaved = true;
      this.save();
    });
  }

  start() {
    if (this.stopped) {
      markUnsaved(this.form);
      this.offerToKeep();
    }
    this.keepButton.addEventListener("click", () => (this.merges ? this.merge() : this.keepOurs()));
    this.form.addEventListener("input", () => {
      this.unsaved = true;
      this.saveLater(PAUSE_MS);
    });
    this.form.addEventListener("submit", (event) => this.submit(event));
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.saveHidden();
    });
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key !== "s") return;
      event.preventDefault();
      this.unsaved = true;
      this.save();
    });
    addEventListener("online", () => this.save());
    whenLeaving(() => this.saveAll());
  }

  /** Show a state in words. Trouble and its end are announced; the saves in between are only shown. */
  show(state, text) {
    const routine = ![state, this.status.dataset.state].some((each) => TROUBLE.has(each));
    this.status.setAttribute("aria-live", routine ? "off" : "polite");
    this.status.dataset.state = state;
    this.status.querySelector("[data-save-text]").textContent = text;
  }

  saveLater(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), milliseconds);
  }

  /** Save what is unsaved; while a save is on its way, as soon as that one has ended. */
  save() {
    if (!this.unsaved || this.stopped) return;
    if (this.request) {
      this.saveNext = true;
      return;
    }
    this.unsaved = false;
    clearTimeout(this.timer);
    this.show("saving", this.texts.saving);
    this.request = this.send()
      .catch(() => this.tryAgain(this.texts.again))
      .finally(() => {
        const again = this.saveNext;
        this.request = null;
        this.saveNext = false;
        if (again) this.save();
      });
  }

  /** Save while the page is hidden and perhaps goes away: a level that waits for an answer is saved as it is. */
  saveHidden() {
    if (this.questions.isOpen) {
      this.questions.takeAll();
      this.unsaved = true;
    }
    this.saveAll();
  }

  /** Save what was typed until now; what was typed while a save was on its way needs one more. */
  async saveAll() {
    if (this.request) await this.request;
    this.save();
    await this.request;
  }

  async send() {
    const body = new URLSearchParams(this.questions.settle(new FormData(this.form)));
    const keepalive = document.visibilityState === "hidden" && body.toString().length < LARGEST_KEEPALIVE_BYTES;
    const response = await sendWords(this.form.dataset.autosave, body, "autosave", { keepalive });
    const isJson = (response.headers.get("Content-Type") || "").startsWith("application/json");
    this.take(response, isJson && response.status !== 401 ? await response.json() : {});
  }

  /** Act on the server's answer. */
  take(response, answer) {
    this.expired = response.status === 400;
    if (response.ok) {
      this.version.value = answer.version;
      // The form is compared with what is saved now, should it be sent after somebody else has saved.
      if (answer.form_key) this.form.elements.namedItem("form_key").value = answer.form_key;
      this.retry = PAUSE_MS;
      if (!this.unsaved && !this.questions.isOpen) markSaved(this.form);
      if (answer.opened_hold) this.tellOfHold();
      this.show("saved", this.texts.saved.replace("{time}", () => answer.saved));
    } else if (response.status === 401) {
      this.tryAgain(this.texts.signedOut);
    } else if (answer.code === "stale") {
      this.showConflict(answer);
    } else if (answer.code === "invalid") {
      this.unsaved = true;
      this.show("error", this.texts.invalid.replace("{why}", () => Object.values(answer.fields)[0][0]));
    } else if (response.status === 404 || response.status === 409) {
      this.unsaved = true;
      this.stopped = true;
      const why = answer.message || "It can no longer be changed.";
      this.show("error", this.texts.closed || `Not saved. ${why}`);
    } else {
      this.tryAgain(this.texts.again);
    }
  }

  /** Show that what was saved has opened a hold. */
  tellOfHold() {
    const notice = this.form.querySelector("[data-opened-hold]");
    notice.hidden = false;
    notice.focus();
  }

  tryAgain(text) {
    this.unsaved = true;
    this.show(navigator.onLine ? "error" : "offline", text);
    this.retry = Math.min(this.retry * 2, LONGEST_RETRY_MS);
    this.saveLater(this.retry);
  }

  /** Show both texts after somebody saved a newer one, and stop until the person chooses. */
  showConflict(answer) {
    this.unsaved = true;
    this.stopped = true;
    this.conflict.querySelector("[data-theirs]").textContent = answer.saved;
    this.conflict.querySelector("[data-ours]").textContent = answer.sent;
    const fromWindow = this.conflict.querySelector("[data-window]");
    const fromFile = this.conflict.querySelector("[data-read]");
    if (fromWindow) fromWindow.hidden = false;
    if (fromFile) fromFile.hidden = true;
    this.merges = true;
    this.keepButton.textContent = this.keepButton.dataset.merge;
    this.offerToKeep();
    this.show("error", this.texts.elsewhere);
  }

  offerToKeep() {
    this.conflict.hidden = false;
    this.keepButton.hidden = false;
    this.conflict.querySelector("[data-no-script]").hidden = true;
  }

  /** Send the form as it is: the server answers with both texts in it, field by field. */
  merge() {
    if (!navigator.onLine) {
      this.show("offline", this.texts.again);
      return;
    }
    this.unsaved = false;
    this.stopped = false;
    this.form.requestSubmit();
  }

  keepOurs() {
    this.conflict.hidden = true;
    this.unsaved = true;
    this.stopped = false;
    this.save();
  }

  /** Save before the form is sent; hold it while that fails, and say why. */
  async submit(event) {
    const { submitter } = event;
    if (this.questions.isOpen && !submitter?.hasAttribute("data-deletes-draft")) {
      event.preventDefault();
      this.questions.focus();
      return;
    }
    // Deleting a draft needs no save, and no connection would be no help.
    const deletes = submitter?.hasAttribute("data-deletes-draft") && navigator.onLine;
    if (deletes || !(this.unsaved || this.request || this.stopped || this.waiting)) {
      clearTimeout(this.timer);
      this.unsaved = false;
      return;
    }
    event.preventDefault();
    // Of two clicks the first one counts.
    if (this.waiting) return;
    this.waiting = true;
    await this.saveAll();
    this.waiting = false;
    if (this.expired) this.unsaved = false;
    if (!this.unsaved && !this.stopped) this.form.requestSubmit(submitter);
    else this.status.focus();
  }
}

/** Save the form of the page that asks for it, if there is one. */
export function startAutosave() {
  const form = document.querySelector("form[data-autosave]");
  if (form) new Autosave(form).start();
}
