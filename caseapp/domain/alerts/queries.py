"""Queries for alerts: those of one person, and those of one client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, literal_limit, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.core.vault import unseal_code
from caseapp.domain.alerts.codes import KINDS, STEP_LABELS, STEPS
from caseapp.domain.alerts.models import Alert, AlertRecipient, AlertStep
from caseapp.domain.alerts.recipients import (
    ESCALATION,
    SEPARATOR,
    build_escalation,
    get_escalation,
)
from caseapp.domain.alerts.rules import list_people, list_second_people
from caseapp.domain.alerts.schemas import (
    AlertedClient,
    AlertRecord,
    ClientAlert,
    StaffMember,
    WaitingAlerts,
)
from caseapp.domain.clients.codes import ALERTED, READER
from caseapp.domain.clients.models import CareTeamMember, Client
from caseapp.domain.clients.queries import take_lock_of_owner, unseal_client
from caseapp.domain.clients.visibility import (
    has_role,
    in_role,
    is_visible_to,
    list_only_read,
    looks_after_client,
    select_denied_clients,
)
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.core.vault import DataKey

# How many acknowledged alerts a page shows below those that wait.
MAX_ACKNOWLEDGED = 20


# An alert waits for a person until one who may end it has acknowledged it, or the person.
_WAITING = (Alert.acknowledged_at.is_(None), AlertRecipient.acknowledged_at.is_(None))
_READING_END = sa.select(
    sa.func.max(CareTeamMember.ends_at, type_=CareTeamMember.ends_at.type)
).where(
    CareTeamMember.user_id == sa.bindparam("asks"),
    in_role(CareTeamMember, READER),
    CareTeamMember.client_id.not_in(select_denied_clients(sa.bindparam("asks"))),
)
_COUNT_WAITING = (
    sa.select(
        sa.func.count().label("alerts"),
        sa.func.min(Alert.opened_at, type_=Alert.opened_at.type).label("since"),
        _READING_END.scalar_subquery().label("reading_until"),
    )
    .select_from(AlertRecipient)
    .join(Alert, Alert.id == AlertRecipient.alert_id)
    .where(AlertRecipient.user_id == sa.bindparam("asks"), *_WAITING)
)
_recipient, _taken = aliased(AlertRecipient), aliased(AlertStep)
_ADDRESSED_TO = (
    sa.select(sa.func.aggregate_strings(User.name, SEPARATOR))
    .join(_recipient, _recipient.user_id == User.id)
    .where(_recipient.alert_id == Alert.id)
    .correlate(Alert)
    .scalar_subquery()
)
_LAST_STEP = (
    sa.select(
        sa.func.max(sa.case({step: number for number, step in enumerate(STEPS)}, value=_taken.step))
    )
    .where(_taken.alert_id == Alert.id, _taken.taken_at.is_not(None))
    .correlate(Alert)
    .scalar_subquery()
)


_newest, _acknowledged_by = aliased(Alert), aliased(User)
# Of a client's alerts, the newest that nobody has acknowledged, else the newest.
CLIENT_ALERT = (
    ESCALATION.outerjoin(
        Alert,
        Alert.id
        == sa.select(_newest.id)
        .where(_newest.client_id == sa.bindparam("client_id"))
        .order_by(_newest.acknowledged_at.is_not(None), _newest.opened_at.desc(), _newest.id.desc())
        .limit(literal_limit(1))
        .scalar_subquery(),
    )
    .outerjoin(_acknowledged_by, _acknowledged_by.id == Alert.acknowledged_by)
    .add_columns(
        Alert.opened_at.label("opened_at"),
        Alert.acknowledged_at.label("acknowledged_at"),
        _acknowledged_by.name.label("acknowledged_by_name"),
        _ADDRESSED_TO.label("addressed_to"),
    )
)


def get_client_alert(actor: Actor, client_id: UUID) -> ClientAlert:
    """Return whom to ring about a client, and who knows; access to the client was already checked.

    With one statement. The actor isn't told to ring themselves.
    """
    require(actor, Action.HOLD_READ)
    rows = db.session.execute(CLIENT_ALERT, {"client_id": client_id}).all()
    escalation, first = build_escalation(rows), rows[0]
    people: dict[UUID, tuple[str, StaffMember]] = {}
    for step in STEPS:
        for person in list_people(step, escalation.team, escalation.manager):
            if person.id != actor.id:
                people.setdefault(person.id, (STEP_LABELS[step], person))
    return ClientAlert(
        tuple(people.values()),
        first.opened_at,
        _split_names(first.addressed_to),
        first.acknowledged_at,
        first.acknowledged_by_name or "",
    )


@dataclass(frozen=True)
class LockedAlert:
    """An alert whose client is locked until the transaction ends, read after the lock; only `lock_alert` makes one.

    `recipient` says that the actor has received it; `coaches` are those of the client, and `second_people` whoever else
    an alert about the client would reach now.
    """

    row: Alert
    recipient: AlertRecipient
    kind: str
    coaches: frozenset[UUID]
    second_people: frozenset[UUID]


def lock_alert(actor: Actor, alert_id: UUID) -> LockedAlert:
    """Lock the client of an alert that the actor has received, then load the alert.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.ALERT_READ)
    take_lock_of_owner(Alert.id, alert_id)
    found = db.session.execute(
        sa.select(Alert, AlertRecipient, ClientKey.wrapped)
        .join(AlertRecipient, AlertRecipient.alert_id == Alert.id)
        .join(ClientKey, ClientKey.client_id == Alert.client_id)
        .where(
            Alert.id == alert_id,
            AlertRecipient.user_id == actor.id,
            Alert.client_id.not_in(select_denied_clients(actor.id)),
        )
    ).first()
    if found is None:
        raise NotFound
    row = found.Alert
    escalation = get_escalation(row.client_id)
    kind = _open_kind(row, open_client_key(found.wrapped, row.client_id, "alert", row.id))
    return LockedAlert(
        row,
        found.AlertRecipient,
        kind,
        frozenset(member.coach.id for member in escalation.team),
        frozenset(list_second_people(escalation.team, escalation.manager)),
    )


