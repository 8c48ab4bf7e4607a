"""Staff: who works here and in which role; each person's page changes their account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core import settings
from caseapp.core.i18n import LANGUAGES
from caseapp.core.pagination import PAGE_SIZE, page_in_memory
from caseapp.core.permissions import STAFF_ROLES, Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.recipients import as_staff_member
from caseapp.domain.alerts.rules import is_supervisor
from caseapp.domain.audit.security_events import list_bursts
from caseapp.domain.auth.operations import end_sessions_of
from caseapp.domain.auth.password_links import invite_again, make_reset_code
from caseapp.domain.auth.queries import (
    STATES,
    Account,
    get_account,
    get_member,
    list_accounts,
    list_factor_owners,
)
from caseapp.domain.auth.schemas import (
    INVITATION_WAYS,
    REMOVAL_REASONS,
    RESET_REASONS,
    FactorRemovalSchema,
    InvitationWaySchema,
    ResetReasonSchema,
)
from caseapp.domain.auth.second_factor import has_second_factor, remove_second_factor_of
from caseapp.domain.reports.csv_table import coach_code
from caseapp.domain.staffing.members import (
    change_role,
    enable_member,
    invite_member,
    set_cosignature,
    update_member,
)
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import (
    LockedMember,
    list_leaving,
    lock_member,
    lock_with_others,
)
from caseapp.domain.staffing.schemas import (
    CosignatureSchema,
    MemberDetails,
    MemberDetailsSchema,
    NewMember,
    NewMemberSchema,
    RoleChoice,
    RoleChoiceSchema,
    Successor,
    SuccessorSchema,
)
from caseapp.domain.users.queries import list_users
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor, needs
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor
    from caseapp.core.errors import Reason
    from caseapp.domain.users.models import User

blueprint = Blueprint("people", __name__)
EVENT_LABELS = {
    "password": "Wrong password at sign-in",
    "confirmation": "Wrong password when asked again",
    "code": "Wrong second-factor code",
    "entry": "Wrong link or card at the portal",
    "start_code": "Wrong start code at the portal",
    "pin": "Wrong PIN at the portal",
    "token": "Wrong token at the API",
    "link": "Wrong link or code for choosing a password",
    "refused": "Page or record that isn’t theirs",
    "altered": "Signed note that was changed afterwards",
}


ROLE_LABELS = {role.value: role.value.capitalize() for role in Role if role in STAFF_ROLES}
STATE_LABELS = {"active": "Active", "invited": "Invited", "disabled": "No access"}


@blueprint.get("/people")
@needs(Action.USER_MANAGE)
def people_list() -> ResponseReturnValue:
    """List the staff by name: those who have access or are invited, or those in a state or role that was chosen."""
    args = request.args
    state = args["state"] if args.get("state") in STATES else ""
    role = args["role"] if args.get("role") in ROLE_LABELS else ""
    accounts = list_accounts()
    chosen = [
        account
        for account in accounts
        if (account.state == state if state else account.state != "disabled")
        and (not role or account.user.role == role)
    ]
    return render_template(
        "people/list.html",
        page=page_in_memory(
            chosen,
            lambda account: (account.user.name, account.user.id.hex),
            args.get("cursor"),
            PAGE_SIZE,
        ),
        total=len(chosen),
        state=state,
        role=role,
        states=STATE_LABELS,
        roles=ROLE_LABELS,
        names={account.user.id: account.user.name for account in accounts},
        code_of=coach_code,
        bursts=list_bursts(),
        kinds=EVENT_LABELS,
        factor_owners=list_factor_owners(),
    )


def load_supervisors() -> dict[str, str]:
    """Load the names of those who may supervise somebody, by id."""
    return {
        str(person.id): person.name
        for person in list_users()
        if is_supervisor(as_staff_member(person))
    }


invitation = FormPage(blueprint, "/people/invite", Action.USER_MANAGE, load_supervisors)


@invitation.show
def invite_page(supervisors: dict[str, str], forms: Forms) -> str:
    """Ask whom to invite."""
    return render_template(
        "people/invite.html",
        forms=forms,
        supervisors=supervisors,
        roles=ROLE_LABELS,
        languages=LANGUAGES,
        **_ways(),
    )


def _ways() -> dict[str, object]:
    """Return what the choice of how somebody gets an invitation needs; without a mail server it is a code."""
    has_mail = settings.active().smtp_url is not None
    return {
        "ways": INVITATION_WAYS,
        "default_way": "mail" if has_mail else "code",
        "way_hint": "A code is shown once, for you to hand over."
        if has_mail
        else "A code is shown once, for you to hand over. No mail server is set: emails stay on the server.",
    }


@invitation.form(Action.USER_MANAGE, Body(NewMemberSchema, NewMember), lock=no_lock)
def invite(_locked: None, new: NewMember, sent: Sent) -> Done:
    """Add a member of staff and invite them."""
    user_id, code = invite_member(sent.actor, new)
    return _show_code(user_id, new.name, code, is_invitation=True)


def _show_code(user_id: UUID, name: str, code: str | None, *, is_invitation: bool) -> Done:
    """Show a code once; without one a link is on its way by mail."""
    back = url_for("people.person_page", user_id=user_id)
    if code is None:
        return Done(back, "invited")
    address = settings.active().base_url + url_for("password_links.password_page")
    return Done(
        back,
        shown=lambda: render_template(
            "people/code.html",
            name=name,
            code=code,
            address=address,
            back=back,
            is_invitation=is_invitation,
        ),
    )


@dataclass(frozen=True)
class PersonView:
    """A member of staff, who may supervise them, and what their page says about leaving.

    `people` are those whom they supervise, `blockers` what else has to be placed before they leave.
    """

    account: Account
    has_factor: bool
    supervisors: dict[str, str]
    people: list[User]
    blockers: list[Reason]


def load_person(user_id: UUID) -> PersonView:
    """Load a member of staff.

    Raises NotFound.
    """
    account = get_account(user_id)
    blockers, people = list_leaving(current_actor(), user_id)
    supervisors = load_supervisors()
    supervisors.pop(str(user_id), None)
    return PersonView(account, has_second_factor(user_id), supervisors, people, blockers)


person = FormPage(blueprint, "/people/<uuid:user_id>", Action.USER_MANAGE, load_person)


@person.show
def person_page(view: PersonView, forms: Forms) -> str:
    """Show the account of a member of staff and what can be changed."""
    user = view.account.user
    return render_template(
        "people/person.html",
        view=view,
        forms=forms,
        roles=ROLE_LABELS,
        languages=LANGUAGES,
        reset_reasons=RESET_REASONS,
        supervisor=view.supervisors.get(str(user.supervisor_id)),
        hand_over_address=settings.active().base_url
        + url_for("staffing.hand_over_page", user_id=user.id),
        **_ways(),
    )


def _address(sent: Sent) -> str:
    return url_for("people.person_page", user_id=sent.args["user_id"])


def lock_person(_actor: Actor, user_id: UUID) -> LockedMember:
    """Lock a member of staff.

    Raises NotFound.
    """
    return lock_member(user_id)


def person_values(view: PersonView) -> dict[str, object]:
    """Return what the form of name, address and language sends untouched."""
    return {name: getattr(view.account.user, name) for name in MemberDetailsSchema().fields}


@person.form(
    Action.USER_MANAGE,
    Body(MemberDetailsSchema, MemberDetails),
    lock=no_lock,
    values=person_values,
)
def save_person(_locked: None, details: MemberDetails, sent: Sent) -> Done:
    """Save the name, the address and the language."""
    update_member(sent.actor, sent.args["user_id"], details, sent.version)
    return Done(_address(sent), "person_saved")


@person.post(
    Action.USER_MANAGE,
    Body(RoleChoiceSchema, RoleChoice),
    rule="/people/<uuid:user_id>/role",
    refused="The role wasn’t changed",
)
def save_role(choice: RoleChoice, sent: Sent) -> ResponseReturnValue:
    """Save the role and the supervisor."""
    with transaction():
        member, supervisor, successor = lock_with_others(
            sent.args["user_id"],
            supervisor_id=choice.supervisor_id,
            successor_id=choice.people_to,
        )
        change_role(sent.actor, member, choice.role, supervisor, successor)
    flash("person_saved")
    return redirect(_address(sent), code=303)


@person.form(
    Action.USER_MANAGE,
    Body(CosignatureSchema, bool),
    lock=lock_person,
    rule="/people/<uuid:user_id>/cosignature",
)
def save_cosignature(member: LockedMember, needed: bool, sent: Sent) -> Done:  # noqa: FBT001 - what the schema loads
    """Save whether a supervisor co-signs their notes."""
    set_cosignature(sent.actor, member, needed=needed)
    return Done(_address(sent), "person_saved")


@person.post(
    Action.USER_MANAGE,
    Body(SuccessorSchema, Successor),
    rule="/people/<uuid:user_id>/disable",
    refused="The account wasn’t disabled",
)
def disable_person(choice: Successor, sent: Sent) -> ResponseReturnValue:
    """Disable the account."""
    with transaction():
        member, _, successor = lock_with_others(
            sent.args["user_id"], successor_id=choice.successor_id
        )
        disable_member(sent.actor, member, successor)
    flash("person_disabled")
    return redirect(_address(sent), code=303)


@person.form(
    Action.USER_MANAGE,
    BUTTON,
    lock=lock_person,
    rule="/people/<uuid:user_id>/enable",
    refused="The account wasn’t enabled",
)
def enable_person(member: LockedMember, _body: dict[str, Any], sent: Sent) -> Done:
    """Enable the account again."""
    enable_member(sent.actor, member)
    return Done(_address(sent), "person_enabled")


@person.form(
    Action.USER_MANAGE,
    Body(InvitationWaySchema, str),
    lock=no_lock,
    rule="/people/<uuid:user_id>/invitation",
    refused="No invitation was sent",
)
def send_invitation(_locked: None, way: str, sent: Sent) -> Done:
    """Invite somebody again who hasn't accepted."""
    user = get_member(sent.args["user_id"])
    code = invite_again(sent.actor, user.id, by_mail=way == "mail")
    return _show_code(user.id, user.name, code, is_invitation=True)


