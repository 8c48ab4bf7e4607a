"""Commands for programs: which get tokens of their own by an id and a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.cli.users import scope_option
from caseapp.core.transaction import transaction
from caseapp.domain.auth.programs import end_program, list_programs, make_program
from caseapp.domain.auth.schemas import NewProgram
from caseapp.domain.users.queries import get_user_by_email

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.cli.context import CommandContext


@click.group()
def program() -> None:
    """Make, list and end programs that use the API on their own."""


@program.command()
@click.argument("email")
@click.option("--name", required=True, help="What the program is called.")
@scope_option
@click.pass_obj
def create(context: CommandContext, email: str, name: str, scopes: tuple[str, ...]) -> None:
    """Make a program that acts as a user; its id and its secret are printed, the secret only once."""
    with context.open_as() as actor, transaction():
        user = get_user_by_email(email)
        made, secret = make_program(actor, user.id, NewProgram(name, [*scopes]))
        id_ = made.id
    click.echo(f"{id_.hex}  {secret}")


@program.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List the programs that haven’t ended."""
    with context.open_as() as actor:
        for found, person in list_programs(actor):
            used = f"used {found.used_at:%Y-%m-%d}" if found.used_at else "not used yet"
            click.echo(
                f"{found.id.hex}  {found.name}, as {person}, {used}: {' '.join(found.scopes)}"
            )


@program.command()
@click.argument("program_id", metavar="ID", type=click.UUID)
@click.pass_obj
def end(context: CommandContext, program_id: UUID) -> None:
    """End a program and its tokens permanently."""
    with context.open_as() as actor, transaction():
        end_program(actor, program_id)
    click.echo("The program has ended.")
