"""Jobs: what the worker does outside any request, for rows of the outbox and on a schedule, in its own transactions."""

from __future__ import annotations

from caseapp.core import outbox
from caseapp.domain.auth.portal_access import LINK_MAIL
from caseapp.domain.bulk_assignments.operations import BULK_ASSIGNMENT
from caseapp.jobs.bulk_assignments import process_bulk_assignment
from caseapp.jobs.expired_drafts import delete_expired_drafts
from caseapp.jobs.expired_uploads import delete_expired_uploads
from caseapp.jobs.portal_links import mail_link

__all__ = ["delete_expired", "register_handlers"]


def register_handlers() -> None:
    """Register the handler of each kind of outbox row."""
    outbox.register_handler(LINK_MAIL, mail_link)
    outbox.register_handler(BULK_ASSIGNMENT, process_bulk_assignment)


def delete_expired() -> None:
    """Delete what is kept for a while only: form drafts and uploads that nobody sent."""
    delete_expired_drafts()
    delete_expired_uploads()
