"""Operations of staffing: hand over a client, disable an account, and give somebody another supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken, refuse_for
from caseapp.core.permissions import Action, Role
from caseapp.domain.alerts.operations import enqueue_alerts_of, readdress_alerts
from caseapp.domain.alerts.queries import list_clients_with_alerts
from caseapp.domain.alerts.recipients import as_staff_member
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.passwords import end_access
from caseapp.domain.auth.rules import require_reach
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.operations import record_hand_over
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.memberships import (
    end_covers_of,
    join_for,
    leave_for,
    withdraw_offers,
    withdraw_offers_of,
)
from caseapp.domain.clients.rules import MUST_NOT_SEE
from caseapp.domain.clients.visibility import (
    has_coach,
    has_denial,
    is_responsible_for,
    sees_client_of,
    select_clients_of,
)
from caseapp.domain.followups.assignees import choose_assignee
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.notes.snippet_operations import delete_snippets_of
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.marks import KINDS, add_marks, list_marked, list_marks, remove_marks
from caseapp.domain.staffing.coach_news import tell_of_coach_later
from caseapp.domain.staffing.cover_operations import end_covers_by
from caseapp.domain.staffing.queries import (
    has_supervised_heir,
    is_in_team,
    lacks_second,
    list_hidden,
    note_named,
)
from caseapp.domain.staffing.rules import (
    check_disable,
    list_heir_faults,
    list_hold_faults,
    list_supervisor_faults,
)
from caseapp.domain.users.models import User
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.staffing.queries import LockedMember

HAND_OVER_MAIL = "hand_over_mail"


def hand_over(
    actor: Actor, client: LockedClient, leaver_id: UUID, heir_id: UUID, *, tell: bool = True
) -> None:
    """Make somebody responsible for a client of a member of staff; supervisors only.

    The new person becomes the client's coach, of the open case too, and gets the open follow-ups and the marks of open
    holds; open follow-ups of others who no longer see the client are their supervisor's. Alerts that nobody has
    acknowledged reach them and their supervisor, and no longer whoever has nothing to do with the client. A new person
    whom no alert reaches is mailed, unless `tell` is false. Drafts of notes stay their author's. Raises NotFound when
    the person isn't responsible for the client, or is their coach in another team, and Invalid for somebody who can't
    be, or under whom nobody could release an open hold.
    """
    require(actor, Action.HAND_OVER)
    heir = _lock_heir(client.id, leaver_id, heir_id)
    if has_coach(client.id, leaver_id):
        if not is_in_team(actor, leaver_id):
            raise NotFound
        try:
            moved = swap_coach(actor, client, leaver_id, heir, by=actor.id)
        except RuleBroken as broken:
            raise _at_heir(broken.reasons) from None
        tell_of_coach_later(client.id, heir_id)
    elif not is_responsible_for(Role(heir.role), heir.id, client.id):
        message = "This person can’t see the client. Choose the coach or their supervisor."
        raise Invalid({"heir_id": [message]})
    else:
        moved = _move_work(client.id, leaver_id, heir_id)
        if not moved:
            raise NotFound
    alerted = readdress_alerts(actor, client.id)
    if heir_id not in alerted and tell and heir_id != actor.id:
        outbox.enqueue(HAND_OVER_MAIL, {"user": heir_id.hex})
    record(
        actor,
        Action.HAND_OVER,
        "client",
        client.id,
        client_id=client.id,
        details={"from": leaver_id.hex, "to": heir_id.hex, "followups": moved},
    )


def _lock_heir(client_id: UUID, leaver_id: UUID, heir_id: UUID) -> User:
    """Lock the account of somebody who is to be responsible for a locked client, and return it.

    Raises Invalid for somebody who can't be.
    """
    heir = lock_account(heir_id)
    faults = list_heir_faults(as_staff_member(heir) if heir else None, leaver_id)
    if has_denial(client_id, heir_id):
        faults.append(MUST_NOT_SEE)
    if faults or heir is None:
        raise Invalid({"heir_id": [str(fault.message) for fault in faults]})
    return heir


def _at_heir(faults: Sequence[Reason]) -> Invalid:
    return Invalid({"heir_id": [f"{fault.message} {fault.way_out}" for fault in faults]})


def lock_account(user_id: UUID) -> User | None:
    """Lock somebody's account, so that whoever disables it waits, and return it as it is then."""
    found = sa.select(User).where(User.id == user_id).with_for_update(read=True, key_share=False)
    return db.session.scalar(found.execution_options(populate_existing=True))


def swap_coach(actor: Actor, client: LockedClient, leaver_id: UUID, heir: User, *, by: UUID) -> int:
    """Make somebody a client's coach instead of another one, and return how many follow-ups that moved.

    Nothing is checked but the hold: the caller has locked the heir's account and judged who may, and afterwards
    readdresses the alerts. Marks, the open case and open follow-ups move, cover of the client and an offer to a
    colleague end, and the newest case tells of it. `by` is who gave the role. Raises RuleBroken when nobody could then
    release an open hold.
    """
    state = get_current_safety(client.key).state
    marked = list_marked(state, client.id)
    remove_marks(marked, client.id)
    join_for(client.id, heir.id, COACH, by, "handed_over")
    leave_for(client.id, leaver_id, COACH)
    end_covers_of(client.id)
    withdraw_offers(actor, client.id)
    add_marks(marked, client.id)
    refuse_for(
        list_hold_faults(
            max((hold.kind for hold in state.holds), default=None),
            as_staff_member(heir),
            lacks_second=lacks_second(client.id),
            has_choice=has_supervised_heir(client.id, leaver_id),
        )
    )
    moved = _move_work(client.id, leaver_id, heir.id)
    # Those of a supervisor of another team, who doesn't see the client any more.
    decides = choose_assignee(client.id, [heir.id], decides=True)
    move_followups(FollowUp.client_id == client.id, decides)
    record_hand_over(actor, client, leaver_id, heir.id)
    return moved


