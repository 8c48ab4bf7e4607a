"""Operations on screenings, flags and holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal
from caseapp.domain.alerts.codes import KINDS
from caseapp.domain.alerts.operations import raise_alert
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.operations import withdraw_contact_confirmation
from caseapp.domain.clients.rules import UNSAFE_FLAGS
from caseapp.domain.followups.operations import create_required_followups
from caseapp.domain.followups.queries import find_newest_episode
from caseapp.domain.screening.models import Flag, Hold, Screening
from caseapp.domain.screening.rules import (
    RequiredActions,
    check_clear_flag,
    check_release,
    derive_required_actions,
    starts_episode,
)

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.queries import LockedHold
    from caseapp.domain.screening.schemas import NewScreening


def record_screening(
    actor: Actor, client: LockedClient, new: NewScreening, *, note_id: UUID | None = None
) -> UUID:
    """Record a screening with the holds, flags and tasks that it requires, in one transaction.

    When a hold of the required kind is already open, the reasons are added to it. Raises Invalid when no question was
    asked.
    """
    require(actor, Action.SCREENING_RECORD)
    if all(level is None for level in new.levels.values()):
        raise Invalid({"levels": ["Record at least one answer other than “Not asked”."]})
    row = Screening(
        id=new_id(),
        client_id=client.id,
        recorded_at=now(),
        recorded_by=actor.id,
        note_id=note_id,
        asked_alone=new.asked_alone,
        actions_taken=list(new.actions_taken),
        **new.levels,
    )
    row.comment = seal(row, "comment", new.comment or None, client.key)
    db.session.add(row)
    db.session.flush()
    required = derive_required_actions(new.levels, row.recorded_at)
    for flag in sorted(required.flags):
        ensure_flag(actor, client, flag, source="screening")
    is_new = starts_episode(new.levels, required.holds, _list_held_items(client))
    # The tasks belong to the strictest hold. A recheck alone belongs to the screening, so it blocks no release.
    hold_ids = [
        _open_hold(actor, client, kind, reasons)
        for kind, reasons in _hold_reasons(required, new, row)
    ]
    if required.holds:
        # One alert, of the most urgent kind.
        raise_alert(actor, client, min(required.holds, key=KINDS.index))
    create_required_followups(
        actor,
        client,
        required.tasks,
        assigned_to=actor.id,
        origin_kind="hold" if hold_ids else "screening",
        origin_id=hold_ids[-1] if hold_ids else row.id,
        episode_id=row.id if is_new else find_newest_episode(hold_ids[-1]) if hold_ids else None,
    )
    record(
        actor,
        Action.SCREENING_RECORD,
        "screening",
        row.id,
        client_id=client.id,
        details={"holds": sorted(required.holds), "flags": sorted(required.flags)},
    )
    return row.id


def _list_held_items(client: LockedClient) -> dict[str, set[str]]:
    """List the items for which each kind of a client's holds is open."""
    is_open = sa.and_(Hold.client_id == client.id, Hold.released_at.is_(None))
    found = db.session.execute(sa.select(Hold.kind, Hold.reasons).where(is_open))
    return {row.kind: {reason["item"] for reason in row.reasons} for row in found}


def _hold_reasons(
    required: RequiredActions, new: NewScreening, row: Screening
) -> list[tuple[str, list[dict[str, object]]]]:
    return [
        (
            kind,
            [{"item": key, "level": new.levels[key], "screening": str(row.id)} for key in keys],
        )
        for kind, keys in sorted(required.holds.items())
    ]


def _open_hold(
    actor: Actor, client: LockedClient, kind: str, reasons: list[dict[str, object]]
) -> UUID:
    hold = db.session.scalar(
        sa.select(Hold).where(
            Hold.client_id == client.id, Hold.kind == kind, Hold.released_at.is_(None)
        )
    )
    if hold is None:
        hold = Hold(
            client_id=client.id, kind=kind, opened_at=now(), opened_by=actor.id, reasons=reasons
        )
        db.session.add(hold)
    else:
        hold.reasons = [*hold.reasons, *reasons]
    db.session.flush()
    record(actor, Action.HOLD_OPEN, "hold", hold.id, client_id=client.id, details={"kind": kind})
    return hold.id


def ensure_flag(actor: Actor, client: LockedClient, kind: str, *, source: str) -> bool:
    """Set a flag unless it is already set, and tell whether it is new.

    A flag that makes sending unsafe also withdraws the confirmation of the safe ways of contact.
    """
    if kind in UNSAFE_FLAGS:
        withdraw_contact_confirmation(client)
    active = db.session.scalar(
        sa.select(Flag.id).where(
            Flag.client_id == client.id, Flag.kind == kind, Flag.cleared_at.is_(None)
        )
    )
    if active is not None:
        return False
    flag = Flag(client_id=client.id, kind=kind, source=source, set_at=now(), set_by=actor.id)
    db.session.add(flag)
    db.session.flush()
    record(actor, Action.FLAG_SET, "flag", flag.id, client_id=client.id, details={"kind": kind})
    return True


def set_manual_flag(actor: Actor, client: LockedClient, kind: str) -> None:
    """Set a flag by hand; setting it again changes nothing."""
    require(actor, Action.FLAG_SET)
    ensure_flag(actor, client, kind, source="person")


def clear_flag(actor: Actor, client: LockedClient, flag_id: UUID, reason: str) -> None:
    """Clear a client's flag with a written reason; supervisors only.

    Raises NotFound, or RuleBroken when it is already cleared.
    """
    require(actor, Action.FLAG_CLEAR)
    flag = db.session.get(Flag, flag_id)
    if flag is None or flag.client_id != client.id:
        raise NotFound
    check_clear_flag(client, flag)
    flag.cleared_at = now()
    flag.cleared_by = actor.id
    flag.clear_reason = seal(flag, "clear_reason", reason, client.key)
    db.session.flush()
    record(
        actor,
        Action.FLAG_CLEAR,
        "flag",
        flag.id,
        client_id=flag.client_id,
        details={"kind": flag.kind},
    )


def release_hold(actor: Actor, locked: LockedHold, reason: str, version: int) -> None:
    """Release a hold with a written reason when nothing blocks it; supervisors only.

    Raises RuleBroken with every blocker, or Stale when the hold has changed since `version`.
    """
    require(actor, Action.HOLD_RELEASE)
    check_release(actor, locked)
    hold = locked.hold
    set_committed_value(hold, "version", version)
    hold.released_at = now()
    hold.released_by = actor.id
    hold.release_reason = seal(hold, "release_reason", reason, locked.key)
    db.session.flush()
    record(
        actor,
        Action.HOLD_RELEASE,
        "hold",
        hold.id,
        client_id=hold.client_id,
        details={"kind": hold.kind},
    )
