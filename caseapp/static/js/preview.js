// Shows a handout draft as a page while it is written. The server renders it and makes it safe.

const PAUSE_MS = 500;

/** Show the preview of the editor's form, if the page has one. */
export function startPreview() {
  const form = document.querySelector("form[data-preview]");
  if (!form) return;
  const pane = form.querySelector("[data-preview-pane]");
  const status = form.querySelector("[data-preview-state]");
  let timer = 0;
  let requests = 0;

  async function show() {
    requests += 1;
    const request = requests;
    const response = await fetch(form.dataset.preview, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { "X-Requested-With": "preview" },
    });
    if (!response.ok) throw new Error("no preview");
    const html = await response.text();
    // A later request is on its way: its answer is the one to show.
    if (request !== requests) return;
    pane.innerHTML = html;
    status.textContent = "";
  }

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      show().catch(() => {
        status.textContent = "The preview can’t be updated right now. Keep typing to try again.";
      });
    }, PAUSE_MS);
  });
}