def _open_kind(alert: Alert, key: DataKey) -> str:
    return unseal_code("alert", "kind", alert.id, alert.kind, key)


def _select_received(actor: Actor) -> sa.Select[Any]:
    return _select_alerts(actor).where(
        AlertRecipient.user_id == actor.id,
        Alert.client_id.not_in(select_denied_clients(actor.id)),
    )


def _select_alerts(actor: Actor) -> sa.Select[Any]:
    acknowledged_by, opened_by = aliased(User), aliased(User)
    return (
        sa.select(
            Alert,
            Client.name.label("client"),
            ClientKey.wrapped,
            AlertRecipient.acknowledged_at.label("own_acknowledged_at"),
            is_visible_to(actor, Alert.client_id).label("is_member"),
            has_role(actor, ALERTED, Alert.client_id).label("is_alerted"),
            opened_by.name.label("opened_by_name"),
            opened_by.phone.label("opened_by_phone"),
            acknowledged_by.name.label("acknowledged_by_name"),
            _ADDRESSED_TO.label("addressed_to"),
            _LAST_STEP.label("last_step"),
        )
        .join(Client, Client.id == Alert.client_id)
        .join(ClientKey, ClientKey.client_id == Alert.client_id)
        .join(opened_by, opened_by.id == Alert.opened_by)
        .outerjoin(acknowledged_by, acknowledged_by.id == Alert.acknowledged_by)
        .outerjoin(
            AlertRecipient,
            sa.and_(AlertRecipient.alert_id == Alert.id, AlertRecipient.user_id == actor.id),
        )
    )


def _record(row: Any) -> AlertRecord:  # noqa: ANN401 - a result row
    alert, kind = row.Alert, None
    is_readable = row.is_member or row.is_alerted
    if is_readable:
        kind = _open_kind(alert, open_client_key(row.wrapped, alert.client_id, "alert", alert.id))
    return AlertRecord(
        id=alert.id,
        client_id=alert.client_id if is_readable else None,
        client=row.client if is_readable else "",
        kind=kind,
        opened_at=alert.opened_at,
        opened_by=alert.opened_by,
        opened_by_name=row.opened_by_name,
        opened_by_phone=row.opened_by_phone,
        step=STEPS[row.last_step],
        addressed_to=_split_names(row.addressed_to),
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by,
        acknowledged_by_name=row.acknowledged_by_name or "",
        own_acknowledged_at=row.own_acknowledged_at,
        is_member=row.is_member,
    )


def _split_names(names: str | None) -> tuple[str, ...]:
    return tuple(sorted(names.split(SEPARATOR))) if names else ()


