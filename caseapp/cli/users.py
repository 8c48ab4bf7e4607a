"""User and token commands; passwords are read from standard input, never arguments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from caseapp.core.i18n import LANGUAGES
from caseapp.core.permissions import READING_SCOPES, SCOPES, Role
from caseapp.core.transaction import transaction
from caseapp.domain.auth.identities import find_identity, unlink_identity_of
from caseapp.domain.auth.operations import (
    TOKEN_DAYS,
    add_user,
    create_token,
    end_sessions_of,
    reset_password,
    revoke_token,
)
from caseapp.domain.auth.password_links import invite_again, make_reset_code
from caseapp.domain.auth.queries import list_accounts, list_sessions, list_tokens
from caseapp.domain.auth.schemas import REMOVAL_REASONS, RESET_REASONS
from caseapp.domain.auth.second_factor import remove_second_factor_of
from caseapp.domain.staffing.members import (
    change_role,
    enable_member,
    invite_member,
    set_cosignature,
    update_member,
)
from caseapp.domain.staffing.operations import change_supervisor, disable_member
from caseapp.domain.staffing.queries import lock_member, lock_members, lock_with_others
from caseapp.domain.staffing.schemas import MemberDetails, NewMember
from caseapp.domain.users.queries import find_user_by_email, get_user_by_email

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.cli.context import CommandContext

NOBODY, PRACTICES = "nobody", "practice"
ROLES = ["coach", "supervisor", "admin"]


def read_password() -> str:
    """Read a password from standard input; at a terminal prompt twice without showing it."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


@click.group()
def user() -> None:
    """Add, list and disable users."""


@user.command()
@click.argument("email")
@click.option("--name", required=True)
@click.option("--role", type=click.Choice(ROLES), default="coach", show_default=True)
@click.option("--supervisor", metavar="EMAIL", help="Supervisor of a coach.")
@click.pass_obj
def add(context: CommandContext, email: str, name: str, role: str, supervisor: str | None) -> None:
    """Add a user; the password is read from standard input."""
    password = read_password()
    with context.open_as() as actor, transaction():
        add_user(actor, email, name, role, password, supervisor=supervisor)
    click.echo(f"{name} can sign in as {email.strip().lower()} ({role}).")


@user.command()
@click.argument("email")
@click.option("--name", required=True)
@click.option("--role", type=click.Choice(ROLES), default="coach", show_default=True)
@click.option("--supervisor", metavar="EMAIL", help="Supervisor of a coach.")
@click.option(
    "--code", "by_code", is_flag=True, help="Print a code to hand over; nothing is mailed."
)
@click.pass_obj
def invite(
    context: CommandContext,
    email: str,
    name: str,
    role: str,
    supervisor: str | None,
    *,
    by_code: bool,
) -> None:
    """Invite somebody, who chooses their own password, or invite them again if they haven’t yet."""
    way = "code" if by_code else "mail"
    with context.open_as() as actor, transaction():
        found = find_user_by_email(email)
        if found is not None:
            code = invite_again(actor, found.id, by_mail=not by_code)
        else:
            supervisor_id = get_user_by_email(supervisor).id if supervisor else None
            _, code = invite_member(actor, NewMember(name, email, role, supervisor_id, way))
    click.echo(code or f"A link is on its way to {email.strip().lower()}.")


@user.command("code")
@click.argument("email")
@click.option("--reason", required=True, type=click.Choice([*RESET_REASONS]))
@click.pass_obj
def make_code(context: CommandContext, email: str, reason: str) -> None:
    """Print a code with which a user chooses a new password, within 60 minutes; it is printed only once."""
    with context.open_as() as actor, transaction():
        code = make_reset_code(actor, get_user_by_email(email).id, reason)
    click.echo(code)


