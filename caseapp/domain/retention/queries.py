"""Queries for retention: from when a client's record may be destroyed, and which records are due."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.pagination import Page, make_page, page_soonest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.vault import SealBroken, unseal_text
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import list_case_numbers
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looked_after_by, select_denied_clients
from caseapp.domain.contacts.codes import CONTACT
from caseapp.domain.contacts.models import Contact
from caseapp.domain.disclosures.models import Disclosure
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.legal_holds.queries import has_legal_hold
from caseapp.domain.merges.queries import ERASURE, find_merged
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.sessions import is_session
from caseapp.domain.practice.queries import get_practice_info, local_day, today
from caseapp.domain.practice.retention import find_years
from caseapp.domain.retention.rules import find_term, has_child_at_risk
from caseapp.domain.retention.schemas import DueRecord, RetentionFacts, Term
from caseapp.domain.safety_plans.models import SafetyPlan
from caseapp.domain.screening.history import list_safety_histories
from caseapp.domain.screening.models import SafetyEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from uuid import UUID

log = structlog.get_logger()


def get_years() -> dict[str, int] | None:
    """Return for how many years the practice keeps records, by period; None while it has chosen no profile."""
    practice = get_practice_info().practice
    if practice.retention_profile is None:
        return None
    return find_years(practice.retention_profile, practice.retention_years)


def find_term_of(client_id: UUID) -> Term | None:
    """Find from when a client's record may be destroyed; None while the practice has chosen no profile.

    Access was already checked; whoever decides by it holds the client's lock.
    """
    years = get_years()
    if years is None:
        return None
    return find_term(_find_facts([client_id])[client_id], years)


def list_due(actor: Actor, shown: str, cursor: str | None, limit: int) -> Page[DueRecord]:
    """List the records that needn't be kept any longer, those of the clients added first before the others.

    `shown` is a code of SHOWN. An admin sees all, a supervisor those of the clients whom they look after. The database
    finds the records that have been left alone for as long as the shortest period; what lengthens it is sealed. So a
    page may have fewer than `limit`, even none, while there is a next one. Empty while the practice has chosen no
    profile. Raises Invalid for a cursor that this application did not create.
    """
    require(actor, Action.RETENTION_READ)
    years = get_years()
    if years is None:
        return Page([], None)
    query = page_soonest_first(
        _select_left_alone(actor, shown, years), Client.created_at, Client.id, cursor, limit
    )
    found = make_page(
        [*db.session.execute(query).all()], limit, lambda row: (row.created_at, row.id)
    )
    facts = _find_facts([row.id for row in found.items])
    numbers = list_case_numbers(facts)
    day, is_admin = today(), actor.role is Role.ADMIN
    due = []
    for row in found.items:
        term = find_term(facts[row.id], years)
        if term.due_on <= day:
            due.append(
                DueRecord(
                    row.id,
                    numbers.get(row.id, ()),
                    None if is_admin else term.due_on,
                    None if is_admin else term.period,
                    has_legal_hold=bool(row.has_legal_hold),
                    is_requested=bool(row.is_requested),
                )
            )
    note_shown(one.client_id for one in due)
    return Page(due, found.next)


def _select_left_alone(
    actor: Actor, shown: str, years: Mapping[str, int]
) -> sa.Select[*tuple[Any, ...]]:
    """Select the clients about whom nothing has happened for the shortest period, give or take a day of leap years."""
    least = min(years["client"], years["children"], years["enquiry"])
    since = now() - timedelta(days=365 * least)
    happened = (
        (Note.client_id, sa.and_(is_session(), Note.actual_session_at > since)),
        (Contact.client_id, sa.and_(Contact.kind == CONTACT, Contact.happened_at > since)),
        (SafetyEvent.client_id, SafetyEvent.recorded_at > since),
        (
            Case.client_id,
            sa.or_(Case.status == "open", Case.opened_at > since, Case.closed_at > since),
        ),
    )
    requested = sa.exists().where(ERASURE.c.client_id == Client.id, ERASURE.c.state == "requested")
    held = has_legal_hold(Client.id)
    query = (
        sa.select(
            Client.id,
            Client.created_at,
            held.label("has_legal_hold"),
            requested.label("is_requested"),
        )
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(
            ~Client.is_merged,
            Client.created_at <= since,
            Client.id.not_in(select_denied_clients(actor.id)),
            *(~sa.exists().where(column == Client.id, where) for column, where in happened),
        )
    )
    if actor.role is not Role.ADMIN:
        query = query.where(Client.id.in_(looked_after_by(actor)))
    if shown != "all":
        query = query.where(held if shown == "held" else ~held)
    return query


def _find_facts(client_ids: Collection[UUID]) -> dict[UUID, RetentionFacts]:
    """Find what the terms of clients' records depend on, in as many statements for many as for one."""
    if not client_ids:
        return {}
    # The year of birth and what was recorded about safety before a merge have stayed with the record that was merged.
    owners = {client_id: client_id for client_id in client_ids} | find_merged(client_ids)
    # A draft may be the only trace of a session.
    rows = db.session.execute(
        sa.select(
            Client.id,
            Client.birth_year,
            Client.created_at,
            ClientKey.wrapped,
            _last(Note.actual_session_at, Note.client_id, ~Note.in_error).label("session_at"),
            _last(Contact.happened_at, Contact.client_id, Contact.kind == CONTACT).label(
                "contact_at"
            ),
            _last(Case.opened_at, Case.client_id).label("opened_at"),
            _last(Case.closed_at, Case.client_id).label("closed_at"),
            _last(SafetyPlan.created_at, SafetyPlan.client_id).label("plan_at"),
            _last(Disclosure.disclosed_on, Disclosure.client_id).label("disclosed_on"),
        )
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id.in_(owners))
    ).all()
    at_risk = {owners[client_id] for client_id in _find_children_at_risk(owners)}
    safety = _find_last_safety(owners)
    years: dict[UUID, int] = {}
    for row in rows:
        owner = owners[row.id]
        if year := _open_birth_year(row):
            years[owner] = max(year, years.get(owner, year))
        if row.plan_at:
            safety[owner] = max(row.plan_at, safety.get(owner, row.plan_at))
    found = {}
    for row in rows:
        if owners[row.id] != row.id:
            continue
        safety_at = safety.get(row.id)
        times = (row.session_at, row.contact_at, safety_at, row.opened_at, row.closed_at)
        found[row.id] = RetentionFacts(
            local_day(max(filter(None, times), default=row.created_at)),
            had_service=bool(row.session_at or safety_at),
            birth_year=years.get(row.id),
            has_child_at_risk=row.id in at_risk,
            last_disclosure=row.disclosed_on,
        )
    return found


