// Starts every enhancement that the page asks for by its data attributes. Every page works without this file.
import { startAutosave } from "./autosave.js";
import { startCounters } from "./counters.js";
import { startDrafts } from "./drafts.js";
import { startErrorSummary } from "./error-summary.js";
import { startLeaveWarning } from "./leave-warning.js";
import { startPasskeys } from "./passkeys.js";
import { startPreview } from "./preview.js";
import { startProgress } from "./progress.js";
import { startQuickExit } from "./quick-exit.js";
import { startSession } from "./session.js";
import { startShortcuts } from "./shortcuts.js";
import { startSnippets } from "./snippets.js";

startShortcuts();
startQuickExit();
startErrorSummary();
startLeaveWarning();
startAutosave();
startCounters();
startDrafts();
startSession();
startPasskeys();
startPreview();
startProgress();
startSnippets();
