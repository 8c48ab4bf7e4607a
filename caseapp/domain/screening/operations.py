"""Done: a screening recorded with everything it demands, flags raised and lowered, holds cleared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.queries import get_client, key_of, lock_client, must_see
from caseapp.domain.followups.operations import demand
from caseapp.domain.screening.models import Flag, Hold, Screening
from caseapp.domain.screening.protocol import Demands, demanded
from caseapp.domain.screening.queries import get_hold, what_keeps

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.screening.schemas import NewScreening


def record_screening(
    actor: Actor, client_id: UUID, new: NewScreening, *, note_id: UUID | None = None
) -> UUID:
    """Record a screening and, in the same transaction, open the holds, flags and tasks that it demands.

    A second urgent screening joins the hold that is open already and adds its reasons. Raises NotFound, and Invalid
    when nothing was asked at all.
    """
    require(actor, Action.SCREENING_RECORD)
    must_see(actor, client_id)
    lock_client(client_id)
    if all(level is None for level in new.levels.values()):
        raise Invalid(
            {"levels": ["Record at least one answer; “Not asked” alone is no screening."]}
        )
    row = Screening(
        id=new_id(),
        client_id=client_id,
        at=now(),
        recorded_by=actor.id,
        note_id=note_id,
        asked_alone=new.asked_alone,
        actions_taken=list(new.actions_taken),
        **new.levels,
    )
    row.comment = seal(row, "comment", new.comment or None, key_of(client_id))
    db.session.add(row)
    db.session.flush()
    demands = demanded(new.levels, row.at)
    for flag in sorted(demands.flags):
        put_flag(actor, client_id, flag, source="screening")
    # Tasks belong to the strictest hold that asks for them; a mere recheck keeps no hold open.
    held = [_hold(actor, client_id, kind, reasons) for kind, reasons in _reasons(demands, new, row)]
    demand(
        actor,
        client_id,
        demands.tasks,
        assigned_to=actor.id,
        origin_kind="hold" if held else "screening",
        origin_id=held[-1] if held else row.id,
    )
    record(
        actor,
        Action.SCREENING_RECORD,
        "screening",
        row.id,
        client_id=client_id,
        details={"holds": sorted(demands.holds), "flags": sorted(demands.flags)},
    )
    return row.id


def _reasons(
    demands: Demands, new: NewScreening, row: Screening
) -> list[tuple[str, list[dict[str, object]]]]:
    return [
        (
            kind,
            [{"item": key, "level": new.levels[key], "screening": str(row.id)} for key in keys],
        )
        for kind, keys in sorted(demands.holds.items())
    ]


def _hold(actor: Actor, client_id: UUID, kind: str, reasons: list[dict[str, object]]) -> UUID:
    hold = db.session.scalar(
        sa.select(Hold)
        .where(Hold.client_id == client_id, Hold.kind == kind, Hold.cleared_at.is_(None))
        .with_for_update()
    )
    if hold is None:
        hold = Hold(
            client_id=client_id, kind=kind, opened_at=now(), opened_by=actor.id, reasons=reasons
        )
        db.session.add(hold)
    else:
        hold.reasons = [*hold.reasons, *reasons]
    db.session.flush()
    record(actor, Action.HOLD_OPEN, "hold", hold.id, client_id=client_id, details={"kind": kind})
    return hold.id


def put_flag(actor: Actor, client_id: UUID, kind: str, *, source: str) -> bool:
    """Raise a flag unless it is up already; tell whether it is new. Callers have let the actor in."""
    lock_client(client_id)
    up = db.session.scalar(
        sa.select(Flag.id).where(
            Flag.client_id == client_id, Flag.kind == kind, Flag.lowered_at.is_(None)
        )
    )
    if up is not None:
        return False
    flag = Flag(client_id=client_id, kind=kind, source=source, raised_at=now(), raised_by=actor.id)
    db.session.add(flag)
    db.session.flush()
    record(actor, Action.FLAG_RAISE, "flag", flag.id, client_id=client_id, details={"kind": kind})
    return True


def raise_flag(actor: Actor, client_id: UUID, kind: str) -> None:
    """Raise a flag by hand; raising it twice changes nothing.

    Raises NotFound.
    """
    require(actor, Action.FLAG_RAISE)
    get_client(actor, client_id)
    put_flag(actor, client_id, kind, source="person")


def lower_flag(actor: Actor, flag_id: UUID, reason: str) -> None:
    """Lower a flag with a written reason; a supervisor's decision.

    Raises NotFound, and RuleBroken when it is down already.
    """
    require(actor, Action.FLAG_LOWER)
    flag = db.session.get(Flag, flag_id)
    if flag is None:
        raise NotFound
    must_see(actor, flag.client_id)
    if flag.lowered_at is not None:
        raise RuleBroken(Reason("already_lowered", "This flag is already down."))
    flag.lowered_at = now()
    flag.lowered_by = actor.id
    flag.lower_reason = seal(flag, "lower_reason", reason, key_of(flag.client_id))
    db.session.flush()
    record(
        actor,
        Action.FLAG_LOWER,
        "flag",
        flag.id,
        client_id=flag.client_id,
        details={"kind": flag.kind},
    )


def clear_hold(actor: Actor, hold_id: UUID, reason: str, expected_version: int) -> None:
    """End a hold with a written reason, once nothing keeps it any more; a supervisor's decision.

    Raises NotFound, RuleBroken with everything that still keeps it, Stale when it changed meanwhile.
    """
    require(actor, Action.HOLD_CLEAR)
    hold = get_hold(actor, hold_id)
    if hold.cleared_at is not None:
        raise RuleBroken(Reason("already_cleared", "This hold has already ended."))
    if reasons := what_keeps(hold, actor):
        raise RuleBroken(*reasons)
    set_committed_value(hold, "version", expected_version)
    hold.cleared_at = now()
    hold.cleared_by = actor.id
    hold.clear_reason = seal(hold, "clear_reason", reason, key_of(hold.client_id))
    db.session.flush()
    record(
        actor,
        Action.HOLD_CLEAR,
        "hold",
        hold.id,
        client_id=hold.client_id,
        details={"kind": hold.kind},
    )