@person.form(
    Action.USER_MANAGE,
    Body(ResetReasonSchema, str),
    lock=no_lock,
    rule="/people/<uuid:user_id>/password-code",
    refused="No code was made",
)
def make_code(_locked: None, reason: str, sent: Sent) -> Done:
    """Make a code with which somebody chooses a new password, and show it once."""
    user = get_member(sent.args["user_id"])
    code = make_reset_code(sent.actor, user.id, reason)
    return _show_code(user.id, user.name, code, is_invitation=False)


@person.form(Action.USER_MANAGE, BUTTON, lock=no_lock, rule="/people/<uuid:user_id>/sessions/end")
def end_sessions(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """End all sessions of somebody."""
    end_sessions_of(sent.actor, get_member(sent.args["user_id"]).email)
    return Done(_address(sent), "sessions_ended_of")


@dataclass(frozen=True)
class FactorOf:
    """A member of staff, and whether they have a second factor."""

    person: User
    is_set_up: bool


def load_factor_of(user_id: UUID) -> FactorOf:
    """Load the second factor of a member of staff.

    Raises NotFound.
    """
    return FactorOf(get_member(user_id), has_second_factor(user_id))


factor = FormPage(
    blueprint, "/people/<uuid:user_id>/second-factor", Action.USER_MANAGE, load_factor_of
)


@factor.show
def factor_of_page(view: FactorOf, forms: Forms) -> str:
    """Ask why the second factor of somebody is to be removed."""
    return render_template(
        "people/second_factor.html", view=view, forms=forms, reasons=REMOVAL_REASONS
    )


@factor.form(Action.USER_MANAGE, Body(FactorRemovalSchema, str), lock=no_lock)
def remove_factor_of(_locked: None, reason: str, sent: Sent) -> Done:
    """Remove the second factor of somebody who has lost it."""
    remove_second_factor_of(sent.actor, sent.args["user_id"], reason)
    return Done(_address(sent), "factor_removed_of")
