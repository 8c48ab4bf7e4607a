// Starts every enhancement that the page asks for by its data attributes. Every page works without this file.
import { startAutosave } from "./autosave.js";
import { startErrorSummary } from "./error-summary.js";
import { startPreview } from "./preview.js";
import { startProgress } from "./progress.js";
import { startQuickExit } from "./quick-exit.js";
import { startShortcuts } from "./shortcuts.js";

startShortcuts();
startQuickExit();
startErrorSummary();
startAutosave();
startPreview();
startProgress();
