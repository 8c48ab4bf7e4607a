"""Commands for staff who must not see a client; each needs to know who acts (`--as`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.core.pagination import LARGEST_PAGE, read_all
from caseapp.core.transaction import transaction
from caseapp.domain.clients.codes import DENIAL_END_REASONS, DENIAL_REASONS
from caseapp.domain.staffing import denial_operations
from caseapp.domain.staffing.denials import list_denials, lock_access, lock_denial
from caseapp.domain.staffing.schemas import NewDenial
from caseapp.domain.users.queries import get_user_by_email

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.cli.context import CommandContext


@click.group("denied-access")
def denied_access() -> None:
    """Record which member of staff must not see which client."""


@denied_access.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List who must not see which client, by case number; the reason is shown only if you see the client."""
    with context.open_as() as actor:
        found = read_all(lambda cursor: list_denials(actor, cursor, LARGEST_PAGE))
    for one in found:
        reason = f", {one.reason}" if one.reason else ""
        click.echo(
            f"{one.id}  {one.number}  {one.user_name}, since {one.created_at:%Y-%m-%d} "
            f"by {one.created_by_name}{reason}"
        )


@denied_access.command()
@click.argument("number")
@click.argument("email")
@click.option("--reason", required=True, type=click.Choice([*DENIAL_REASONS]))
@click.pass_obj
def record(context: CommandContext, number: str, email: str, reason: str) -> None:
    """Record that a member of staff must not see the client of a case, and print the id. They aren't told."""
    with context.open_named() as actor, transaction():
        new = NewDenial(number, get_user_by_email(email).id, reason)
        denial_id = denial_operations.deny_access(actor, lock_access(actor, number), new)
    click.echo(denial_id)


@denied_access.command()
@click.argument("denial_id", metavar="ID", type=click.UUID)
@click.option("--reason", required=True, type=click.Choice([*DENIAL_END_REASONS]))
@click.pass_obj
def end(context: CommandContext, denial_id: UUID, reason: str) -> None:
    """Let a member of staff see a client again, if their role or team lets them."""
    with context.open_named() as actor, transaction():
        denial_operations.end_denial(actor, lock_denial(actor, denial_id), reason)
    click.echo("Ended.")
