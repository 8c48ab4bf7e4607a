// Asks, in place, whether a level or a circumstance is right before it is saved where saving it opens a safety hold.

// Long enough to go on to the next level with the arrow keys.
const PAUSE_MS = 1000;

const CHOICES = "input[type=radio], input[type=checkbox]";

function listChosen(choices) {
  return [...choices].filter((choice) => choice.checked).map((choice) => choice.value);
}

/** The questions of one form: which fields wait for an answer, and what is saved meanwhile. */
export class HoldQuestions {
  constructor(form, save) {
    this.form = form;
    this.save = save;
    // By name of the field: what was chosen before the answer that waits.
    this.before = new Map();
    this.waiting = new Set();
    this.timer = 0;
    for (const question of form.querySelectorAll("[data-hold-question]")) this.follow(question);
  }

  follow(question) {
    const item = question.parentElement;
    const choices = item.querySelectorAll(CHOICES);
    const { name } = choices[0];
    this.before.set(name, listChosen(choices));
    item.addEventListener("input", ({ target }) => {
      if (target.matches(CHOICES)) this.choose(question, choices);
    });
    question.querySelector("[data-yes]").addEventListener("click", () => {
      this.close(question, choices);
      this.save();
    });
    question.querySelector("[data-change]").addEventListener("click", () => {
      const before = this.before.get(name);
      for (const choice of choices) choice.checked = before.includes(choice.value);
      this.close(question, choices);
      this.save();
    });
  }

  /** Ask about answers that open a hold; the focus follows once the person stops choosing. */
  choose(question, choices) {
    const { name } = choices[0];
    const before = this.before.get(name);
    clearTimeout(this.timer);
    const asks = [...choices].some(
      (choice) => choice.checked && choice.hasAttribute("data-opens-hold") && !before.includes(choice.value),
    );
    question.hidden = !asks;
    if (!asks) {
      this.waiting.delete(name);
      this.before.set(name, listChosen(choices));
      return;
    }
    this.waiting.add(name);
    this.timer = setTimeout(() => {
      if (question.parentElement.contains(document.activeElement)) question.focus();
    }, PAUSE_MS);
  }

  close(question, choices) {
    clearTimeout(this.timer);
    question.hidden = true;
    this.waiting.delete(choices[0].name);
    this.before.set(choices[0].name, listChosen(choices));
    ([...choices].find((choice) => choice.checked) ?? choices[0]).focus();
  }

  /** Tell whether a field waits for an answer. */
  get isOpen() {
    return this.waiting.size > 0;
  }

  /** Return what is saved: of a field that waits, what was chosen before. */
  settle(data) {
    for (const name of this.waiting) {
      data.delete(name);
      for (const value of this.before.get(name)) data.append(name, value);
    }
    return data;
  }

  /** Take the answers that wait as they are: the page goes away, and nobody can be asked. */
  takeAll() {
    for (const question of this.form.querySelectorAll("[data-hold-question]:not([hidden])")) {
      const choices = question.parentElement.querySelectorAll(CHOICES);
      question.hidden = true;
      this.before.set(choices[0].name, listChosen(choices));
    }
    this.waiting.clear();
  }

  /** Move the focus to the first question that waits. */
  focus() {
    this.form.querySelector("[data-hold-question]:not([hidden])").focus();
  }
}