@user.command()
@click.argument("email")
@click.option("--name", help="Their new name.")
@click.option("--email", "new_email", metavar="EMAIL", help="Their new email address.")
@click.option(
    "--language",
    type=click.Choice([*LANGUAGES, PRACTICES]),
    help=f"The language of their mail; `{PRACTICES}` for the practice's.",
)
@click.pass_obj
def edit(
    context: CommandContext,
    email: str,
    name: str | None,
    new_email: str | None,
    language: str | None,
) -> None:
    """Change the name, the email address or the language of a user; a new address ends their sessions and tokens."""
    with context.open_as() as actor, transaction():
        found = get_user_by_email(email)
        chosen = found.language if language is None else language
        details = MemberDetails(
            name or found.name, new_email or found.email, None if chosen == PRACTICES else chosen
        )
        update_member(actor, found.id, details, found.version)
    click.echo(f"{details.name}, {details.email}")


@user.command("role")
@click.argument("email")
@click.argument("role", type=click.Choice(ROLES))
@click.option("--supervisor", metavar="EMAIL", help="Their new supervisor.")
@click.option("--people-to", metavar="EMAIL", help="Who supervises their coaches from now on.")
@click.pass_obj
def change_role_command(
    context: CommandContext, email: str, role: str, supervisor: str | None, people_to: str | None
) -> None:
    """Give a user another role, and end their sessions and tokens.

    Without --supervisor they keep theirs, except that an admin has none.
    """
    with context.open_as() as actor, transaction():
        found = get_user_by_email(email)
        supervisor_id = get_user_by_email(supervisor).id if supervisor else found.supervisor_id
        member, new_supervisor, successor = lock_with_others(
            found.id,
            supervisor_id=None if role == Role.ADMIN else supervisor_id,
            successor_id=get_user_by_email(people_to).id if people_to else None,
        )
        change_role(actor, member, role, new_supervisor, successor)
    click.echo(f"{email} now has the role {role}.")


@user.command("cosignature")
@click.argument("email")
@click.option("--needed/--not-needed", required=True, help="Whether a supervisor co-signs.")
@click.pass_obj
def set_cosignature_command(context: CommandContext, email: str, *, needed: bool) -> None:
    """Set whether a supervisor co-signs each note that a coach signs from now on."""
    with context.open_as() as actor, transaction():
        set_cosignature(actor, lock_member(get_user_by_email(email).id), needed=needed)
    click.echo(f"Notes of {email} need {'a' if needed else 'no'} co-signature.")


@user.command()
@click.argument("email")
@click.pass_obj
def enable(context: CommandContext, email: str) -> None:
    """Let a user sign in again; what was handed over stays where it is."""
    with context.open_as() as actor, transaction():
        enable_member(actor, lock_member(get_user_by_email(email).id))
    click.echo(f"{email} can sign in again.")


