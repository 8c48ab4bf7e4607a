"""Commands for the codes that a client uses to sign in to the portal; each needs to know who acts (`--as`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.core.transaction import transaction
from caseapp.domain.auth.portal_codes import invite_client, make_card
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.codes import NEW_CODE_REASONS

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext


@click.group()
def portal() -> None:
    """Make the codes that clients use to sign in to the portal."""


@portal.command()
@click.argument("number")
@click.option(
    "--reason", type=click.Choice([*NEW_CODE_REASONS]), help="Why a client needs new ones."
)
@click.pass_obj
def codes(context: CommandContext, number: str, reason: str | None) -> None:
    """Print a start code for the client of a case, and a card code if no email is safe; each is printed only once."""
    with context.open_as() as actor, transaction():
        made = invite_client(actor, lock_case(actor, number.upper()).locked_client, reason)
    click.echo(f"Start code: {made.start_code}")
    if made.mailed:
        click.echo("A link is on its way to the client.")
    elif made.card_code:
        click.echo(f"Card code: {made.card_code}")
    else:
        click.echo("Somebody else has to make the card.")


@portal.command()
@click.argument("number")
@click.pass_obj
def card(context: CommandContext, number: str) -> None:
    """Print the card code that goes with a start code that somebody else has made; it is printed only once."""
    with context.open_as() as actor, transaction():
        code = make_card(actor, lock_case(actor, number.upper()).locked_client)
    click.echo(f"Card code: {code}")
