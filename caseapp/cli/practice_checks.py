"""Checks of the practice: its handouts, protocol and help lines, its people, and who looks after clients in need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.cli.check_result import FAULT, OK, WARNING, CheckResult
from caseapp.core import mail, settings
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action, Role
from caseapp.domain.alerts.recipients import list_alert_people
from caseapp.domain.dashboard.unattended import (
    ACTION,
    RESPONSIBLE,
    SECOND,
    list_unattended_clients,
)
from caseapp.domain.handouts.checks import list_problems
from caseapp.domain.practice.queries import are_help_lines_stale, get_practice
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.users.queries import list_users

if TYPE_CHECKING:
    from collections.abc import Iterator

MIN_APPROVERS = 2


def check_handouts() -> Iterator[CheckResult]:
    """Check the handouts as of today."""
    found = [str(problem) for problem in list_problems()]
    yield from (CheckResult(FAULT, text) for text in found)
    if not found:
        yield CheckResult(OK, "Every handout passes its checks")


def check_protocol() -> Iterator[CheckResult]:
    """Name the version of the screening protocol, and how many of its rules await a clinician's sign-off."""
    count, unsigned = len(PROTOCOL.rules), PROTOCOL.unsigned
    yield CheckResult(OK, f"Version {PROTOCOL.version}, {count} rules")
    if unsigned:
        yield CheckResult(
            WARNING, f"{unsigned} of {count} rules await sign-off by a licensed clinician"
        )


def check_help_lines() -> Iterator[CheckResult]:
    """Check that the practice has confirmed its help lines lately."""
    practice = get_practice()
    confirmed = practice.help_lines_confirmed_on
    if confirmed is None:
        yield CheckResult(FAULT, "The help lines are not confirmed. Open Settings, Help lines.")
    elif are_help_lines_stale(practice):
        yield CheckResult(
            FAULT, f"The help lines were last confirmed on {confirmed}, too long ago."
        )
    else:
        yield CheckResult(OK, f"Confirmed on {confirmed}")


def check_users() -> Iterator[CheckResult]:
    """Check that somebody can sign in, release safety holds and publish handouts."""
    active = [person for person in list_users() if person.disabled_at is None]
    if not active:
        yield CheckResult(
            FAULT, "Nobody can sign in. Add a user: caseapp user add EMAIL --name NAME"
        )
        return
    yield CheckResult(
        OK, "One user can sign in" if len(active) == 1 else f"{len(active)} users can sign in"
    )
    supervisors = [person for person in active if person.role == Role.SUPERVISOR]
    unsupervised = [
        person.name
        for person in active
        if person.role == Role.COACH
        and person.supervisor_id not in {supervisor.id for supervisor in supervisors}
    ]
    if unsupervised:
        yield CheckResult(
            FAULT,
            f"Safety holds for the clients of {', '.join(unsupervised)} cannot be released: these coaches have no "
            "active supervisor.",
        )
    approvers = [p for p in active if Action.HANDOUT_APPROVE in ACTIONS_BY_ROLE[Role(p.role)]]
    if len(approvers) < MIN_APPROVERS:
        yield CheckResult(
            WARNING,
            "Practice handouts must be approved by a second supervisor or admin. There is nobody else with either "
            "role, so no practice handout can be published.",
        )
    # The holds of a supervisor's own clients need a second supervisor.
    own = [
        supervisor.name
        for supervisor in supervisors
        if supervisor.supervisor_id
        not in {other.id for other in supervisors if other is not supervisor}
    ]
    if own:
        yield CheckResult(
            WARNING,
            f"{' or '.join(own)} can’t release a safety hold if they recorded the last full screening or one that "
            "opened or renewed it, and nobody else can. Assign them another supervisor.",
        )


def check_responsibility() -> Iterator[CheckResult]:
    """Check that somebody looks after every client who needs it, and a second person, and does every open action."""
    found = list_unattended_clients(None)
    numbers: dict[str, list[str]] = {}
    for one in found:
        numbers.setdefault(one.lacks, []).append(one.number or "a client without a case")
    lists = {lacks: ", ".join(sorted(cases)) for lacks, cases in numbers.items()}
    if RESPONSIBLE in lists:
        yield CheckResult(
            FAULT,
            f"Nobody with an active account is responsible for these clients: {lists[RESPONSIBLE]}. "
            "A supervisor can hand them over: Board, Nobody responsible. If no supervisor sees them, give their coach "
            "another one first: caseapp user supervise EMAIL --by EMAIL",
        )
    if ACTION in lists:
        yield CheckResult(
            FAULT,
            f"The people with open follow-ups about these clients can no longer do them: {lists[ACTION]}. "
            "A supervisor can hand them over: Board, Nobody responsible.",
        )
    if SECOND in lists:
        yield CheckResult(
            WARNING,
            "Only their own coach, or somebody who recorded the hold’s screenings, could release a hold "
            f"for these clients: {lists[SECOND]}. Name another supervisor on the hold page, or for all clients of a "
            "coach: caseapp user supervise EMAIL --by EMAIL",
        )
    if not found:
        yield CheckResult(OK, "Somebody is responsible for every client in need")


def check_alerts() -> Iterator[CheckResult]:
    """Check that an alert about the clients of every coach would reach somebody, by email or by phone."""
    is_mail_sent = _is_mail_sent()
    unreached: list[str] = []
    silent: list[str] = []
    unphoned: list[str] = []
    for coach, people in list_alert_people():
        if not people:
            unreached.append(coach.name)
        elif not any(person.phone for person in people):
            (unphoned if is_mail_sent else silent).append(coach.name)
    if unreached:
        yield CheckResult(
            FAULT,
            f"Nobody would be alerted about the clients of {', '.join(unreached)}: there is no other active "
            "supervisor, deputy or manager. Open Settings, Alerts.",
        )
    if silent:
        yield CheckResult(
            FAULT,
            f"Only people who are signed in would see alerts about the clients of {', '.join(silent)}: email can’t be "
            "sent, and no phone number is recorded. Open Settings, Alerts.",
        )
    if unphoned:
        yield CheckResult(
            WARNING,
            f"{', '.join(unphoned)} can’t call anybody about a hold: no phone number is recorded. Open Settings, "
            "Alerts.",
        )
    if not unreached and not silent and not unphoned:
        yield CheckResult(OK, "Alerts about the clients of every coach reach somebody")


def _is_mail_sent() -> bool:
    """Tell whether mail goes to a server that can be reached."""
    try:
        mail.check_connection()
    except OSError:
        return False
    return bool(settings.active().smtp_url)
