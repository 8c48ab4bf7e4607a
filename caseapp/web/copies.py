"""The copy of a record for its client: what it holds, how they get it, and the passphrase that opens it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.dashboard.copy_contents import WITHHELD
from caseapp.domain.dashboard.copy_operations import make_copy, record_copy
from caseapp.domain.dashboard.copy_rules import is_copy_a_risk, list_way_blockers
from caseapp.domain.dashboard.copy_schemas import (
    COPY_CHANNELS,
    NewCopy,
    NewCopySchema,
    make_passphrase,
)
from caseapp.domain.dashboard.record_printing import MAX_EVENTS, MAX_NOTES
from caseapp.domain.dashboard.timeline_filter import KIND_LABELS
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import Body, FormPage, Forms, Sent
from caseapp.http.idempotency import run_sent_once
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.core.errors import Reason
    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("copies", __name__)


@dataclass(frozen=True)
class CopyPage:
    """A case, and the passphrase of the copy that is made from this page; each page has another one."""

    context: CasePage
    passphrase: str = field(repr=False)

    @property
    def unsafe(self) -> dict[str, list[Reason]]:
        """Return the ways in which the client can't get a copy now, with the reasons."""
        return {
            channel: reasons
            for channel in COPY_CHANNELS
            if (reasons := list_way_blockers(self.context, channel))
        }


def load_page(number: str) -> CopyPage:
    """Load a case, and record that it was read.

    Raises NotFound.
    """
    return CopyPage(load_case_context(number), make_passphrase())


page = FormPage(
    blueprint,
    "/case/<string:number>/copy",
    Action.DISCLOSURE_READ,
    load_page,
    client_of=lambda view: view.context.case.client_id,
    only_asks=True,
)


@page.show
def copy_page(view: CopyPage, forms: Forms) -> str:
    """Show what to ask the client, what a copy holds, and the passphrase for this one."""
    return render_template(
        "disclosures/copy.html",
        context=view.context,
        tab="Disclosures",
        view=view,
        is_risk=is_copy_a_risk(view.context),
        withheld=WITHHELD,
        kinds=KIND_LABELS,
        channels=COPY_CHANNELS,
        max_notes=MAX_NOTES,
        max_events=MAX_EVENTS,
        forms=forms,
    )


@page.post(
    Action.RECORD_EXPORT,
    Body(NewCopySchema, NewCopy),
    rule="/case/<string:number>/copy/file",
    refused="The copy was not made",
    sends_file=True,
)
def download_copy(new: NewCopy, sent: Sent) -> ResponseReturnValue:
    """Send the copy, which the disclosure log then has; its file name says neither whose it is nor what it is about.

    A form that is sent again gives the same record again, and the log has it once.
    """
    number = sent.args["number"]
    made = make_copy(sent.actor, number, new)
    with transaction():
        record_copy(
            sent.actor,
            lock_case(sent.actor, number),
            new,
            made,
            once=lambda create: run_sent_once(sent, create, made.sha256),
        )
    return pdf_response(made.content, "copy.pdf")
