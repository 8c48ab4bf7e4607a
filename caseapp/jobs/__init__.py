"""Jobs: what the worker does outside any request, for rows of the outbox and on a schedule, in its own transactions."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from caseapp.core import outbox
from caseapp.core.actor import worker
from caseapp.domain.alerts.operations import ALERT_MAIL, ALERT_STEP
from caseapp.domain.audit.operations import reads_recorded
from caseapp.domain.auth.address_changes import ADDRESS_MAIL
from caseapp.domain.auth.password_links import FORGOTTEN_MAIL, PASSWORD_MAIL, REPLACED_MAIL
from caseapp.domain.auth.portal_codes import LINK_MAIL
from caseapp.domain.auth.second_factor import REMOVAL_MAIL
from caseapp.domain.bulk_assignments.operations import BULK_ASSIGNMENT
from caseapp.domain.clients.operations import COMPARISON
from caseapp.domain.dashboard.weekly_mail import BOARD_MAIL
from caseapp.domain.screening.hold_operations import SECOND_PERSON_MAIL
from caseapp.domain.staffing.coach_news import COACH_NEWS
from caseapp.domain.staffing.cover_operations import COVER_ALERTS, COVER_MAIL
from caseapp.domain.staffing.emergency_operations import EMERGENCY_MAIL
from caseapp.domain.staffing.operations import HAND_OVER_MAIL
from caseapp.jobs.alerts import mail_alert, take_alert_step
from caseapp.jobs.bulk_assignments import process_bulk_assignment
from caseapp.jobs.client_hashes import refresh_outdated_hashes
from caseapp.jobs.erasures import finish_erasures
from caseapp.jobs.expired_drafts import delete_expired_drafts
from caseapp.jobs.expired_intakes import delete_expired_intakes
from caseapp.jobs.expired_uploads import delete_expired_uploads
from caseapp.jobs.failures import delete_old_failures
from caseapp.jobs.passwords import (
    mail_address_changed,
    mail_password_link,
    mail_replaced,
    offer_password_reset,
)
from caseapp.jobs.portal_links import mail_link
from caseapp.jobs.staffing import (
    mail_board,
    mail_cover,
    mail_emergency,
    mail_hand_over,
    mail_removal,
    mail_second_person,
    readdress_alerts,
    tell_of_coach,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

__all__ = ["delete_expired", "register_handlers"]


def register_handlers() -> None:
    """Register the handler of each kind of outbox row."""
    for kind, job in (
        (ADDRESS_MAIL, mail_address_changed),
        (ALERT_MAIL, mail_alert),
        (ALERT_STEP, take_alert_step),
        (BOARD_MAIL, mail_board),
        (FORGOTTEN_MAIL, offer_password_reset),
        (EMERGENCY_MAIL, mail_emergency),
        (COACH_NEWS, tell_of_coach),
        (COVER_ALERTS, readdress_alerts),
        (COVER_MAIL, mail_cover),
        (HAND_OVER_MAIL, mail_hand_over),
        (LINK_MAIL, mail_link),
        (PASSWORD_MAIL, mail_password_link),
        (REMOVAL_MAIL, mail_removal),
        (REPLACED_MAIL, mail_replaced),
        (SECOND_PERSON_MAIL, mail_second_person),
        (BULK_ASSIGNMENT, process_bulk_assignment),
        (COMPARISON, refresh_outdated_hashes),
    ):
        outbox.register_handler(kind, _recording(job))


def _recording(
    job: Callable[[UUID, dict[str, Any]], None],
) -> Callable[[UUID, dict[str, Any]], None]:
    """Let a job record what it reads of clients' records."""

    @wraps(job)
    def run(row_id: UUID, payload: dict[str, Any]) -> None:
        with reads_recorded(worker()):
            job(row_id, payload)

    return run


def delete_expired() -> None:
    """Delete what is kept for a while only, and finish what erasures have left undone.

    That is form drafts, intakes, uploads that nobody sent, failed tries and
    security events.
    """
    delete_expired_drafts()
    delete_expired_intakes()
    delete_expired_uploads()
    delete_old_failures()
    finish_erasures()
