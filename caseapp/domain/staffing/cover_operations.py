"""Operations of cover: arrange it, write what the colleague should know about a client, and end it early."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run_for_each
from caseapp.core.errors import Invalid, refuse_for
from caseapp.core.ids import new_id
from caseapp.core.outbox import Task
from caseapp.core.permissions import Action
from caseapp.core.vault import seal
from caseapp.domain.alerts.operations import readdress_alerts
from caseapp.domain.alerts.recipients import as_staff_member
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import COVER
from caseapp.domain.clients.memberships import INSERT_MEMBERSHIP, end_memberships
from caseapp.domain.clients.models import CareTeamMember, Cover, CoveredClient
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.practice.queries import get_practice_info, today
from caseapp.domain.staffing.cover_rules import (
    ENDED,
    list_client_faults,
    list_colleague_faults,
    list_denied_faults,
    list_first_day_faults,
    list_last_day_faults,
)
from caseapp.domain.users.models import User
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.staffing.cover_queries import (
        LockedCaseload,
        LockedCover,
        LockedCoveredClient,
    )
    from caseapp.domain.staffing.cover_schemas import CoverableClient, NewCover

COVER_ALERTS = "cover_alerts"
COVER_MAIL = "cover_mail"
INSERT_COVERED = sa.insert(CoveredClient.__table__)  # type: ignore[arg-type]


def arrange_cover(actor: Actor, caseload: LockedCaseload, wanted: NewCover) -> UUID:
    """Let a colleague cover for a coach for some days, and return the id of the cover.

    From the first day, or from now on, until the last day is over the colleague sees the chosen clients and works with
    them; the alerts about them reach both. Nothing has to run for access to begin or end. Raises Invalid for somebody
    who can't cover, for a period that can't be, and for a client whom they must not see or cover already in it.
    """
    require(actor, Action.COVER)
    colleague = db.session.scalar(
        sa.select(User).where(User.id == wanted.user_id).with_for_update(read=True, key_share=False)
    )
    person = as_staff_member(colleague) if colleague else None
    # Before anything is computed with the days, which may be the first or the last ones that there are.
    _refuse_fields(
        {
            "user_id": list_colleague_faults(person, caseload.coach_id),
            "starts_on": list_first_day_faults(wanted.starts_on, today()),
            "ends_on": list_last_day_faults(wanted.starts_on, wanted.ends_on),
        }
    )
    starts_at = max(_begin_of(wanted.starts_on), now())
    ends_at = _begin_of(wanted.ends_on + timedelta(days=1))
    chosen = _choose(caseload, wanted)
    names = {one.number or one.client for one in chosen}
    overlapping = caseload.list_overlapping(wanted.user_id, starts_at, ends_at)
    must_not_see = names & set(caseload.list_denied(wanted.user_id))
    _refuse_fields(
        {
            "clients": [
                *list_client_faults([name for name in overlapping if name in names]),
                *list_denied_faults(sorted(must_not_see)),
            ],
        }
    )
    cover = Cover(
        id=new_id(),
        coach_id=caseload.coach_id,
        user_id=wanted.user_id,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=now(),
        created_by=actor.id,
    )
    db.session.add(cover)
    db.session.flush()
    run_for_each(
        INSERT_COVERED,
        [
            {"id": new_id(), "cover_id": cover.id, "client_id": one.client_id, "version": 1}
            for one in chosen
        ],
    )
    period = {"starts_at": starts_at, "ends_at": ends_at, "created_by": actor.id}
    run_for_each(
        INSERT_MEMBERSHIP,
        [
            {"user_id": cover.user_id, "client_id": one.client_id, "role": COVER, "reason": ""}
            | period
            for one in chosen
        ],
    )
    payload = {"cover": cover.id.hex}
    outbox.enqueue_all(
        [
            *(Task(COVER_ALERTS, payload, moment) for moment in (starts_at, ends_at)),
            *([] if cover.user_id == actor.id else [Task(COVER_MAIL, payload, starts_at)]),
        ]
    )
    _record(actor, cover, (one.client_id for one in chosen), "arranged")
    return cover.id


def _refuse_fields(faults: dict[str, list[Reason]]) -> None:
    found = {
        name: [f"{reason.message} {reason.way_out}" for reason in reasons]
        for name, reasons in faults.items()
        if reasons
    }
    if found:
        raise Invalid(found)


def _begin_of(day: date) -> datetime:
    zone = ZoneInfo(get_practice_info().practice.zone)
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _choose(caseload: LockedCaseload, wanted: NewCover) -> list[CoverableClient]:
    """Return the chosen clients.

    Raises Invalid when one of them is not among those of the coach, or there is none.
    """
    chosen = [one for one in caseload.clients if wanted.all or one.client_id in wanted.clients]
    unknown = set(wanted.clients) - {one.client_id for one in caseload.clients}
    if unknown or not chosen:
        raise Invalid({"clients": ["Choose clients of this coach."]})
    return chosen


def write_line(actor: Actor, covered: LockedCoveredClient, line: str, version: int) -> None:
    """Write what whoever covers should know about a client, or remove it.

    Raises Stale when the line has changed since `version`.
    """
    require(actor, Action.COVER)
    row = covered.row
    set_committed_value(row, "version", version)
    row.line = seal(row, "line", line or None, covered.client.key)
    db.session.flush()
    record(actor, Action.COVER, "client", row.client_id, client_id=row.client_id)


def end_cover(actor: Actor, cover: LockedCover) -> None:
    """End a cover now: the colleague sees its clients no longer.

    Raises RuleBroken when it has already ended.
    """
    require(actor, Action.COVER)
    row, moment = cover.row, now()
    refuse_for([ENDED] if row.ends_at <= moment else [])
    end_memberships(
        (
            CareTeamMember.client_id.in_(cover.client_ids),
            CareTeamMember.user_id == row.user_id,
            CareTeamMember.role == COVER,
            CareTeamMember.starts_at == row.starts_at,
            CareTeamMember.ends_at == row.ends_at,
        ),
        moment,
    )
    row.ends_at = moment
    db.session.flush()
    outbox.enqueue(COVER_ALERTS, {"cover": row.id.hex})
    _record(actor, row, cover.client_ids, "ended")


def end_covers_by(actor: Actor, user_id: UUID) -> None:
    """End every cover by a member of staff whose account is locked, also those that have not begun.

    The coaches for whom they cover read it on Today until the day until which they were to be covered.
    """
    moment = now()
    covers = db.session.scalars(
        sa.select(Cover)
        .where(Cover.user_id == user_id, Cover.ends_at > moment)
        .order_by(Cover.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    ends = {cover.id: list_covered_ids(cover.id) for cover in covers}
    end_memberships(
        (
            CareTeamMember.user_id == user_id,
            CareTeamMember.role == COVER,
            CareTeamMember.ends_at > moment,
        ),
        moment,
    )
    for cover in covers:
        cover.planned_end_at, cover.ends_at = cover.ends_at, moment
        _record(actor, cover, ends[cover.id], "ended")
    db.session.flush()
    outbox.enqueue_all([Task(COVER_ALERTS, {"cover": cover.id.hex}) for cover in covers])


def send_cover_mail(cover_id: UUID) -> bool:
    """Mail somebody that they cover for a coach now, naming nobody, unless it has ended; return whether it was sent."""
    address = db.session.scalar(
        sa.select(User.email)
        .join(Cover, Cover.user_id == User.id)
        .where(Cover.id == cover_id, Cover.ends_at > now(), User.disabled_at.is_(None))
    )
    return send_staff_mail(address, "cover", {"link": urls.today_url()})


def _record(actor: Actor, cover: Cover, client_ids: Iterable[UUID], what: str) -> None:
    details = {"from": cover.coach_id.hex, "to": cover.user_id.hex, what: True}
    for client_id in client_ids:
        record(actor, Action.COVER, "client", client_id, client_id=client_id, details=details)


def readdress_covered(actor: Actor, client_id: UUID) -> None:
    """Let the alerts about a client reach whoever covers now, and no longer whoever does not."""
    take_client_lock(client_id)
    readdress_alerts(actor, client_id)


def list_covered_ids(cover_id: UUID) -> list[UUID]:
    """List the clients of a cover."""
    ids = sa.select(CoveredClient.client_id).where(CoveredClient.cover_id == cover_id)
    return [*db.session.scalars(ids.order_by(CoveredClient.client_id))]
