// A form that came back with errors starts at its summary, which links to each field.

/** Focus the error summary, if the page has one. */
export function startErrorSummary() {
  document.querySelector(".error-summary")?.focus();
}
