"""Members of staff over time: invited, renamed, in another role, enabled again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.email_addresses import normalize_email
from caseapp.core.errors import Invalid, NotFound, RuleBroken, refuse_for
from caseapp.core.permissions import Action, Role
from caseapp.domain.alerts.operations import enqueue_alerts_of
from caseapp.domain.alerts.recipients import as_staff_member
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.address_changes import tell_old_address
from caseapp.domain.auth.operations import add_user, find_member_errors
from caseapp.domain.auth.password_links import invite_again
from caseapp.domain.auth.passwords import end_access
from caseapp.domain.auth.rules import require_reach
from caseapp.domain.clients.codes import SECOND_PERSON
from caseapp.domain.clients.memberships import leave_everywhere, withdraw_offers_of
from caseapp.domain.staffing.cover_operations import end_covers_by
from caseapp.domain.staffing.operations import change_supervisor, place_people
from caseapp.domain.staffing.queries import list_hidden, note_named
from caseapp.domain.staffing.rules import (
    ACTIVE,
    check_cosignature,
    check_role,
    list_supervisor_faults,
)
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.staffing.queries import LockedMember
    from caseapp.domain.staffing.schemas import MemberDetails, NewMember


def invite_member(actor: Actor, new: NewMember) -> tuple[UUID, str | None]:
    """Add a member of staff, who has no password yet, and invite them to choose one.

    Return their id and the code of the invitation, which is shown only once; None instead when a link is mailed. Raises
    Invalid naming each field at fault, such as the supervisor of a coach without an active one, and Forbidden for an
    admin by a token.
    """
    require(actor, Action.USER_MANAGE)
    require_reach(actor, new.role)
    supervisor = _hold_supervisor(new.supervisor_id)
    user = add_user(
        actor,
        new.email,
        new.name,
        new.role,
        None,
        supervisor=supervisor.email if supervisor else None,
        language=new.language,
    )
    found = as_staff_member(supervisor) if supervisor else None
    faults = list_supervisor_faults(found, as_staff_member(user))
    if faults or (supervisor is None and new.supervisor_id is not None):
        raise Invalid(
            {"supervisor_id": [fault.message for fault in faults] or ["Choose somebody."]}
        )
    return user.id, invite_again(actor, user.id, by_mail=new.way == "mail")


def _hold_supervisor(user_id: UUID | None) -> User | None:
    """Return a supervisor, who stays as they are until the transaction ends."""
    return db.session.scalar(
        sa.select(User).where(User.id == user_id).with_for_update(read=True, key_share=False)
    )


def update_member(
    actor: Actor, user_id: UUID, details: MemberDetails, expected_version: int
) -> User:
    """Change the name, the address and the language of a member of staff; a new address ends their sessions and tokens.

    The address before is told, and for a day no link or code replaces their password.
    Raises NotFound, Invalid naming each field at fault, Stale when the account has changed since, and Forbidden for an
    admin by a token.
    """
    require(actor, Action.USER_MANAGE)
    user = db.session.get(User, user_id, with_for_update=True, populate_existing=True)
    if user is None:
        raise NotFound
    require_reach(actor, user.role)
    if errors := find_member_errors(details.email, details.name, user_id):
        raise Invalid(errors)
    set_committed_value(user, "version", expected_version)
    values = {
        "name": details.name.strip(),
        "email": normalize_email(details.email),
        "language": details.language,
    }
    before = user.email
    changed = [name for name, value in values.items() if getattr(user, name) != value]
    for name in changed:
        setattr(user, name, values[name])
    db.session.flush()
    if "email" in changed:
        tell_old_address(user_id, before)
        end_access(user_id)
    if changed:
        record(actor, Action.USER_MANAGE, "user", user_id, details={"fields": changed})
    return user


def change_role(
    actor: Actor,
    member: LockedMember,
    role: str,
    supervisor: LockedMember | None,
    successor: LockedMember | None,
) -> None:
    """Give a member of staff another role, another supervisor or both; another role ends their sessions and tokens.

    `successor` supervises from now on whom they have supervised, if they stop being a supervisor. Raises RuleBroken
    while they have clients or people in the way of the new role, for the last admin, and for somebody who can't
    supervise them, and Forbidden for an admin by a token. Whoever is no supervisor any more sees no hold as its second
    person. Offers of cases from and to a new admin are withdrawn, cover by them ends, and only a coach's notes need a
    co-signature.
    """
    require(actor, Action.USER_MANAGE)
    user, before = member.user, member.user.role
    require_reach(actor, before, role)
    hidden = list_hidden(actor, member)
    try:
        check_role(member, role, hidden, has_successor=successor is not None)
    except RuleBroken as broken:
        note_named(member, hidden, broken)
        raise
    if before == Role.SUPERVISOR and role != before and successor is not None:
        place_people(actor, member, successor)
    user.role = role
    db.session.flush()
    wanted = supervisor.user.id if supervisor else None
    if wanted == user.supervisor_id:
        found = as_staff_member(supervisor.user) if supervisor else None
        refuse_for(list_supervisor_faults(found, as_staff_member(user)))
    else:
        change_supervisor(actor, member, supervisor)
    if role == before:
        return
    if role != Role.COACH:
        user.needs_cosignature = False
    if role != Role.SUPERVISOR:
        user.deputy_id = None
        # Only a supervisor releases a hold as the second person, so nobody else sees one for that.
        leave_everywhere(user.id, SECOND_PERSON)
    if role == Role.ADMIN:
        withdraw_offers_of(actor, user.id)
        end_covers_by(actor, user.id)
    db.session.flush()
    enqueue_alerts_of(user.id)
    end_access(user.id)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"role": role, "before": before})


def set_cosignature(actor: Actor, member: LockedMember, *, needed: bool) -> None:
    """Set whether a supervisor co-signs each note that a coach signs from now on, for an admin or their supervisor.

    Raises NotFound for a supervisor of others, and RuleBroken for somebody who isn't a coach.
    """
    require(actor, Action.COSIGNATURE_SET)
    check_cosignature(actor, member, needed=needed)
    user = member.user
    if user.needs_cosignature == needed:
        return
    user.needs_cosignature = needed
    db.session.flush()
    details = {"needs_cosignature": needed}
    record(actor, Action.COSIGNATURE_SET, "user", user.id, details=details)


def enable_member(actor: Actor, member: LockedMember) -> None:
    """Let somebody sign in again whose account was disabled; they get nothing back that was handed over.

    Raises RuleBroken for an account that isn't disabled, and for a coach whose supervisor has left, and Forbidden for
    an admin by a token.
    """
    require(actor, Action.USER_MANAGE)
    user = member.user
    require_reach(actor, user.role)
    if user.disabled_at is None:
        raise RuleBroken(ACTIVE)
    if user.role == Role.COACH:
        supervisor = _hold_supervisor(user.supervisor_id)
        found = as_staff_member(supervisor) if supervisor else None
        refuse_for(list_supervisor_faults(found, as_staff_member(user)))
    user.disabled_at = None
    db.session.flush()
    record(actor, Action.USER_MANAGE, "user", user.id, details={"enabled": True})
