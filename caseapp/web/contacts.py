"""The contact log of a case's client."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.clock import now
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.contacts.codes import (
    CANCELLED_BY_LABELS,
    HAS_METHOD,
    KIND_LABELS,
    METHOD_LABELS,
)
from caseapp.domain.contacts.operations import mark_contact_in_error, record_contact
from caseapp.domain.contacts.queries import LockedContact, list_contacts, lock_contact
from caseapp.domain.contacts.schemas import ContactErrorSchema, NewContact, NewContactSchema
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.http.request_parsing import local_minute
from caseapp.http.template_helpers import zone
from caseapp.web.case_header import load_case_context, lock_in_case

if TYPE_CHECKING:
    from caseapp.core.pagination import Page
    from caseapp.domain.contacts.schemas import ContactRecord
    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("contacts", __name__)


@dataclass(frozen=True)
class ContactLog:
    """A case with a page of its client's contact log."""

    context: CasePage
    entries: Page[ContactRecord]


def load_log(number: str) -> ContactLog:
    """Load a client's contact log and record that it was read.

    Raises NotFound.
    """
    context = load_case_context(number)
    client_id, cursor = context.case.client_id, request.args.get("cursor")
    return ContactLog(context, list_contacts(current_actor(), client_id, cursor, PAGE_SIZE))


log = FormPage(
    blueprint,
    "/case/<string:number>/contacts",
    Action.CONTACT_READ,
    load_log,
    client_of=lambda view: view.context.case.client_id,
)


@log.show
def contact_log(view: ContactLog, forms: Forms) -> str:
    """Show the form for a new entry, whose buttons say what happened, above the log."""
    return render_template(
        "contacts/contact_log.html",
        context=view.context,
        tab="Contacts",
        page=view.entries,
        forms=forms,
        kinds=KIND_LABELS,
        methods=METHOD_LABELS,
        cancelled_by=CANCELLED_BY_LABELS,
    )


def new_contact_values(_view: object) -> dict[str, object]:
    """Return what the form for an entry shows at first: a phone call just now."""
    return {"happened_at": local_minute(now(), zone()), "method": "call"}


@log.form(
    Action.CONTACT_WRITE,
    Body(NewContactSchema, NewContact),
    lock=lock_case,
    values=new_contact_values,
)
def add(case: LockedCase, new: NewContact, sent: Sent) -> Done:
    """Add an entry; the form asks how for all kinds, and it counts for those that have a method."""
    entry = new if new.kind in HAS_METHOD else replace(new, method=None)
    record_contact(sent.actor, case.locked_client, entry)
    return Done(
        url_for("contacts.contact_log", number=sent.args["number"]),
        "contact_recorded followup_added" if new.follow_up else "contact_recorded",
    )


@log.form(
    Action.CONTACT_WRITE,
    Body(ContactErrorSchema, str),
    lock=lock_in_case(lock_contact, lambda contact: contact.client.id),
    rule="/case/<string:number>/contacts/<uuid:contact_id>/error",
)
def mark_error(contact: LockedContact, reason: str, sent: Sent) -> Done:
    """Mark an entry as recorded in error."""
    mark_contact_in_error(sent.actor, contact, reason)
    return Done(url_for("contacts.contact_log", number=sent.args["number"]), "contact_in_error")
