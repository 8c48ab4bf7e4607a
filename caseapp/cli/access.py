"""The command that explains access: why somebody on the staff may or may not open a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.core.transaction import transaction
from caseapp.domain.staffing.access import explain_access
from caseapp.domain.staffing.access_rules import may_open

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext


@click.group()
def access() -> None:
    """Explain who may open what."""


@access.command()
@click.argument("email")
@click.argument("number")
@click.pass_obj
def explain(context: CommandContext, email: str, number: str) -> None:
    """Say why somebody may or may not open a case, given by its number; nothing about the client is shown."""
    with context.open_as() as actor, transaction():
        grounds = explain_access(actor, email, number)
    click.echo(f"{email} {'may' if may_open(grounds) else 'may not'} open {number.upper()}.")
    for ground in grounds:
        click.echo(f"- {ground.text}")
