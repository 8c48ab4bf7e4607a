"""The owner of the token with their password and sessions, and the stage model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth import operations, passwords, queries
from caseapp.domain.auth.identities import find_identity, unlink_identity
from caseapp.domain.auth.schemas import (
    OwnIdentityResponseSchema,
    OwnLanguage,
    OwnLanguageSchema,
    PasswordChange,
    PasswordChangeSchema,
    SessionResponseSchema,
    TokenResponseSchema,
)
from caseapp.domain.cases.schemas import StageResponseSchema
from caseapp.domain.cases.stages import Stage, stages
from caseapp.domain.users.schemas import MeResponseSchema
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.pagination import Page
    from caseapp.core.sessions import Session
    from caseapp.domain.auth.models import Token

blueprint = ApiBlueprint(
    "me", "The owner of the token, their password and sessions, and the stage model."
)


@blueprint.route("/me")
@needs(Action.SELF_READ)
@blueprint.response_schema(MeResponseSchema())
def get_me() -> dict[str, Any]:
    """Return the owner of the token and the actions that their role and its scopes allow."""
    return _describe(current_actor())


def _describe(actor: Actor) -> dict[str, Any]:
    may = sorted(filter(actor.may, ACTIONS_BY_ROLE[actor.role]))
    language = queries.get_member(actor.id).language
    return {
        "id": actor.id,
        "name": actor.name,
        "role": actor.role,
        "language": language,
        "may": may,
    }


@blueprint.route("/me/password", "POST")
@needs(Action.ACCOUNT_EDIT)
@blueprint.response_schema(MeResponseSchema())
@blueprint.request_schema(PasswordChangeSchema())
def change_password(body: PasswordChange) -> dict[str, Any]:
    """Change your own password. It ends all of your sessions and tokens, including this one."""
    actor = current_actor()
    checked = passwords.check_change(actor, body)
    with transaction():
        passwords.change_password(checked)
    return _describe(actor)


@blueprint.route("/me/language", "POST")
@needs(Action.ACCOUNT_EDIT)
@blueprint.response_schema(MeResponseSchema())
@blueprint.request_schema(OwnLanguageSchema())
def save_language(body: OwnLanguage) -> dict[str, Any]:
    """Set the language of the mail that you get; null for the practice's."""
    actor = current_actor()
    with transaction():
        operations.set_own_language(actor, body.language)
    return _describe(actor)


@blueprint.route("/me/sessions")
@needs(Action.SELF_READ)
@blueprint.list_response_schema(SessionResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_sessions(query: ListRequest) -> Page[Session]:
    """List the browsers in which you are signed in, by the time of signing in."""
    found = queries.list_sessions(current_actor().id)
    return page_in_memory(found, lambda session: (session.id.hex,), query.cursor, query.limit)


@blueprint.route("/me/sessions/<uuid:session_id>/end", "POST")
@needs(Action.ACCOUNT_EDIT)
@blueprint.response_schema(SessionResponseSchema())
def end_session(session_id: UUID) -> Session:
    """End one of your sessions."""
    with transaction():
        return operations.end_own_session(current_actor(), session_id)


@blueprint.route("/me/tokens")
@needs(Action.SELF_READ)
@blueprint.list_response_schema(TokenResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_tokens(query: ListRequest) -> Page[Token]:
    """List your tokens, including those that have ended; the tokens themselves aren’t stored."""
    found = queries.list_tokens(current_actor().id)
    return page_in_memory(found, lambda token: (token.id.hex,), query.cursor, query.limit)


@blueprint.route("/me/tokens/<uuid:token_id>/revoke", "POST")
@needs(Action.ACCOUNT_EDIT)
@blueprint.response_schema(TokenResponseSchema())
def revoke_token(token_id: UUID) -> Token:
    """Revoke one of your tokens, which may be this one."""
    with transaction():
        return operations.revoke_own_token(current_actor(), token_id)


@blueprint.route("/me/identity")
@needs(Action.SELF_READ)
@blueprint.response_schema(OwnIdentityResponseSchema())
def get_identity() -> dict[str, Any]:
    """Return the account at the OpenID provider that you have linked; null when you have linked none."""
    return {"identity": find_identity(current_actor().id)}


@blueprint.route("/me/identity/unlink", "POST", error_statuses=(404, 409))
@needs(Action.IDENTITY_LINK)
@blueprint.response_schema(MeResponseSchema())
def unlink() -> dict[str, Any]:
    """Unlink your account at the OpenID provider. It ends all of your sessions and tokens, including this one."""
    actor = current_actor()
    with transaction():
        unlink_identity(actor)
    return _describe(actor)


@blueprint.route("/stages")
@needs(Action.SELF_READ)
@blueprint.list_response_schema(StageResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_stages(query: ListRequest) -> Page[Stage]:
    """List the seven stages with their entry and exit criteria."""
    return page_in_memory(stages(), lambda stage: (stage.number,), query.cursor, query.limit)
