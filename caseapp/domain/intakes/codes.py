"""How many intakes wait, how long they are kept, and what of them a supervisor reads."""

from __future__ import annotations

from datetime import timedelta

KEPT_FOR = timedelta(days=30)
"""How long an intake is kept after it was sent to a supervisor; nobody may have become a client. Awaiting sign-off."""
NOTICED_FOR = timedelta(days=7)
"""How long Today says that a supervisor has decided, unless the case is opened first. Awaiting sign-off."""
MOST_WAITING = 10
"""How many intakes of one person may wait at a time. Awaiting sign-off."""
COMPARED = ("name", "preferred_name", "partner_name", "email", "phone")
"""The fields by which an intake is compared with other records, see `clients.matches.Identity`."""
SHOWN = (*COMPARED, "birth_year")
"""The fields that a supervisor reads in order to decide; everything else is for the coach who entered it."""
