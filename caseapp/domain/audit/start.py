"""What an application looks at before it serves: that the log goes on, and that nobody can change it by way of it."""

from __future__ import annotations

import structlog

from caseapp.core import settings
from caseapp.core.database import db
from caseapp.core.database_roles import WAY_OUT, list_stray_rights
from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.audit.checkpoints import list_folder_faults, list_rollback_faults
from caseapp.domain.audit.tombstones import list_tombstone_faults

log = structlog.get_logger()


def refuse_unsafe_start() -> None:
    """Refuse a database that isn't the one of the checkpoints or holds erased records, and a role with too many rights.

    Checkpoints and tombstones have to be writable too.

    The last only in production: elsewhere such a role is only logged. Raises RuleBroken.
    """
    stray = list_stray_rights(db.session.connection())
    if settings.active().env == "production":
        faults = [Reason("stray_rights", text, WAY_OUT) for text in stray]
    else:
        faults = []
        if stray:
            log.warning("database.stray_rights", count=len(stray))
    refuse_for([*list_folder_faults(), *list_rollback_faults(), *list_tombstone_faults(), *faults])
