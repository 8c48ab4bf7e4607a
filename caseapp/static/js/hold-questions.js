// Asks, in place, whether a level is right before it is saved where saving it opens a safety hold.

// Long enough to go on to the next level with the arrow keys.
const PAUSE_MS = 1000;

/** The questions of one form: which levels wait for an answer, and what is saved meanwhile. */
export class HoldQuestions {
  constructor(form, save) {
    this.form = form;
    this.save = save;
    // By name of the item: the level that was chosen before the one that waits.
    this.before = new Map();
    this.waiting = new Set();
    this.timer = 0;
    for (const question of form.querySelectorAll("[data-hold-question]")) this.follow(question);
  }

  follow(question) {
    const item = question.parentElement;
    const choices = item.querySelectorAll("input[type=radio]");
    const { name } = choices[0];
    this.before.set(name, this.chosen(choices)?.value ?? null);
    item.addEventListener("input", ({ target }) => {
      if (target.type === "radio") this.choose(question, target);
    });
    question.querySelector("[data-yes]").addEventListener("click", () => {
      this.close(question, this.chosen(choices));
      this.save();
    });
    question.querySelector("[data-change]").addEventListener("click", () => {
      const before = [...choices].find((choice) => choice.value === this.before.get(name));
      for (const choice of choices) choice.checked = choice === before;
      this.close(question, before ?? choices[0]);
      this.save();
    });
  }

  chosen(choices) {
    return [...choices].find((choice) => choice.checked);
  }

  /** Ask about a level that opens a hold; the focus follows once the person stops choosing. */
  choose(question, choice) {
    const { name, value } = choice;
    clearTimeout(this.timer);
    const asks = choice.hasAttribute("data-opens-hold") && value !== this.before.get(name);
    question.hidden = !asks;
    if (!asks) {
      this.waiting.delete(name);
      this.before.set(name, value);
      return;
    }
    this.waiting.add(name);
    this.timer = setTimeout(() => {
      if (question.parentElement.contains(document.activeElement)) question.focus();
    }, PAUSE_MS);
  }

  close(question, choice) {
    clearTimeout(this.timer);
    question.hidden = true;
    this.waiting.delete(choice.name);
    this.before.set(choice.name, choice.checked ? choice.value : null);
    choice.focus();
  }

  /** Tell whether a level waits for an answer. */
  get isOpen() {
    return this.waiting.size > 0;
  }

  /** Return what is saved: of a level that waits, the one before. */
  settle(data) {
    for (const name of this.waiting) {
      data.delete(name);
      if (this.before.get(name) !== null) data.set(name, this.before.get(name));
    }
    return data;
  }

  /** Take the levels that wait as they are: the page goes away, and nobody can be asked. */
  takeAll() {
    for (const question of this.form.querySelectorAll("[data-hold-question]:not([hidden])")) {
      const choice = this.chosen(question.parentElement.querySelectorAll("input[type=radio]"));
      question.hidden = true;
      this.before.set(choice.name, choice.value);
    }
    this.waiting.clear();
  }

  /** Move the focus to the first question that waits. */
  focus() {
    this.form.querySelector("[data-hold-question]:not([hidden])").focus();
  }
}
