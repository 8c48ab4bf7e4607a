// Tells whether somebody is typing, so that shortcuts stay out of the way.

/** Return whether an element takes text from the keyboard. */
export function takesText(element) {
  return Boolean(element) && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName));
}
