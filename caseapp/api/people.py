"""API for staff: who works here, and inviting, changing, disabling and enabling their accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest, merge_changes
from caseapp.core.pagination import Page, page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth.operations import end_sessions_of
from caseapp.domain.auth.password_links import invite_again, make_reset_code
from caseapp.domain.auth.queries import STATES, get_account, list_accounts
from caseapp.domain.auth.schemas import InvitationWaySchema, ResetReasonSchema
from caseapp.domain.staffing.members import (
    change_role,
    enable_member,
    invite_member,
    set_cosignature,
    update_member,
)
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import lock_member, lock_with_others
from caseapp.domain.staffing.schemas import (
    CosignatureSchema,
    MemberCodeResponseSchema,
    MemberDetailsSchema,
    MemberResponseSchema,
    NewMember,
    NewMemberSchema,
    RoleChoice,
    RoleChoiceSchema,
    Successor,
    SuccessorSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.auth.queries import Account

blueprint = ApiBlueprint("people", "Staff: who works here, in which role, and their accounts.")
DETAILS = MemberDetailsSchema(partial=True)


class PersonQuery(ListQuerySchema):
    """Filters of the list of staff."""

    state = fields.String(validate=validate.OneOf(STATES))


def _describe(account: Account) -> dict[str, Any]:
    user = account.user
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "supervisor_id": user.supervisor_id,
        "language": user.language,
        "needs_cosignature": user.needs_cosignature,
        "state": account.state,
        "invited_at": account.invited_at,
        "created_at": user.created_at,
        "disabled_at": user.disabled_at,
        "version": user.version,
    }


@blueprint.route("/people")
@needs(Action.USER_MANAGE)
@blueprint.list_response_schema(MemberResponseSchema())
@blueprint.query_params(PersonQuery())
def list_people(query: ListRequest) -> Page[dict[str, Any]]:
    """List the staff by name, including those who have left."""
    state = query.filters.get("state")
    found = [account for account in list_accounts() if state in {None, account.state}]
    page = page_in_memory(
        found,
        lambda account: (account.user.name, account.user.id.hex),
        query.cursor,
        query.limit,
    )
    return page.map(_describe)


@blueprint.route("/people", "POST")
@needs(Action.USER_MANAGE)
@blueprint.response_schema(
    MemberCodeResponseSchema(), 201, location=lambda made: f"/people/{made['id']}"
)
@blueprint.request_schema(NewMemberSchema())
def invite(body: NewMember) -> dict[str, Any]:
    """Invite somebody: the account has no password until they choose one.

    If the way is `code`, the response contains the code to hand over. It isn’t stored, so it can’t be shown again, not
    even when the request is repeated with its `Idempotency-Key`: `code` is then null. Another invitation has a new
    code.
    """
    codes: list[str | None] = [None]

    def create() -> UUID:
        user_id, codes[0] = invite_member(current_actor(), body)
        return user_id

    with transaction():
        user_id = run_api_once(create)
    return {"id": user_id, "code": codes[0]}


@blueprint.route("/people/<uuid:user_id>")
@needs(Action.USER_MANAGE)
@blueprint.response_schema(MemberResponseSchema())
def get_person(user_id: UUID) -> dict[str, Any]:
    """Get one member of staff."""
    return _describe(get_account(user_id))


@blueprint.route("/people/<uuid:user_id>", "PATCH")
@needs(Action.USER_MANAGE)
@blueprint.response_schema(MemberResponseSchema())
@blueprint.request_schema(DETAILS)
@blueprint.requires_if_match
def update_person(user_id: UUID, body: dict[str, Any], version: int) -> dict[str, Any]:
    """Change name, email address or language of their mail; a new address ends their sessions and tokens."""
    with transaction():
        user = get_account(user_id).user
        current = {"name": user.name, "email": user.email, "language": user.language}
        update_member(
            current_actor(), user_id, merge_changes(MemberDetailsSchema(), current, body), version
        )
    return _describe(get_account(user_id))


@blueprint.route("/people/<uuid:user_id>/role", "POST", error_statuses=(409,))
@needs(Action.USER_MANAGE)
@blueprint.response_schema(MemberResponseSchema())
@blueprint.request_schema(RoleChoiceSchema())
def update_role(user_id: UUID, body: RoleChoice) -> dict[str, Any]:
    """Change the role and the supervisor; a new role ends their sessions and tokens."""
    with transaction():
        member, supervisor, successor = lock_with_others(
            user_id, supervisor_id=body.supervisor_id, successor_id=body.people_to
        )
        change_role(current_actor(), member, body.role, supervisor, successor)
    return _describe(get_account(user_id))


@blueprint.route("/people/<uuid:user_id>/cosignature", "POST", error_statuses=(409,))
@needs(Action.COSIGNATURE_SET)
@blueprint.response_schema(MemberResponseSchema())
@blueprint.request_schema(CosignatureSchema())
def update_cosignature(user_id: UUID, body: bool) -> dict[str, Any]:  # noqa: FBT001 - what the schema loads
    """Set whether a supervisor co-signs each note that this coach signs from now on."""
    with transaction():
        set_cosignature(current_actor(), lock_member(user_id), needed=body)
    return _describe(get_account(user_id))


@blueprint.route("/people/<uuid:user_id>/disable", "POST", error_statuses=(409,))
@needs(Action.USER_MANAGE)
@blueprint.response_schema(MemberResponseSchema())
@blueprint.request_schema(SuccessorSchema())
def disable_person(user_id: UUID, body: Successor) -> dict[str, Any]:
    """Disable an account.

    Refused while they are responsible for clients in need, or supervise people who have no other supervisor.
    """
    with transaction():
        member, _, successor = lock_with_others(user_id, successor_id=body.successor_id)
        disable_member(current_actor(), member, successor)
    return _describe(get_account(user_id))


@blueprint.route("/people/<uuid:user_id>/enable", "POST", error_statuses=(409,))
@needs(Action.USER_MANAGE)
@blueprint.response_schema(MemberResponseSchema())
def enable_person(user_id: UUID) -> dict[str, Any]:
    """Enable an account again; what was handed over stays where it is."""
    with transaction():
        enable_member(current_actor(), lock_member(user_id))
    return _describe(get_account(user_id))


@blueprint.route("/people/<uuid:user_id>/sessions/end", "POST")
@needs(Action.USER_MANAGE)
@blueprint.response_schema(MemberResponseSchema())
def end_sessions(user_id: UUID) -> dict[str, Any]:
    """Sign somebody out everywhere; their tokens keep working."""
    with transaction():
        end_sessions_of(current_actor(), get_account(user_id).user.email)
    return _describe(get_account(user_id))


@blueprint.route("/people/<uuid:user_id>/invitation", "POST", error_statuses=(409,))
@needs(Action.USER_MANAGE)
@blueprint.response_schema(MemberCodeResponseSchema())
@blueprint.request_schema(InvitationWaySchema())
def send_invitation(user_id: UUID, body: str) -> dict[str, Any]:
    """Invite somebody again who hasn’t accepted; the earlier link or code stops working."""
    with transaction():
        code = invite_again(current_actor(), user_id, by_mail=body == "mail")
    return {"id": user_id, "code": code}


@blueprint.route("/people/<uuid:user_id>/password-code", "POST", error_statuses=(409,))
@needs(Action.USER_MANAGE)
@blueprint.response_schema(MemberCodeResponseSchema())
@blueprint.request_schema(ResetReasonSchema())
def make_code(user_id: UUID, body: str) -> dict[str, Any]:
    """Make a code with which somebody else chooses a new password; it is not shown again."""
    with transaction():
        code = make_reset_code(current_actor(), user_id, body)
    return {"id": user_id, "code": code}
