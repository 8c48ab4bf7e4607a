"""The disclosure log of a case's client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.disclosures.operations import record_disclosure
from caseapp.domain.disclosures.queries import list_disclosures
from caseapp.domain.disclosures.schemas import (
    MAX_RECIPIENT,
    MAX_WORDS,
    NewDisclosure,
    NewDisclosureSchema,
)
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from caseapp.core.pagination import Page
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.disclosures.schemas import DisclosureRecord

blueprint = Blueprint("disclosures", __name__)


@dataclass(frozen=True)
class DisclosureLog:
    """A case with a page of its client's disclosure log."""

    context: CasePage
    entries: Page[DisclosureRecord]


def load_log(number: str) -> DisclosureLog:
    """Load a client's disclosure log and record that it was read.

    Raises NotFound.
    """
    context = load_case_context(number)
    client_id, cursor = context.case.client_id, request.args.get("cursor")
    return DisclosureLog(context, list_disclosures(current_actor(), client_id, cursor, PAGE_SIZE))


log = FormPage(
    blueprint,
    "/case/<string:number>/disclosures",
    Action.DISCLOSURE_READ,
    load_log,
    client_of=lambda view: view.context.case.client_id,
)


@log.show
def disclosure_log(view: DisclosureLog, forms: Forms) -> str:
    """Show the form for a new entry above the log."""
    return render_template(
        "disclosures/disclosure_log.html",
        context=view.context,
        tab="Disclosures",
        page=view.entries,
        forms=forms,
        max_recipient=MAX_RECIPIENT,
        max_words=MAX_WORDS,
    )


@log.form(
    Action.DISCLOSURE_WRITE,
    Body(NewDisclosureSchema, NewDisclosure),
    lock=lock_case,
    refused="Nothing was recorded",
)
def add_disclosure(case: LockedCase, new: NewDisclosure, sent: Sent) -> Done:
    """Record what was given to whom."""
    record_disclosure(sent.actor, case.locked_client, new)
    return Done(url_for("disclosures.disclosure_log", **sent.args), "disclosure_recorded")
