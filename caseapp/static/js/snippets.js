// Puts a snippet at the cursor of the section that was written in last. Without one, the button sends the form as it does without a script.

/** Let the buttons of snippets write into the section that last had the cursor; a selected text stays, before the snippet. */
export function startSnippets() {
  const buttons = document.querySelectorAll("[data-snippet]");
  if (!buttons.length) return;
  const { form } = buttons[0];
  let field = null;
  form.addEventListener("focusin", (event) => {
    if (event.target.matches(".note-field textarea")) field = event.target;
  });
  for (const button of buttons) {
    button.addEventListener("click", (event) => {
      if (!field) return;
      event.preventDefault();
      field.setRangeText(button.dataset.snippet, field.selectionEnd, field.selectionEnd, "end");
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.focus();
    });
  }
}
