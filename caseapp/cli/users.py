"""Staff and tokens: accounts are made here and nowhere else; a password is read, never given as an argument."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from caseapp.core.actor import operator
from caseapp.core.transaction import transaction
from caseapp.domain.auth.queries import list_tokens
from caseapp.domain.auth.operations import (
    add_user,
    create_token,
    disable_user,
    reset_password,
    revoke_token,
)
from caseapp.domain.users.queries import list_users, get_user_by_email

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.cli.context import CommandContext

ROLES = ["coach", "supervisor", "admin"]


def read_password() -> str:
    """Read a password from standard input; at a terminal it is asked for twice and not shown."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


@click.group()
def user() -> None:
    """Add, list and take off staff."""


@user.command()
@click.argument("email")
@click.option("--name", required=True)
@click.option("--role", type=click.Choice(ROLES), default="coach", show_default=True)
@click.option("--supervisor", metavar="EMAIL", help="Who supervises a coach.")
@click.pass_obj
def add(context: CommandContext, email: str, name: str, role: str, supervisor: str | None) -> None:
    """Add somebody; the password comes from standard input."""
    password = read_password()
    with context.open(), transaction():
        add_user(operator(), email, name, role, password, supervisor=supervisor)
    click.echo(f"{name} can sign in as {email.strip().lower()} ({role}).")


@user.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List everybody with their role."""
    with context.open():
        for person in list_users():
            ended = f"  no access since {_day(person.disabled_at)}" if person.disabled_at else ""
            click.echo(f"{person.email}  {person.name}, {person.role}{ended}")


@user.command()
@click.argument("email")
@click.pass_obj
def disable(context: CommandContext, email: str) -> None:
    """Take somebody's access away at once; their records stay."""
    with context.open(), transaction():
        disable_user(operator(), email)
    click.echo(f"{email} can no longer sign in.")


@user.command()
@click.argument("email")
@click.pass_obj
def reset(context: CommandContext, email: str) -> None:
    """Set a new password, read from standard input, and sign the person out everywhere."""
    password = read_password()
    with context.open(), transaction():
        reset_password(operator(), email, password)
    click.echo(f"{email} has a new password and is signed out everywhere.")


@click.group()
def token() -> None:
    """Make and revoke tokens for the API."""


@token.command()
@click.argument("email")
@click.option("--name", required=True, help="What the token is for.")
@click.pass_obj
def create(context: CommandContext, email: str, name: str) -> None:
    """Make a token with somebody's rights; it is printed once."""
    with context.open(), transaction():
        _, text = create_token(operator(), email, name)
    click.echo(text)


@token.command("list")
@click.argument("email")
@click.pass_obj
def list_tokens_command(context: CommandContext, email: str) -> None:
    """List somebody's tokens; their texts are kept nowhere."""
    with context.open():
        for found in list_tokens(get_user_by_email(email).id):
            ended = f"  revoked {_day(found.revoked_at)}" if found.revoked_at else ""
            click.echo(f"{found.id}  {found.name}, created {_day(found.created_at)}{ended}")


@token.command()
@click.argument("token_id", metavar="ID", type=click.UUID)
@click.pass_obj
def revoke(context: CommandContext, token_id: UUID) -> None:
    """Revoke a token for good."""
    with context.open(), transaction():
        revoke_token(operator(), token_id)
    click.echo("The token no longer opens anything.")
