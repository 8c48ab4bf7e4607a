// Keeps the progress of long work up to date without reloading the page, so that reading and focus are not disturbed.

const INTERVAL_MS = 3000;
const LONGEST_INTERVAL_MS = 30000;

/** Return the region of this page as the server shows it now. */
async function fetchRegion() {
  const response = await fetch(location.href, { headers: { "X-Requested-With": "progress" } });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  return { region: fresh.querySelector("[data-progress]"), title: fresh.title };
}

/** Update the progress region of the page, if it has one, until the work is done. */
export function startProgress() {
  let region = document.querySelector("[data-progress='running']");
  if (!region) return;
  const status = document.querySelector("[data-progress-status]");
  let interval = INTERVAL_MS;

  async function update() {
    try {
      const fresh = await fetchRegion();
      if (!fresh.region) return;
      document.title = fresh.title;
      const done = fresh.region.dataset.progress !== "running";
      const inUse = region.contains(document.activeElement);
      // While work goes on, elements that somebody is using stay; the next update shows the rest.
      if (done || !inUse) {
        region.replaceWith(fresh.region);
        region = fresh.region;
      }
      if (done) {
        if (inUse) {
          region.tabIndex = -1;
          region.focus();
        }
        if (status) status.textContent = region.dataset.progressDone;
        return;
      }
      interval = INTERVAL_MS;
    } catch {
      interval = Math.min(interval * 2, LONGEST_INTERVAL_MS);
    }
    setTimeout(update, interval);
  }

  setTimeout(update, interval);
}
