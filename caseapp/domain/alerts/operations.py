"""Operations on alerts: raise, pass on, acknowledge, and change whom they reach."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require, worker
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal
from caseapp.domain.alerts.models import Alert, AlertRecipient, AlertStep
from caseapp.domain.alerts.queries import (
    Escalation,
    LockedAlert,
    as_staff_member,
    find_address,
    get_alert_setting,
    get_escalation,
    list_unreached_alerts,
)
from caseapp.domain.alerts.rules import (
    READABLE_FOR,
    ends_alert,
    list_deputy_faults,
    list_due_steps,
    list_manager_faults,
    list_people,
    plan_steps,
)
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import ALERTED
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.operations import join_for
from caseapp.domain.clients.queries import take_lock_of_owner
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import list_users
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.alerts.schemas import AlertSettingsChange, StaffContact
    from caseapp.domain.clients.queries import LockedClient

ALERT_STEP = "alert_step"
ALERT_MAIL = "alert_mail"
UNKNOWN = "Choose one of the options."


def raise_alert(actor: Actor, client: LockedClient, kind: str) -> UUID:
    """Alert everybody who must know what a kind of alert says, in the transaction that makes it so.

    The first steps are taken at once; each later one is stored as a task with its due time. The actor, who knows, is
    not alerted.
    """
    require(actor, Action.ALERT_SEND)
    escalation = get_escalation(client.id)
    alert = Alert(id=new_id(), client_id=client.id, opened_at=now(), opened_by=actor.id)
    sealed = seal(alert, "kind", kind, client.key)
    assert sealed is not None  # noqa: S101 - the text is not None
    alert.kind = sealed
    db.session.add(alert)
    db.session.flush()
    due = plan_steps(kind, alert.opened_at, escalation.times, escalation.zone)
    steps = [AlertStep(alert_id=alert.id, step=step, due_at=due_at) for step, due_at in due.items()]
    db.session.add_all(steps)
    for step in steps:
        if step.due_at is not None and step.due_at > alert.opened_at:
            task = {"alert": alert.id.hex, "step": step.step}
            outbox.enqueue(ALERT_STEP, task, due_at=step.due_at)
    _take_due_steps(actor, alert, steps, escalation, {actor.id}, {actor.id})
    return alert.id


def escalate(alert_id: UUID) -> None:
    """Take the steps of an alert that are due, unless it is acknowledged; doing it again does nothing."""
    take_lock_of_owner(Alert.id, alert_id)
    alert = db.session.get_one(Alert, alert_id)
    if alert.acknowledged_at is not None:
        return
    steps = db.session.scalars(sa.select(AlertStep).where(AlertStep.alert_id == alert_id)).all()
    received = sa.select(AlertRecipient.user_id).where(AlertRecipient.alert_id == alert_id)
    people = db.session.execute(
        sa.select(User.id, User.disabled_at).where(
            sa.or_(User.id.in_(received), User.id == alert.opened_by)
        )
    ).all()
    told = {found.id for found in people}
    knowing = {found.id for found in people if found.disabled_at is None}
    _take_due_steps(worker(), alert, steps, get_escalation(alert.client_id), told, knowing)


def enqueue_unreached_alerts() -> None:
    """Enqueue the steps of every alert that nobody has acknowledged and of which only the client's coaches know.

    Whoever is named or enabled later is alerted then.
    """
    for alert_id in list_unreached_alerts():
        outbox.enqueue(ALERT_STEP, {"alert": alert_id.hex}, due_at=now())


def enqueue_alerts_of(user_id: UUID) -> None:
    """Enqueue the steps of every alert that waits for somebody who has left, so that others are alerted at once."""
    waiting = (
        sa.select(Alert.id)
        .join(AlertRecipient, AlertRecipient.alert_id == Alert.id)
        .where(AlertRecipient.user_id == user_id, Alert.acknowledged_at.is_(None))
    )
    for alert_id in db.session.scalars(waiting).all():
        outbox.enqueue(ALERT_STEP, {"alert": alert_id.hex}, due_at=now())


def alert_new_coach(client_id: UUID, leaver_id: UUID, user_id: UUID) -> int:
    """Let the alerts about a locked client that still wait reach a new coach instead of another; return how many."""
    waiting = db.session.scalars(
        sa.select(Alert.id).where(Alert.client_id == client_id, Alert.acknowledged_at.is_(None))
    ).all()
    for alert_id in waiting:
        if db.session.get(AlertRecipient, (alert_id, user_id)) is None:
            db.session.add(AlertRecipient(alert_id=alert_id, user_id=user_id, step="coach"))
            outbox.enqueue(ALERT_MAIL, {"alert": alert_id.hex, "user": user_id.hex})
    db.session.flush()
    db.session.execute(
        sa.delete(AlertRecipient).where(
            AlertRecipient.alert_id.in_(waiting), AlertRecipient.user_id == leaver_id
        )
    )
    return len(waiting)


def _take_due_steps(
    actor: Actor,
    alert: Alert,
    steps: Sequence[AlertStep],
    escalation: Escalation,
    told: set[UUID],
    knowing: set[UUID],
) -> None:
    """Take the due steps of an alert whose client is locked: store whom they alert, and enqueue their emails.

    `told` are those whom earlier steps have alerted and whoever opened it, `knowing` those with an active account.
    """
    coaches = {member.coach.id for member in escalation.team}
    people = {
        step.step: {
            person.id for person in list_people(step.step, escalation.team, escalation.manager)
        }
        - told
        for step in steps
    }
    chosen = list_due_steps(
        {step.step: step.due_at for step in steps},
        {step.step for step in steps if step.taken_at is not None},
        people,
        knowing,
        coaches,
        now(),
        alert.opened_at,
    )
    if not chosen:
        return
    by_code = {step.step: step for step in steps}
    for code in chosen:
        by_code[code].taken_at = now()
        for user_id in sorted(people[code] - told):
            db.session.add(AlertRecipient(alert_id=alert.id, user_id=user_id, step=code))
            outbox.enqueue(ALERT_MAIL, {"alert": alert.id.hex, "user": user_id.hex})
            if user_id not in coaches:
                join_for(alert.client_id, user_id, ALERTED)
        told |= people[code]
    db.session.flush()
    details = {"steps": chosen, "people": len(told - {alert.opened_by})}
    record(actor, Action.ALERT_SEND, "alert", alert.id, client_id=alert.client_id, details=details)


def send_alert_mail(alert_id: UUID, user_id: UUID) -> bool:
    """Mail one person that an alert waits for them, naming nobody and no reason; return whether it was sent.

    Nothing is sent once somebody has acknowledged the alert.
    """
    return send_staff_mail(find_address(alert_id, user_id), "alert", {"link": urls.alerts_url()})


def acknowledge_alert(actor: Actor, alert: LockedAlert) -> None:
    """Acknowledge an alert, which ends it for everybody; acknowledging it again changes nothing.

    That of a client's coach ends a safety alert for the coach only: it is passed on until a second person knows.
    """
    require(actor, Action.ALERT_ACKNOWLEDGE)
    row, moment = alert.row, now()
    if row.acknowledged_at is not None or alert.recipient.acknowledged_at is not None:
        return
    alert.recipient.acknowledged_at = moment
    is_ended = ends_alert(alert.kind, actor.id, alert.coaches)
    if is_ended:
        row.acknowledged_at, row.acknowledged_by = moment, actor.id
    db.session.flush()
    if is_ended:
        _end_memberships(row, moment + READABLE_FOR)
    record(
        actor,
        Action.ALERT_ACKNOWLEDGE,
        "alert",
        row.id,
        client_id=row.client_id,
        details=None if is_ended else {"by": "coach"},
    )


def _end_memberships(alert: Alert, ends_at: datetime) -> None:
    """Let the memberships of whoever an alert has reached end, unless another alert about the client waits for them."""
    waiting = (
        sa.select(AlertRecipient.user_id)
        .join(Alert, Alert.id == AlertRecipient.alert_id)
        .where(Alert.client_id == alert.client_id, Alert.acknowledged_at.is_(None))
    )
    received = sa.select(AlertRecipient.user_id).where(AlertRecipient.alert_id == alert.id)
    db.session.execute(
        sa.update(CareTeamMember)
        .where(
            CareTeamMember.client_id == alert.client_id,
            CareTeamMember.role == ALERTED,
            CareTeamMember.user_id.in_(received),
            CareTeamMember.user_id.not_in(waiting),
        )
        .values(ends_at=ends_at)
        .execution_options(synchronize_session=False)
    )


def update_alert_settings(actor: Actor, change: AlertSettingsChange, expected_version: int) -> None:
    """Change the manager and the times of alerts.

    Raises Invalid unless the manager is an active supervisor, and Stale when they have changed since.
    """
    require(actor, Action.PRACTICE_EDIT)
    staff = {user.id: as_staff_member(user) for user in list_users()}
    manager = staff.get(change.manager_id) if change.manager_id else None
    faults = list_manager_faults(manager)
    if faults or (manager is None and change.manager_id is not None):
        raise Invalid({"manager_id": [str(fault.message) for fault in faults] or [UNKNOWN]})
    setting = get_alert_setting()
    set_committed_value(setting, "version", expected_version)
    values = {"manager_id": change.manager_id, **asdict(change.times)}
    changed = [name for name, value in values.items() if getattr(setting, name) != value]
    for name in changed:
        setattr(setting, name, values[name])
    db.session.flush()
    record(actor, Action.PRACTICE_EDIT, "alert_setting", details={"fields": changed})


def update_staff_contact(
    actor: Actor, user_id: UUID, contact: StaffContact, expected_version: int
) -> None:
    """Change how a member of staff is reached, and who is their deputy.

    Raises NotFound, Invalid unless the deputy may be one, and Stale when the account has changed since.
    """
    require(actor, Action.PRACTICE_EDIT)
    staff = {user.id: as_staff_member(user) for user in list_users()}
    if user_id not in staff:
        raise NotFound
    deputy = staff.get(contact.deputy_id) if contact.deputy_id else None
    faults = list_deputy_faults(staff[user_id], deputy)
    if faults or (deputy is None and contact.deputy_id is not None):
        raise Invalid({"deputy_id": [str(fault.message) for fault in faults] or [UNKNOWN]})
    user = db.session.get_one(User, user_id)
    set_committed_value(user, "version", expected_version)
    values = asdict(contact)
    changed = [name for name, value in values.items() if getattr(user, name) != value]
    for name in changed:
        setattr(user, name, values[name])
    db.session.flush()
    record(actor, Action.PRACTICE_EDIT, "user", user_id, details={"fields": changed})