def _open_birth_year(row: Any) -> int | None:  # noqa: ANN401 - a result row
    """Return a client's year of birth; the latest possible one where it doesn't open, so that nothing ends early."""
    try:
        key = open_client_key(row.wrapped, row.id, "client", row.id)
        year = unseal_text("client", "birth_year", row.id, row.birth_year, key)
    except SealBroken:
        log.warning("retention.unreadable_year")
        return local_day(row.created_at).year
    return int(year) if year else None


def _last(moment: Any, client_id: Any, *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:  # noqa: ANN401 - columns
    """Build a scalar select of the last of a table's times about the client of the row around it."""
    return (
        sa.select(sa.func.max(moment, type_=moment.type))
        .where(client_id == Client.id, *where)
        .correlate(Client)
        .scalar_subquery()
    )


def _find_last_safety(owners: Mapping[UUID, UUID]) -> dict[UUID, datetime]:
    """Find when something about safety was last recorded, by the client who has the record now."""
    rows = db.session.execute(
        sa.select(
            SafetyEvent.client_id,
            sa.func.max(SafetyEvent.recorded_at, type_=SafetyEvent.recorded_at.type),
        )
        .where(SafetyEvent.client_id.in_(owners))
        .group_by(SafetyEvent.client_id)
    )
    found: dict[UUID, datetime] = {}
    for client_id, moment in rows:
        owner = owners[client_id]
        found[owner] = max(moment, found.get(owner, moment))
    return found


def _find_children_at_risk(client_ids: Collection[UUID]) -> set[UUID]:
    """Find the clients of whom a screening says that a child may be at risk; a history that doesn't open counts so."""
    try:
        histories = list_safety_histories(client_ids)
    except SealBroken:
        if len(client_ids) == 1:
            log.warning("retention.unreadable_state")
            return {*client_ids}
        return set().union(*(_find_children_at_risk([one]) for one in client_ids))
    return {
        client_id
        for client_id, history in histories.items()
        if has_child_at_risk(history.screenings)
    }
