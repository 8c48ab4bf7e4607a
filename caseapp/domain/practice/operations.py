"""Operations on the practice: set up, change settings and logo, confirm and add help lines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core import settings
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.practice.models import NEUTRAL_SITE, Practice, PracticeHelpLine, PracticeLogo
from caseapp.domain.practice.queries import get_practice, today
from caseapp.domain.practice.retention import (
    VERSION,
    RetentionChange,
    check_retention,
    list_shortened,
)

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.practice.schemas import NewHelpLine, PracticeChange

FACTOR_ROLES = ["admin", "supervisor"]
"""Who must have a second factor in a practice that has just been set up; a demo or a test asks nobody."""


def set_up_practice(
    name: str = "Our practice", country: str = "GB", zone: str = "Europe/London"
) -> None:
    """Create the practice's row unless it exists; part of `caseapp init`."""
    if db.session.scalar(sa.select(Practice.id)) is None:
        db.session.add(
            Practice(
                id=1,
                name=name,
                tagline="Separation and relationship coaching",
                country=country,
                zone=zone,
                exit_url=NEUTRAL_SITE,
                second_factor_roles=FACTOR_ROLES if settings.active().env == "production" else [],
                updated_at=now(),
            )
        )
        db.session.flush()


def update_practice(actor: Actor, change: PracticeChange, expected_version: int) -> None:
    """Update the practice's settings; after a change of country or region the help lines need confirming again.

    Raises Stale when somebody else changed them first.
    """
    require(actor, Action.PRACTICE_EDIT)
    practice = get_practice()
    set_committed_value(practice, "version", expected_version)
    fields = [name for name, value in asdict(change).items() if getattr(practice, name) != value]
    for name in fields:
        setattr(practice, name, getattr(change, name))
    if {"country", "region"} & set(fields):
        practice.help_lines_confirmed_on = practice.help_lines_confirmed_by = None
    practice.updated_at = now()
    db.session.flush()
    record(actor, Action.PRACTICE_EDIT, "practice", details={"fields": fields})


def update_retention(actor: Actor, change: RetentionChange, expected_version: int) -> None:
    """Update for how long the practice keeps records.

    Nothing is destroyed by it. The log keeps why periods became shorter. Raises Invalid, see `check_retention`, and
    Stale when somebody else changed the settings first.
    """
    require(actor, Action.PRACTICE_EDIT)
    practice = get_practice()
    before = RetentionChange(
        practice.retention_profile, practice.retention_years, practice.retention_reason
    )
    check_retention(change, before)
    shortened = list_shortened(before, change)
    set_committed_value(practice, "version", expected_version)
    practice.retention_profile = change.profile
    practice.retention_years, practice.retention_reason = dict(change.years), change.reason
    practice.updated_at = now()
    db.session.flush()
    details: dict[str, Any] = {
        "retention": change.profile,
        "years": dict(change.years),
        "version": VERSION,
    }
    if shortened:
        # The next change replaces the reason in the settings.
        details |= {"before": before.profile, "shorter": shortened, "reason": change.reason}
    record(actor, Action.PRACTICE_EDIT, "practice", details=details)


def set_logo(actor: Actor, picture: bytes, alternative: str) -> None:
    """Set or replace the logo; `picture` is a PNG made by `core.images.make_logo`."""
    require(actor, Action.PRACTICE_EDIT)
    db.session.merge(PracticeLogo(id=1, picture=picture, alternative=alternative, updated_at=now()))
    db.session.flush()
    record(actor, Action.PRACTICE_EDIT, "practice", details={"logo": "set"})


def remove_logo(actor: Actor) -> None:
    """Remove the logo, if there is one."""
    require(actor, Action.PRACTICE_EDIT)
    logo = db.session.get(PracticeLogo, 1)
    if logo is not None:
        db.session.delete(logo)
        db.session.flush()
        record(actor, Action.PRACTICE_EDIT, "practice", details={"logo": "removed"})


def confirm_help_lines(actor: Actor) -> None:
    """Record that the actor checked every help line today."""
    require(actor, Action.PRACTICE_EDIT)
    practice = get_practice()
    practice.help_lines_confirmed_on = today()
    practice.help_lines_confirmed_by = actor.id
    db.session.flush()
    record(actor, Action.PRACTICE_EDIT, "practice", details={"help_lines": "confirmed"})


def add_help_line(actor: Actor, line: NewHelpLine) -> UUID:
    """Add a local help line and return its id."""
    require(actor, Action.PRACTICE_EDIT)
    row = PracticeHelpLine(**asdict(line), created_at=now(), created_by=actor.id)
    db.session.add(row)
    db.session.flush()
    record(actor, Action.PRACTICE_EDIT, "help_line", row.id, details={"added": line.kind})
    return row.id


def remove_help_line(actor: Actor, line_id: UUID) -> None:
    """Remove a local help line.

    Raises NotFound.
    """
    require(actor, Action.PRACTICE_EDIT)
    row = db.session.get(PracticeHelpLine, line_id)
    if row is None:
        raise NotFound
    db.session.delete(row)
    record(actor, Action.PRACTICE_EDIT, "help_line", line_id, details={"removed": row.kind})
