"""Operations on alerts: raise, pass on, acknowledge, and change whom they reach."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require, worker
from caseapp.core.clock import now
from caseapp.core.database import db, run, run_for_each
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.ids import new_id
from caseapp.core.outbox import Task
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_code
from caseapp.domain.alerts.models import Alert, AlertRecipient, AlertStep
from caseapp.domain.alerts.queries import LockedAlert, find_address
from caseapp.domain.alerts.recipients import (
    Escalation,
    as_staff_member,
    get_alert_setting,
    get_escalation,
)
from caseapp.domain.alerts.rules import (
    READABLE_FOR,
    ends_alert,
    list_deputy_faults,
    list_due_steps,
    list_manager_faults,
    list_people,
    list_positions,
    list_second_people,
    plan_steps,
)
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import ALERTED
from caseapp.domain.clients.memberships import end_memberships, join_for
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import take_lock_of_owner
from caseapp.domain.clients.visibility import in_role
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import list_users
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.alerts.schemas import AlertSettingsChange, StaffContact
    from caseapp.domain.clients.queries import LockedClient

ALERT_STEP = "alert_step"
ALERT_MAIL = "alert_mail"
UNKNOWN = "Choose one of the options."
INSERT_ALERT = sa.insert(Alert.__table__)  # type: ignore[arg-type]
INSERT_STEPS = sa.insert(AlertStep.__table__)  # type: ignore[arg-type]
INSERT_RECIPIENTS = sa.insert(AlertRecipient.__table__)  # type: ignore[arg-type]


def raise_alert(actor: Actor, client: LockedClient, kind: str, escalation: Escalation) -> UUID:
    """Alert everybody who must know what a kind of alert says, in the transaction that makes it so.

    The first steps are taken at once; each later one is stored as a task with its due time. The actor, who knows, is
    not alerted. `escalation` is whom alerts about the client reach, read after the client's lock.
    """
    require(actor, Action.ALERT_SEND)
    alert = Alert(id=new_id(), client_id=client.id, opened_at=now(), opened_by=actor.id)
    run(
        INSERT_ALERT,
        id=alert.id,
        client_id=client.id,
        kind=seal_code("alert", "kind", alert.id, kind, client.key),
        opened_at=alert.opened_at,
        opened_by=actor.id,
    )
    due = plan_steps(kind, alert.opened_at, escalation.times, escalation.zone)
    tasks = [
        Task(ALERT_STEP, {"alert": alert.id.hex, "step": step}, due_at)
        for step, due_at in due.items()
        if due_at is not None and due_at > alert.opened_at
    ]
    taken, _ = _take_due_steps(actor, alert, due, (), escalation, set(), tasks)
    rows = [
        {
            "alert_id": alert.id,
            "step": step,
            "due_at": due_at,
            "taken_at": now() if step in taken else None,
        }
        for step, due_at in due.items()
    ]
    run_for_each(INSERT_STEPS, rows)
    return alert.id


def escalate(alert_id: UUID) -> None:
    """Take the steps of an alert that are due, unless it is acknowledged; doing it again does nothing."""
    take_lock_of_owner(Alert.id, alert_id)
    alert = db.session.get_one(Alert, alert_id)
    if alert.acknowledged_at is None:
        _escalate(worker(), alert, get_escalation(alert.client_id))


def readdress_alerts(actor: Actor, client_id: UUID) -> set[UUID]:
    """Let the alerts about a locked client that nobody has acknowledged reach whoever is responsible now.

    In the transaction that makes them so. Whoever no step names any more has the alerts no longer. Returns whom the
    alerts have reached.
    """
    db.session.flush()
    waiting = db.session.scalars(
        sa.select(Alert)
        .where(Alert.client_id == client_id, Alert.acknowledged_at.is_(None))
        .order_by(Alert.id)
    ).all()
    if not waiting:
        return set()
    escalation = get_escalation(client_id)
    return {user_id for alert in waiting for user_id in _escalate(actor, alert, escalation)}


def _escalate(actor: Actor, alert: Alert, escalation: Escalation) -> set[UUID]:
    """Compare whom an alert has reached with whom it has to reach now; return whom it has reached then."""
    found = db.session.scalars(sa.select(AlertStep).where(AlertStep.alert_id == alert.id))
    steps = {step.step: step for step in found}
    received = sa.select(AlertRecipient.user_id).where(AlertRecipient.alert_id == alert.id)
    recipients = set(db.session.scalars(received))
    taken, reached = _take_due_steps(
        actor,
        alert,
        {code: step.due_at for code, step in steps.items()},
        {code for code, step in steps.items() if step.taken_at is not None},
        escalation,
        recipients,
    )
    for code in taken:
        steps[code].taken_at = now()
    db.session.flush()
    return reached


def enqueue_waiting_alerts() -> None:
    """Enqueue the steps of every alert that nobody has acknowledged.

    Whoever has been named or enabled since is alerted then, and a step whose task was given up is taken.
    """
    _enqueue_steps(sa.select(Alert.id).where(Alert.acknowledged_at.is_(None)))


def enqueue_alerts_of(user_id: UUID) -> None:
    """Enqueue the steps of every alert that waits for somebody who has left, so that others are alerted at once."""
    waiting = (
        sa.select(Alert.id)
        .join(AlertRecipient, AlertRecipient.alert_id == Alert.id)
        .where(AlertRecipient.user_id == user_id, Alert.acknowledged_at.is_(None))
    )
    _enqueue_steps(waiting)


def _enqueue_steps(alerts: sa.Select[UUID]) -> None:
    found = db.session.scalars(alerts).all()
    outbox.enqueue_all([Task(ALERT_STEP, {"alert": alert_id.hex}, now()) for alert_id in found])


def _take_due_steps(
    actor: Actor,
    alert: Alert,
    due: Mapping[str, datetime | None],
    taken: Collection[str],
    escalation: Escalation,
    recipients: set[UUID],
    tasks: Sequence[Task] = (),
) -> tuple[list[str], set[UUID]]:
    """Take the due steps of an alert whose client is locked: store whom they alert, and enqueue their emails.

    `due` is when each step is due, `taken` are those that were taken before. `recipients` are those whom earlier steps
    have alerted: whoever no step names any more is removed. `tasks` are enqueued with the emails. Returns the steps to
    store as taken, and whom the alert has reached then.
    """
    team, manager = escalation.team, escalation.manager
    coaches = {member.coach.id for member in team}
    people = {step: {person.id for person in list_people(step, team, manager)} for step in due}
    removed = recipients - list_positions(team, manager)
    told = (recipients - removed) | {alert.opened_by}
    chosen = list_due_steps(
        due,
        taken,
        people,
        told,
        list_second_people(team, manager),
        now(),
        alert.opened_at,
    )
    reached = recipients - removed
    added: dict[UUID, str] = {}
    for code in chosen:
        added |= dict.fromkeys(sorted(people[code] - told), code)
        told |= people[code]
    mails = [Task(ALERT_MAIL, {"alert": alert.id.hex, "user": who.hex}) for who in added]
    outbox.enqueue_all([*tasks, *mails])
    if not chosen and not removed:
        return [], reached
    if added:
        reached.update(added)
        rows = [{"alert_id": alert.id, "user_id": who, "step": code} for who, code in added.items()]
        run_for_each(INSERT_RECIPIENTS, rows)
    for user_id in sorted(added.keys() - coaches):
        join_for(alert.client_id, user_id, ALERTED)
    if removed:
        _remove_recipients(alert, removed)
    details = {"steps": chosen, "people": len(reached)}
    record(actor, Action.ALERT_SEND, "alert", alert.id, client_id=alert.client_id, details=details)
    return chosen, reached


def _remove_recipients(alert: Alert, removed: Collection[UUID]) -> None:
    """Take an alert from people whom none of its steps names any more; what it let them read ends at once."""
    db.session.execute(
        sa.delete(AlertRecipient)
        .where(AlertRecipient.alert_id == alert.id, AlertRecipient.user_id.in_(removed))
        .execution_options(synchronize_session="fetch")
    )
    _end_memberships(alert.client_id, removed, now())


def send_alert_mail(alert_id: UUID, user_id: UUID) -> bool:
    """Mail one person that an alert waits for them, naming nobody and no reason; return whether it was sent.

    Nothing is sent once somebody has acknowledged the alert.
    """
    return send_staff_mail(find_address(alert_id, user_id), "alert", {"link": urls.alerts_url()})


def acknowledge_alert(actor: Actor, alert: LockedAlert) -> None:
    """Acknowledge an alert, which ends it for everybody; acknowledging it again changes nothing.

    That of a client's coach ends a safety alert for the coach only, unless a second person has opened it: it is passed
    on until one knows.
    """
    require(actor, Action.ALERT_ACKNOWLEDGE)
    row, moment = alert.row, now()
    if row.acknowledged_at is not None or alert.recipient.acknowledged_at is not None:
        return
    alert.recipient.acknowledged_at = moment
    is_ended = ends_alert(alert.kind, actor.id, row.opened_by, alert.coaches, alert.second_people)
    if is_ended:
        row.acknowledged_at, row.acknowledged_by = moment, actor.id
    db.session.flush()
    if is_ended:
        received = sa.select(AlertRecipient.user_id).where(AlertRecipient.alert_id == row.id)
        people = db.session.scalars(received).all()
        _end_memberships(row.client_id, people, moment + READABLE_FOR)
    # Whether it has ended would tell of which kind it is.
    record(actor, Action.ALERT_ACKNOWLEDGE, "alert", row.id, client_id=row.client_id)


def _end_memberships(client_id: UUID, people: Collection[UUID], ends_at: datetime) -> None:
    """Let what alerts about a client let people read end, unless another alert about the client waits for them."""
    waiting = (
        sa.select(AlertRecipient.user_id)
        .join(Alert, Alert.id == AlertRecipient.alert_id)
        .where(Alert.client_id == client_id, Alert.acknowledged_at.is_(None))
    )
    left = (
        CareTeamMember.client_id == client_id,
        in_role(CareTeamMember, ALERTED),
        CareTeamMember.user_id.in_(people),
        CareTeamMember.user_id.not_in(waiting),
    )
    end_memberships(left, ends_at)


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