def list_alerts(actor: Actor, *, cursor: str | None, limit: int) -> Page[AlertRecord]:
    """List a page of the alerts that the actor has received, newest first."""
    require(actor, Action.ALERT_READ)
    query = page_newest_first(_select_received(actor), Alert.opened_at, Alert.id, cursor, limit)
    records = [_record(row) for row in db.session.execute(query)]
    return make_page(records, limit, lambda alert: (alert.opened_at, alert.id))


def list_waiting_alerts(actor: Actor) -> list[AlertRecord]:
    """List every alert that waits for the actor, the most urgent and then the oldest first."""
    require(actor, Action.ALERT_READ)
    waiting = _select_received(actor).where(*_WAITING)
    rows = db.session.execute(waiting.order_by(Alert.opened_at, Alert.id))
    records = [_record(row) for row in rows]
    return sorted(records, key=lambda alert: KINDS.index(alert.kind or KINDS[0]))


def list_unacknowledged_alerts(actor: Actor) -> list[AlertRecord]:
    """List every alert about the clients whom a supervisor sees that nobody has acknowledged, the oldest first.

    Those that the actor has opened or that have reached nobody are among them.
    """
    require(actor, Action.BOARD_READ)
    unacknowledged = _select_alerts(actor).where(
        Alert.acknowledged_at.is_(None), looks_after_client(actor, Alert.client_id)
    )
    rows = db.session.execute(unacknowledged.order_by(Alert.opened_at, Alert.id))
    return [_record(row) for row in rows]


def count_waiting_alerts(actor: Actor) -> WaitingAlerts:
    """Count the alerts that wait for the actor, for every page: it says nothing about any client.

    With it comes until when the actor has emergency access to a record, and whose records they can't change.
    """
    require(actor, Action.ALERT_READ)
    row = run(_COUNT_WAITING, asks=actor.id).one()
    only_read = list_only_read(actor) if row.reading_until else frozenset()
    return WaitingAlerts(row.alerts, row.since, row.reading_until, only_read)


def list_acknowledged_alerts(actor: Actor) -> list[AlertRecord]:
    """List the newest alerts to the actor that somebody has acknowledged, or the actor."""
    require(actor, Action.ALERT_READ)
    query = (
        _select_received(actor)
        .where(~sa.and_(*_WAITING))
        .order_by(Alert.opened_at.desc(), Alert.id.desc())
        .limit(MAX_ACKNOWLEDGED)
    )
    return [_record(row) for row in db.session.execute(query)]


def get_alert(actor: Actor, alert_id: UUID) -> AlertRecord:
    """Load an alert that the actor has received.

    Raises NotFound.
    """
    require(actor, Action.ALERT_READ)
    row = db.session.execute(_select_received(actor).where(Alert.id == alert_id)).first()
    if row is None:
        raise NotFound
    return _record(row)


def get_alerted_client(actor: Actor, alert_id: UUID) -> AlertedClient:
    """Load an alert that the actor has received, with its client, also for somebody outside the care team.

    That is a right of its own, for as long as the alert can be read: it opens nothing else about the client. Raises
    NotFound.
    """
    alert = get_alert(actor, alert_id)
    if alert.client_id is None:
        raise NotFound
    row = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == alert.client_id)
    ).one()
    key = open_client_key(row.wrapped, alert.client_id, "alert", alert.id)
    return AlertedClient(alert, unseal_client(row.Client, key), key)


def list_clients_with_alerts(clients: sa.Select[UUID]) -> Sequence[UUID]:
    """List those of some clients about whom there is an alert that nobody has acknowledged."""
    return db.session.scalars(
        sa.select(Alert.client_id)
        .where(Alert.acknowledged_at.is_(None), Alert.client_id.in_(clients))
        .distinct()
        .order_by(Alert.client_id)
    ).all()


def find_address(alert_id: UUID, user_id: UUID) -> str | None:
    """Return the address for an email about an alert; None when it no longer waits for them, or they have left."""
    return db.session.scalar(
        sa.select(User.email)
        .join(AlertRecipient, AlertRecipient.user_id == User.id)
        .join(Alert, Alert.id == AlertRecipient.alert_id)
        .where(
            Alert.id == alert_id,
            User.id == user_id,
            User.disabled_at.is_(None),
            *_WAITING,
        )
    )
