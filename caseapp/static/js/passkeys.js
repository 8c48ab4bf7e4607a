// Shows the buttons for passkeys where the browser knows them: each makes or reads one and sends its form.

/** A button with what the passkey is asked (`data-passkey`), and the name of the field for its answer. */
class PasskeyButton {
  constructor(button) {
    this.button = button;
    this.form = button.form;
    this.failed = this.form.querySelector("[data-passkey-failed]");
  }

  start() {
    this.form.querySelector("[data-passkey-otherwise]").hidden = true;
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.use());
  }

  async use() {
    const asked = JSON.parse(this.button.dataset.passkey);
    // A new passkey can't be taken back by us: nothing of its form may be missing.
    if (asked.rp && !this.form.reportValidity()) return;
    this.failed.hidden = true;
    try {
      const found = await (asked.rp ? make(asked) : read(asked));
      this.form.elements.namedItem(this.button.dataset.answer).value = JSON.stringify(found.toJSON());
    } catch {
      // Also when the person has closed the browser's dialog.
      this.failed.hidden = false;
      return;
    }
    this.form.requestSubmit();
  }
}

function make(asked) {
  return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked) });
}

function read(asked) {
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked) });
}

/** Show every button for passkeys, unless this browser can't make or read one from our texts. */
export function startPasskeys() {
  if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) return;
  for (const button of document.querySelectorAll("[data-passkey]")) new PasskeyButton(button).start();
}
