"""Tokens for programs, with Authlib: OAuth 2.0 client credentials, revocation and introspection.

A program shows its id and secret by HTTP Basic alone. Bodies and answers are those of RFC 6749, 7009 and 7662, not the
JSON of the rest of the API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError, InvalidScopeError, scope_to_list
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Blueprint, request

from caseapp.api.blueprint import PREFIX
from caseapp.core.clock import now
from caseapp.core.transaction import transaction
from caseapp.domain.auth import programs
from caseapp.domain.auth.throttling import count_wrong_token
from caseapp.http.guard import public
from caseapp.http.security import csrf
from caseapp.http.token_budget import count_request

if TYPE_CHECKING:
    from flask import Response

    from caseapp.domain.auth.models import Program, Token

WRONG_PROGRAM = "The id or secret is wrong, or the program has ended."
WRONG_SCOPE = "Name one or more scopes of the program."
SHOWN_WHO = "a program shows its id and secret here, and without them it is refused"

blueprint = Blueprint("api_programs", __name__, url_prefix=f"{PREFIX}/oauth")
csrf.exempt(blueprint)


class Client(ClientMixin):  # type: ignore[misc]
    """A program, as Authlib asks about it."""

    def __init__(self, program: Program) -> None:
        """Take the program."""
        self.program = program

    def get_client_id(self) -> str:
        """Return the program's id."""
        return self.program.id.hex

    def get_allowed_scope(self, scope: str) -> str:
        """Return what was asked for; the grant has checked it."""
        return scope

    def check_client_secret(self, client_secret: str) -> bool:
        """Tell whether this is the program's secret."""
        return programs.has_secret(self.program, client_secret)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """Accept HTTP Basic only."""
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type: str) -> bool:
        """Accept client credentials only."""
        return grant_type == "client_credentials"


class IssuedToken:
    """A token of a program, as Authlib asks about it."""

    def __init__(self, token: Token) -> None:
        """Take the token."""
        self.token = token

    def check_client(self, client: Client) -> bool:
        """Tell whether it was issued to this program."""
        return self.token.program_id == client.program.id

    def is_expired(self) -> bool:
        """Tell whether its time is over."""
        return self.token.expires_at <= now()

    def is_revoked(self) -> bool:
        """Tell whether it was revoked."""
        return self.token.revoked_at is not None


class Grant(ClientCredentialsGrant):  # type: ignore[misc]
    """Client credentials; scopes have to be named, since unknown ones would be dropped without a word."""

    def validate_requested_scope(self) -> None:
        """Require scopes that are the program's.

        Raises InvalidScopeError.
        """
        wanted = {*(scope_to_list(self.request.payload.scope) or [])}
        if not wanted or not wanted <= {*self.request.client.program.scopes}:
            raise InvalidScopeError(WRONG_SCOPE)


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """A program gives back a token of its own."""

    def query_token(self, token_string: str, _hint: str | None) -> IssuedToken | None:
        """Find the token."""
        return _find_token(token_string)

    def revoke_token(self, token: IssuedToken, _request: object) -> None:
        """Revoke it."""
        with transaction():
            programs.revoke_program_token(token.token.id)


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """A program asks about a token of its own; of any other it learns that it isn't active."""

    def query_token(self, token_string: str, _hint: str | None) -> IssuedToken | None:
        """Find the token."""
        return _find_token(token_string)

    def check_permission(self, token: IssuedToken, client: Client, _request: object) -> bool:
        """Tell whether the program may ask about the token."""
        return token.check_client(client)

    def introspect_token(self, token: IssuedToken) -> dict[str, Any]:
        """Describe an active token."""
        found = token.token
        return {
            "active": True,
            "client_id": found.program_id.hex if found.program_id else None,
            "token_type": "Bearer",
            "scope": " ".join(found.scopes),
            "iat": int(found.created_at.timestamp()),
            "exp": int(found.expires_at.timestamp()),
        }


class Server(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server with one answer for every program that it doesn't know, so that nobody learns which exist."""

    def authenticate_client(self, *given: object, **more: object) -> Client:
        """Find the program of the request, and count the request as one of its budget.

        Raises InvalidClientError and TooManyAttempts.
        """
        try:
            found: Client = super().authenticate_client(*given, **more)
        except (InvalidClientError, UnicodeDecodeError):
            count_wrong_token(request.remote_addr or "")
            raise InvalidClientError(WRONG_PROGRAM, status_code=401) from None
        count_request(found.program.id)
        return found


def _find_client(client_id: str) -> Client | None:
    found = programs.find_program(client_id)
    return Client(found) if found else None


def _find_token(text: str) -> IssuedToken | None:
    found = programs.find_program_token(text)
    return IssuedToken(found) if found else None


def _issue(client: Client, scope: str, **_given: object) -> dict[str, Any]:
    wanted = sorted({*scope_to_list(scope)})
    with transaction():
        text = programs.issue_token(client.program.id, wanted)
    return {
        "token_type": "Bearer",
        "access_token": text,
        "expires_in": int(programs.PROGRAM_TOKEN_LIFETIME.total_seconds()),
        "scope": " ".join(wanted),
    }


def _leave_saved(_token: dict[str, Any], _request: object) -> None:
    """Save nothing: `_issue` has saved the token with its audit event."""


SERVER = Server(query_client=_find_client, save_token=_leave_saved)
SERVER.register_token_generator("default", _issue)
SERVER.register_grant(Grant)
SERVER.register_endpoint(Revocation)
SERVER.register_endpoint(Introspection)


@blueprint.post("/token")
@public(SHOWN_WHO)
def issue_token() -> Response:
    """Issue a token that is valid for 15 minutes."""
    return SERVER.create_token_response()  # type: ignore[no-any-return]


@blueprint.post("/revoke")
@public(SHOWN_WHO)
def revoke_token() -> Response:
    """Revoke a token."""
    return SERVER.create_endpoint_response(Revocation.ENDPOINT_NAME)  # type: ignore[no-any-return]


@blueprint.post("/introspect")
@public(SHOWN_WHO)
def introspect_token() -> Response:
    """Return whether a token is active, and its scopes."""
    return SERVER.create_endpoint_response(Introspection.ENDPOINT_NAME)  # type: ignore[no-any-return]
