"""Commands for cases that change hands: offer them, decide about an offer, and hand a client over.

Each needs to know who acts (`--as`): the log names them, and the same rules apply as on their pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from caseapp.core.errors import Invalid
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.codes import TRANSFER_REASONS
from caseapp.domain.staffing import transfer_operations as operations
from caseapp.domain.staffing.cover_queries import lock_caseload
from caseapp.domain.staffing.operations import hand_over
from caseapp.domain.staffing.transfer_briefs import get_brief
from caseapp.domain.staffing.transfer_queries import list_transfers, lock_transfer
from caseapp.domain.staffing.transfer_schemas import NewTransfer
from caseapp.domain.users.queries import get_user_by_email
from caseapp.http.briefs import make_brief_pdf

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.cli.context import CommandContext
    from caseapp.core.actor import Actor
    from caseapp.domain.staffing.cover_queries import LockedCaseload
    from caseapp.domain.staffing.transfer_queries import LockedTransfer


@click.group()
def transfer() -> None:
    """Offer cases to colleagues, decide about offers, and hand clients over."""


@transfer.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List the cases offered to you, and those that you or your coaches offered in the last 30 days.

    Clients’ names are not shown.
    """
    with context.open_as() as actor:
        found = list_transfers(actor)
    for one in found:
        click.echo(
            f"{one.id}  {one.number}  {one.coach} to {one.colleague}, {one.state}, "
            f"until {one.expires_at:%Y-%m-%d}"
        )


case_option = click.option(
    "--case", "numbers", metavar="NUMBER", multiple=True, help="Repeat it for several."
)
all_option = click.option("--all", "is_all", is_flag=True, help="All cases of the coach.")


def choose_clients(
    caseload: LockedCaseload, numbers: tuple[str, ...], *, is_all: bool
) -> tuple[UUID, ...]:
    """Return the clients of some cases of a coach; none for `is_all`, which says it by itself.

    Raises UsageError unless either is given, and Invalid for a number that is none of this coach's cases.
    """
    if bool(numbers) == is_all:
        raise click.UsageError("Give either --case, once for each case, or --all.")
    by_number = {one.number: one.client_id for one in caseload.clients}
    if unknown := {number.upper() for number in numbers} - by_number.keys():
        raise Invalid({"case": [f"Not a case of this coach: {', '.join(sorted(unknown))}."]})
    return tuple(by_number[number.upper()] for number in numbers)


@transfer.command()
@click.argument("coach", metavar="COACH")
@click.argument("colleague", metavar="COLLEAGUE")
@click.option("--reason", required=True, type=click.Choice([*TRANSFER_REASONS]))
@case_option
@all_option
@click.pass_obj
def offer(
    context: CommandContext,
    coach: str,
    colleague: str,
    reason: str,
    numbers: tuple[str, ...],
    *,
    is_all: bool,
) -> None:
    """Offer cases to a colleague: your own, or those of a coach you supervise.

    COACH and COLLEAGUE are email addresses.
    """
    with context.open_as() as actor, transaction():
        caseload = lock_caseload(actor, get_user_by_email(coach).id)
        chosen = choose_clients(caseload, numbers, is_all=is_all)
        wanted = NewTransfer(get_user_by_email(colleague).id, reason, chosen, all=is_all)
        operations.offer_cases(actor, caseload, wanted)
    click.echo(f"{colleague} has seven days to accept or decline.")


@transfer.command("hand-over")
@click.argument("number")
@click.argument("leaver", metavar="FROM")
@click.argument("heir", metavar="TO")
@click.pass_obj
def hand_over_command(context: CommandContext, number: str, leaver: str, heir: str) -> None:
    """Hand over the client of a case to another coach at once; for supervisors. FROM and TO are email addresses."""
    with context.open_as() as actor, transaction():
        found = lock_case(actor, number.upper())
        people = [get_user_by_email(email).id for email in (leaver, heir)]
        hand_over(actor, found.locked_client, *people)
    click.echo(f"{heir} is responsible for {number.upper()} now.")


@transfer.command()
@click.argument("transfer_id", metavar="ID", type=click.UUID)
@click.option("-o", "--output", type=click.File("wb"), required=True, help="File to write.")
@click.pass_obj
def brief(context: CommandContext, transfer_id: UUID, output: BinaryIO) -> None:
    """Write the brief of a case that you accepted as a PDF. It shows the case number, but not the client’s name."""
    with context.open_as() as actor:
        content = make_brief_pdf(actor, get_brief(actor, transfer_id))
    output.write(content)


def _add(name: str, decide: Callable[[Actor, LockedTransfer], None], about: str, done: str) -> None:
    """Add a command that decides about one transfer."""

    def run(context: CommandContext, transfer_id: UUID) -> None:
        with context.open_as() as actor, transaction():
            decide(actor, lock_transfer(actor, transfer_id))
        click.echo(done)

    argument = click.argument("transfer_id", metavar="ID", type=click.UUID)
    transfer.command(name, help=about)(argument(click.pass_obj(run)))


_add(
    "accept",
    operations.accept_transfer,
    "Accept a case that was offered to you: you are the client's coach from now on.",
    "You are the client's coach now.",
)
_add(
    "decline",
    operations.decline_transfer,
    "Decline a case that was offered to you.",
    "Declined.",
)
_add(
    "withdraw",
    operations.withdraw_transfer,
    "Withdraw an offer that you or one of your coaches made, and that nobody has decided about.",
    "Withdrawn.",
)
_add(
    "undo",
    operations.undo_transfer,
    "Undo a transfer within 24 hours after it was accepted.",
    "Undone: the former coach is the client's coach again.",
)
