"""The audit log. It names staff; clients appear by id only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, request

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action, Role
from caseapp.domain.audit.queries import AuditFilter, AuditRecord, list_audit_events
from caseapp.domain.audit.sealing import SEALED_ACTIONS
from caseapp.domain.users.queries import get_user_names, list_users
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form, parse_uuid

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("audit", __name__)

ACTION_LABELS = {
    Action.SIGN_IN: "Signed in",
    Action.SESSION_END: "Signed out",
    Action.SELF_READ: "Viewed their own account",
    Action.BOARD_READ: "Viewed the board",
    Action.TODAY_READ: "Viewed Today",
    Action.CLIENT_CREATE: "Added a client",
    Action.ACCOUNT_EDIT: "Changed their own account",
    Action.FACTOR_MANAGE: "Changed their second factor",
    Action.IDENTITY_LINK: "Linked or unlinked an account at the provider",
    Action.CLIENT_READ: "Viewed a client’s record",
    Action.CLIENT_EDIT: "Changed a client’s record",
    Action.HAND_OVER: "Handed over a client",
    Action.DENIAL_MANAGE: "Changed who must not see a client",
    Action.EMERGENCY_OPEN: "Opened or ended emergency access to a record",
    Action.EMERGENCY_REVIEW: "Reviewed an emergency access",
    Action.COVER: "Arranged or changed cover",
    Action.TRANSFER: "Offered a case or decided about an offer",
    Action.ALERT_ACKNOWLEDGE: "Acknowledged an alert",
    Action.ALERT_READ: "Viewed alerts",
    Action.ALERT_SEND: "Alerted people about a hold",
    Action.CONTACT_CONFIRM: "Confirmed in person which ways of contact are safe",
    Action.CONTACT_READ: "Viewed the contact log",
    Action.CONTACT_WRITE: "Recorded contact or a no-show",
    Action.CONSENT_READ: "Viewed a client’s consent",
    Action.CONSENT_WRITE: "Recorded that consent was given or withdrawn",
    Action.CONSENT_TEXT_READ: "Viewed the consent texts",
    Action.CONSENT_TEXT_PUBLISH: "Published a consent text",
    Action.DISCLOSURE_READ: "Viewed the disclosure log",
    Action.DISCLOSURE_WRITE: "Recorded a disclosure",
    Action.ERASURE_READ: "Viewed erasures",
    Action.ERASURE_REQUEST: "Requested the erasure of a record, or withdrew the request",
    Action.ERASURE_DECIDE: "Erased a record, or refused to",
    Action.ERASURE_REPEAT: "Erased a record again after an older database was restored",
    Action.RETENTION_READ: "Viewed the records that are due to be destroyed",
    Action.LEGAL_HOLD_READ: "Viewed legal holds",
    Action.LEGAL_HOLD_MANAGE: "Placed, reviewed or lifted a legal hold",
    Action.CONFLICT_READ: "Viewed a possible conflict",
    Action.CONFLICT_ASK: "Sent an intake to a supervisor",
    Action.CONFLICT_DECIDE: "Decided about an intake",
    Action.PORTAL_INVITE: "Invited a client to the portal",
    Action.CASE_OPEN: "Opened a case",
    Action.CASE_READ: "Viewed a case",
    Action.CASE_EDIT: "Changed a case",
    Action.CASE_MOVE: "Changed a case’s stage",
    Action.CASE_CLOSE: "Closed a case",
    Action.CASE_REOPEN: "Reopened a case",
    Action.CASE_EXPORT: "Downloaded the brief of a case",
    Action.NOTE_READ: "Viewed a note",
    Action.NOTE_WRITE: "Edited a note",
    Action.NOTE_SIGN: "Signed a note",
    Action.NOTE_AMEND: "Added to a signed note",
    Action.CLIENT_MERGE: "Merged a client’s record with another one",
    Action.NOTE_MOVE: "Moved a note to another record",
    Action.NOTE_COSIGN: "Co-signed a note",
    Action.COSIGNATURE_SET: "Set whether a coach’s notes need a co-signature",
    Action.NOTE_RETURN: "Returned a note to its author",
    Action.DRAFT_READ: "Viewed the draft of somebody who has left",
    Action.DRAFT_FILE: "Filed the unsigned draft of somebody who has left",
    Action.AMENDMENT_WRITE: "Recorded or answered a client’s request to correct a note",
    Action.SCREENING_READ: "Viewed a screening",
    Action.SCREENING_RECORD: "Recorded a screening",
    Action.SCREENING_CORRECT: "Marked a screening as recorded in error",
    Action.SAFETY_WRITE: "Recorded something about a client’s safety",
    Action.CIRCUMSTANCE_END: "Recorded that a circumstance has ended",
    Action.FLAG_SET: "Set a flag",
    Action.FLAG_CLEAR: "Cleared a flag",
    Action.PLAN_READ: "Viewed a safety plan",
    Action.PLAN_WRITE: "Changed a safety plan",
    Action.HOLD_READ: "Viewed a hold",
    Action.HOLD_OPEN: "Opened a hold",
    Action.HOLD_RELEASE: "Released a hold",
    Action.HOLD_NAME: "Named a supervisor to release a hold",
    Action.HOLD_ALLOW: "Allowed one handout during a hold",
    Action.FOLLOWUP_READ: "Viewed follow-ups",
    Action.FOLLOWUP_WRITE: "Edited a follow-up",
    Action.FORM_DRAFT: "Saved a form draft",
    Action.HANDOUT_READ: "Viewed a handout",
    Action.HANDOUT_REVIEW: "Recorded a clinical review",
    Action.HANDOUT_RECALL: "Recalled a handout",
    Action.HANDOUT_WRITE: "Edited a practice handout",
    Action.HANDOUT_APPROVE: "Approved or returned a practice handout",
    Action.HANDOUT_HIDE: "Hid a handout or showed it again",
    Action.ASSIGNMENT_READ: "Viewed assigned handouts",
    Action.ASSIGNMENT_CREATE: "Assigned a handout",
    Action.ASSIGNMENT_WITHDRAW: "Withdrew a handout",
    Action.ASSIGNMENT_MARK: "Marked a handout as read",
    Action.REPORT_EXPORT: "Created or downloaded a report",
    Action.RECORD_EXPORT: "Saved the record of a case as a PDF, or a copy of it for the client",
    Action.AUDIT_READ: "Viewed the audit log",
    Action.CHAIN_BEGIN: "Sealed the audit log of earlier releases",
    Action.CHECKPOINT_BEGIN: "Began to write checkpoints of the log",
    Action.SIGNATURES_BEGIN: "Signed the notes of earlier releases",
    Action.ROLLBACK_ACCEPT: "Accepted a database that differs from the checkpoints",
    Action.PRACTICE_EDIT: "Changed the settings",
    Action.USER_MANAGE: "Changed a staff account",
    Action.ACCESS_EXPLAIN: "Asked why somebody may open a case",
    Action.TOKEN_MAKE: "Made an API token of their own",
    Action.PROGRAM_MANAGE: "Made or ended a program",
    Action.TOKEN_MANAGE: "Changed an API token",
    Action.KEY_ROTATE: "Wrapped the keys under another vault key",
    Action.KEY_RENEW: "Started using a new key of the installation",
    Action.KEY_REVEAL: "Printed a closed key of the log for an auditor",
    Action.PORTAL_READ: "Viewed the portal",
    Action.PORTAL_MARK: "Marked a handout as read in the portal",
    Action.PORTAL_WRITE: "Answered a worksheet in the portal",
    Action.PORTAL_PIN: "Entered or chose a PIN",
    Action.PIN_CHANGE: "Changed their PIN in the portal",
    Action.DEVICE_MANAGE: "Remembered or forgot a device in the portal",
    Action.DEVICE_FORGET: "Forgot a client’s remembered devices",
}
# The database can't tell these apart; one option finds them all.
ACTION_OPTIONS = {
    action: label for action, label in ACTION_LABELS.items() if action not in SEALED_ACTIONS
}
OUTCOME_LABELS = {"done": "Done", "refused": "Refused"}
INTERFACE_LABELS = {
    "web": "pages",
    "api": "API",
    "portal": "portal",
    "cli": "command line",
    "job": "background",
}


@blueprint.get("/log")
@needs(Action.AUDIT_READ)
def event_list() -> ResponseReturnValue:
    """List audit events, filtered and page by page."""
    form, filters = _filter()
    page = list_audit_events(current_actor(), filters, request.args.get("cursor"), PAGE_SIZE)
    names = _names(page.items)
    return render_template(
        "audit/list.html",
        form=form,
        page=page,
        actions=ACTION_LABELS,
        action_options=ACTION_OPTIONS,
        outcomes=OUTCOME_LABELS,
        interfaces=INTERFACE_LABELS,
        actors={event.id: _actor_label(event, names) for event in page.items},
        staff={str(person.id): person.name for person in list_users()},
        details=_details,
        filtered=filters != AuditFilter(),
    )


def _details(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """List what an event says besides its columns; the hash of a list's clients is for checks alone."""
    filters = found.get("filters", {})
    return [
        (name, value)
        for name, value in {**found, **filters}.items()
        if value and name not in {"filters", "sha256"}
    ]