@user.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List all users with their roles."""
    with context.open():
        for account in list_accounts():
            person = account.user
            ended = f"  no access since {_day(person.disabled_at)}" if person.disabled_at else ""
            if account.state == "invited":
                ended = "  invited"
            click.echo(f"{person.email}  {person.name}, {person.role}{ended}")


@user.command()
@click.argument("email")
@click.option("--people-to", metavar="EMAIL", help="Who supervises their coaches from now on.")
@click.pass_obj
def disable(context: CommandContext, email: str, people_to: str | None) -> None:
    """Disable a user at once; their records stay.

    Refused while they are responsible for clients with an open hold, flag or follow-up: a supervisor hands these over
    first, under Board, Hand over. Also refused while they supervise somebody, without --people-to.
    """
    with context.open_as() as actor, transaction():
        others = [get_user_by_email(people_to).id] if people_to else []
        member, *successors = lock_members(get_user_by_email(email).id, *others)
        disable_member(actor, member, successors[0] if successors else None)
    click.echo(f"{email} can no longer sign in.")


@user.command()
@click.argument("email")
@click.option(
    "--by",
    metavar="EMAIL",
    required=True,
    help="Their new supervisor; `nobody` for a supervisor who has none.",
)
@click.pass_obj
def supervise(context: CommandContext, email: str, by: str) -> None:
    """Give a user another supervisor, who sees their clients from now on."""
    with context.open_as() as actor, transaction():
        others = [] if by == NOBODY else [get_user_by_email(by).id]
        member, *supervisors = lock_members(get_user_by_email(email).id, *others)
        change_supervisor(actor, member, supervisors[0] if supervisors else None)
    click.echo(f"{by.capitalize() if by == NOBODY else by} now supervises {email}.")


@user.command()
@click.argument("email")
@click.pass_obj
def reset(context: CommandContext, email: str) -> None:
    """Set a new password, read from standard input, and end all sessions and tokens of the user."""
    password = read_password()
    with context.open_as() as actor, transaction():
        reset_password(actor, email, password)
    click.echo(f"{email} has a new password; all sessions and tokens have ended.")


@user.command("sessions")
@click.argument("email")
@click.pass_obj
def list_sessions_command(context: CommandContext, email: str) -> None:
    """List where a user is signed in."""
    with context.open():
        for found in list_sessions(get_user_by_email(email).id):
            click.echo(f"Signed in {_minute(found.created_at)}, used {_minute(found.last_seen_at)}")


@user.command("sign-out")
@click.argument("email")
@click.pass_obj
def sign_out(context: CommandContext, email: str) -> None:
    """End all sessions of a user; tokens keep working."""
    with context.open_as() as actor, transaction():
        end_sessions_of(actor, email)
    click.echo(f"{email} is signed out everywhere.")


@user.command("remove-factor")
@click.argument("email")
@click.option("--reason", required=True, type=click.Choice([*REMOVAL_REASONS]))
@click.pass_obj
def remove_factor(context: CommandContext, email: str, reason: str) -> None:
    """Remove the second factor of somebody who has lost it, and end all of their sessions and tokens."""
    with context.open_as() as actor, transaction():
        remove_second_factor_of(actor, get_user_by_email(email).id, reason)
    click.echo(f"{email} no longer has a second factor; all sessions and tokens have ended.")


@user.command("identity")
@click.argument("email")
@click.pass_obj
def show_identity(context: CommandContext, email: str) -> None:
    """Show which account at the OpenID provider a user has linked: issuer, subject, and when."""
    with context.open():
        found = find_identity(get_user_by_email(email).id)
        if found is not None:
            used = f", used {_minute(found.used_at)}" if found.used_at else ""
            click.echo(f"{found.issuer}  {found.subject}, linked {_day(found.linked_at)}{used}")


@user.command()
@click.argument("email")
@click.pass_obj
def unlink(context: CommandContext, email: str) -> None:
    """Unlink a user’s account at the OpenID provider, and end all sessions and tokens of the user.

    They can then sign in with their password, even if the practice requires single sign-on. Use this while the provider
    can’t be reached.
    """
    with context.open_as() as actor, transaction():
        unlink_identity_of(actor, email)
    click.echo(f"{email} signs in with the password now; all sessions and tokens have ended.")


scope_option = click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=READING_SCOPES,
    show_default="to read everything",
    help="What it may do, within what the user may do. Repeat it for several.",
)


@click.group()
def token() -> None:
    """Create, list and revoke API tokens."""


@token.command()
@click.argument("email")
@click.option("--name", required=True, help="What the token is for.")
@scope_option
@click.option("--days", type=int, default=TOKEN_DAYS, show_default=True, help="How long it lasts.")
@click.pass_obj
def create(
    context: CommandContext, email: str, name: str, scopes: tuple[str, ...], days: int
) -> None:
    """Create a token with a user’s permissions, within its scopes; it is printed only once."""
    with context.open_as() as actor, transaction():
        _, text = create_token(actor, email, name, scopes, days)
    click.echo(text)


@token.command("list")
@click.argument("email")
@click.pass_obj
def list_tokens_command(context: CommandContext, email: str) -> None:
    """List a user’s tokens; the tokens themselves are not stored."""
    with context.open():
        for found in list_tokens(get_user_by_email(email).id):
            ended = f"  revoked {_day(found.revoked_at)}" if found.revoked_at else ""
            used = f"used {_minute(found.used_at)}" if found.used_at else "not used yet"
            click.echo(
                f"{found.id}  {found.name}, created {_day(found.created_at)}, "
                f"until {_day(found.expires_at)}, {used}: {' '.join(found.scopes)}{ended}"
            )


@token.command()
@click.argument("token_id", metavar="ID", type=click.UUID)
@click.pass_obj
def revoke(context: CommandContext, token_id: UUID) -> None:
    """Revoke a token permanently."""
    with context.open_as() as actor, transaction():
        revoke_token(actor, token_id)
    click.echo("The token has been revoked.")