def _move_work(client_id: UUID, leaver_id: UUID, heir_id: UUID) -> int:
    """Give somebody the open case and the open follow-ups of another person, and return how many of these there are."""
    moment = now()
    db.session.execute(
        sa.update(Case)
        .where(Case.client_id == client_id, Case.coach_id == leaver_id, Case.status == "open")
        .values(coach_id=heir_id, updated_at=moment, version=Case.version + 1)
    )
    moved = db.session.scalars(
        sa.update(FollowUp)
        .where(
            FollowUp.client_id == client_id,
            FollowUp.assigned_to == leaver_id,
            FollowUp.completed_at.is_(None),
        )
        .values(assigned_to=heir_id, version=FollowUp.version + 1)
        .returning(FollowUp.id)
    ).all()
    return len(moved)


def send_hand_over_mail(user_id: UUID) -> bool:
    """Mail somebody that they are responsible for a client now, naming nobody; return whether it was sent."""
    address = db.session.scalar(
        sa.select(User.email).where(User.id == user_id, User.disabled_at.is_(None))
    )
    return send_staff_mail(address, "hand-over", {"link": urls.today_url()})


def disable_member(actor: Actor, member: LockedMember, successor: LockedMember | None) -> None:
    """Disable a member of staff and end their sessions, tokens and invitation at once; their records stay.

    `successor` supervises from now on whom they have supervised. Alerts that wait for them go on to others at once, and
    offers of cases from and to them are withdrawn. Cover by them ends, and their snippets are deleted.
    Raises RuleBroken while they are responsible for clients with an open hold, flag or follow-up, or supervise
    somebody and there is no successor, and for the last admin who can sign in, and Forbidden for an admin by a token.
    """
    require(actor, Action.USER_MANAGE)
    require_reach(actor, member.user.role)
    hidden = list_hidden(actor, member)
    try:
        check_disable(member, hidden, has_successor=successor is not None)
    except RuleBroken as broken:
        note_named(member, hidden, broken)
        raise
    if successor is not None:
        place_people(actor, member, successor)
    user = member.user
    user.disabled_at = now()
    db.session.flush()
    end_access(user.id)
    withdraw_offers_of(actor, user.id)
    end_covers_by(actor, user.id)
    delete_snippets_of(user.id)
    enqueue_alerts_of(user.id)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"disabled": True})


def place_people(actor: Actor, member: LockedMember, successor: LockedMember) -> None:
    """Let somebody else supervise whom a member of staff has supervised."""
    for person in member.people:
        # Two who supervise each other: nobody supervises the one who stays.
        is_own = person.id == successor.user.id
        _change_supervisor(actor, person, None if is_own else successor.user)


def change_supervisor(actor: Actor, member: LockedMember, supervisor: LockedMember | None) -> None:
    """Let somebody else supervise a member of staff, who sees their clients' holds, and has their alerts, from now on.

    Without `supervisor` nobody supervises them any more, which only a supervisor can do without. Raises RuleBroken
    unless it is another active supervisor.
    """
    require(actor, Action.USER_MANAGE)
    _change_supervisor(actor, member.user, supervisor.user if supervisor else None)


def _change_supervisor(actor: Actor, user: User, supervisor: User | None) -> None:
    """Change the supervisor of a locked account, and write the marks of the holds of their clients again.

    The open follow-ups about these clients of whoever no longer sees them go to the new one, and so do the alerts that
    nobody has acknowledged.
    """
    person = as_staff_member(user)
    refuse_for(list_supervisor_faults(as_staff_member(supervisor) if supervisor else None, person))
    clients = sorted({mark.client_id for mark in list_marks(user.id, KINDS)})
    marked = {
        client_id: list_marked(get_current_safety(get_client_key(client_id)).state, client_id)
        for client_id in clients
    }
    for client_id, found in marked.items():
        remove_marks(found, client_id)
    before_id, user.supervisor_id = user.supervisor_id, supervisor.id if supervisor else None
    db.session.flush()
    for client_id, found in marked.items():
        add_marks(found, client_id)
    if before_id is not None:
        coached = FollowUp.client_id.in_(select_clients_of(user.id, COACH))
        move_followups(coached, user.supervisor_id or user.id)
    for client_id in list_clients_with_alerts(select_clients_of(user.id, COACH)):
        readdress_alerts(actor, client_id)
    details = {"supervisor": supervisor.id.hex if supervisor else "nobody"}
    record(actor, Action.USER_MANAGE, "user", user.id, details=details)


def move_followups(clients: sa.ColumnElement[bool], to_id: UUID) -> None:
    """Give somebody the open follow-ups about some clients of whoever doesn't see the client now."""
    person = aliased(User)
    sees = sa.exists().where(
        person.id == FollowUp.assigned_to, sees_client_of(person, FollowUp.client_id)
    )
    db.session.execute(
        sa.update(FollowUp)
        .where(FollowUp.completed_at.is_(None), clients, ~sees.correlate(FollowUp))
        .values(assigned_to=to_id, version=FollowUp.version + 1)
    )