def _filter() -> tuple[Form, AuditFilter]:
    """Read the filter from the query string; invalid values become errors and are ignored."""
    raw = {name: value.strip() for name, value in request.args.items() if value.strip()}
    errors: dict[str, list[str]] = {}
    for name, known in (("action", ACTION_LABELS), ("outcome", OUTCOME_LABELS)):
        if raw.get(name) and raw[name] not in known:
            errors[name] = ["Choose one from the list."]
    ids: dict[str, UUID | None] = {}
    for name in ("by", "client"):
        ids[name] = parse_uuid(raw.get(name, ""))
        if raw.get(name) and ids[name] is None:
            errors[name] = ["Enter a full ID, such as one from the table below."]
    filters = AuditFilter(
        action=None if "action" in errors else raw.get("action"),
        outcome=None if "outcome" in errors else raw.get("outcome"),
        actor_id=ids["by"],
        client_id=ids["client"],
    )
    return Form(dict(raw), errors), filters


def _names(shown: list[AuditRecord]) -> dict[UUID, str]:
    return get_user_names({event.actor_id for event in shown})


def _actor_label(event: AuditRecord, names: dict[UUID, str]) -> str:
    if event.actor_role in {Role.CLIENT, Role.SIGNING_IN}:
        return "A client"
    return names.get(event.actor_id, "A former member of staff")
