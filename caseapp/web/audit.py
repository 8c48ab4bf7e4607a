"""The log: who did what to what. It names staff; clients stand in it by their id alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action, Role
from caseapp.domain.audit.operations import record_read
from caseapp.domain.audit.queries import Entry, LogFilter, entries
from caseapp.domain.users.queries import everyone, names_of
from caseapp.http.guard import needs, the_actor
from caseapp.http.request_parsing import Form, uuid_of

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("log", __name__)

WORDS = {
    Action.SIGN_IN: "Signed in",
    Action.SESSION_END: "Signed out",
    Action.SELF_READ: "Read their own account",
    Action.TODAY_READ: "Read Today",
    Action.CLIENT_CREATE: "Added a client",
    Action.CLIENT_READ: "Read a client",
    Action.CLIENT_EDIT: "Changed a client",
    Action.CONFLICT_READ: "Read a possible conflict",
    Action.PORTAL_INVITE: "Invited a client to the portal",
    Action.CASE_OPEN: "Opened a case",
    Action.CASE_READ: "Read a case",
    Action.CASE_EDIT: "Changed a case",
    Action.CASE_MOVE: "Moved a case",
    Action.CASE_CLOSE: "Closed a case",
    Action.CASE_REOPEN: "Reopened a case",
    Action.NOTE_READ: "Read a note",
    Action.NOTE_WRITE: "Wrote in a note",
    Action.NOTE_SIGN: "Signed a note",
    Action.SCREENING_READ: "Read a screening",
    Action.SCREENING_RECORD: "Recorded a screening",
    Action.FLAG_RAISE: "Raised a flag",
    Action.FLAG_LOWER: "Lowered a flag",
    Action.HOLD_READ: "Read a hold",
    Action.HOLD_OPEN: "Opened a hold",
    Action.HOLD_CLEAR: "Cleared a hold",
    Action.FOLLOWUP_READ: "Read follow-ups",
    Action.FOLLOWUP_WRITE: "Wrote a follow-up",
    Action.HANDOUT_READ: "Read a handout",
    Action.HANDOUT_REVIEW: "Recorded a clinical review",
    Action.HANDOUT_RECALL: "Recalled a handout",
    Action.HANDOUT_PUBLISH: "Published a handout",
    Action.HANDOUT_WRITE: "Wrote in a handout of our own",
    Action.HANDOUT_APPROVE: "Approved or sent back a handout of our own",
    Action.HANDOUT_HIDE: "Hid a handout or showed it again",
    Action.ASSIGNMENT_READ: "Read assigned handouts",
    Action.ASSIGNMENT_MAKE: "Assigned a handout",
    Action.ASSIGNMENT_WITHDRAW: "Withdrew a handout",
    Action.ASSIGNMENT_MARK: "Marked a handout as read",
    Action.REPORT_EXPORT: "Made or fetched a report",
    Action.AUDIT_READ: "Read the log",
    Action.PRACTICE_READ: "Read the settings",
    Action.PRACTICE_EDIT: "Changed the settings",
    Action.USER_MANAGE: "Changed staff",
    Action.TOKEN_MANAGE: "Changed a token",
    Action.PORTAL_READ: "Read in the portal",
    Action.PORTAL_MARK: "Marked a handout in the portal",
    Action.PORTAL_WRITE: "Wrote in a handout in the portal",
    Action.PORTAL_PIN: "Changed a PIN",
}
OUTCOMES = {"done": "Done", "refused": "Refused"}
DOORS = {
    "web": "pages",
    "api": "API",
    "portal": "portal",
    "cli": "command line",
    "job": "background",
}


@blueprint.get("/log")
@needs(Action.AUDIT_READ)
def log_page() -> ResponseReturnValue:
    """Show the log, narrowed and page by page."""
    form, wanted = _filter()
    page = entries(the_actor(), wanted, request.args.get("cursor"), PAGE_SIZE)
    names = _names(page.items)
    record_read(the_actor(), Action.AUDIT_READ, "log", None, None)
    return render_template(
        "audit/list.html",
        form=form,
        page=page,
        words=WORDS,
        outcomes=OUTCOMES,
        doors=DOORS,
        who={entry.id: _who(entry, names) for entry in page.items},
        staff={str(person.id): person.name for person in everyone()},
        narrowed=wanted != LogFilter(),
    )


def _filter() -> tuple[Form, LogFilter]:
    """Read the filter from the address; what cannot be meant is named and left out."""
    raw = {name: value.strip() for name, value in request.args.items() if value.strip()}
    errors: dict[str, list[str]] = {}
    for name, known in (("action", WORDS), ("outcome", OUTCOMES)):
        if raw.get(name) and raw[name] not in known:
            errors[name] = ["Choose one from the list."]
    ids: dict[str, UUID | None] = {}
    for name in ("by", "client"):
        ids[name] = uuid_of(raw.get(name, ""))
        if raw.get(name) and ids[name] is None:
            errors[name] = ["Copy the whole id, such as one from the table below."]
    wanted = LogFilter(
        action=None if "action" in errors else raw.get("action"),
        outcome=None if "outcome" in errors else raw.get("outcome"),
        actor_id=ids["by"],
        client_id=ids["client"],
    )
    return Form(dict(raw), errors), wanted


def _names(shown: list[Entry]) -> dict[UUID, str]:
    return names_of({entry.actor_id for entry in shown})


def _who(entry: Entry, names: dict[UUID, str]) -> str:
    if entry.actor_role in {Role.CLIENT, Role.ARRIVING}:
        return "A client"
    return names.get(entry.actor_id, "Somebody who left")
