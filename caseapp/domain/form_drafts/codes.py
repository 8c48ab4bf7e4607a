"""How long form drafts are kept, and how many."""

from __future__ import annotations

from datetime import timedelta

STAFF_RETENTION = timedelta(days=7)
"""How long a draft of a member of staff is kept after its last change."""
CLIENT_RETENTION = timedelta(hours=24)
"""How long what a client typed in the portal is kept after its last change; somebody else may use the same device."""
REPLACED = "#replaced"
"""Marks the address of a form under which the texts are kept that its author has replaced after a conflict."""
MAX_BYTES = 256 * 1024
"""Largest size of one form's words, in bytes of JSON."""
MAX_DRAFTS = 50
"""Largest number of drafts kept for one person; the oldest give way."""
