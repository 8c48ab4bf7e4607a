"""Commands for emergency access to records: open it, end it, review it, and which accesses wait for a review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.cli.context import read_text
from caseapp.core.pagination import LARGEST_PAGE, read_all
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.clients.codes import EMERGENCY_MINUTES, EMERGENCY_REASONS, REVIEW_OUTCOMES
from caseapp.domain.dashboard.emergencies import list_emergencies, list_waiting_reviews
from caseapp.domain.staffing import emergency_operations
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.emergencies import lock_emergency, lock_reviewed_emergency
from caseapp.domain.staffing.schemas import NewEmergencyAccessSchema
from caseapp.http.request_parsing import load

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.cli.context import CommandContext
    from caseapp.core.actor import Actor

WITHOUT_CASE = "a client without a case"
WITHOUT_REVIEWER = "nobody can review it: the practice needs another supervisor"

emergency_id_argument = click.argument("emergency_id", metavar="ID", type=click.UUID)


@click.group("emergency-access")
def emergency_access() -> None:
    """Use emergency access to read a record that you don't normally see, and review such access."""


@emergency_access.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List your uses of emergency access and those that you may review; an admin lists all that wait for a review.

    Cases are given by their numbers.
    """
    with context.open_as() as actor:
        lines = _list_own(actor) if actor.may(Action.EMERGENCY_OPEN) else _list_waiting(actor)
    for line in lines:
        click.echo(line)


def _list_own(actor: Actor) -> list[str]:
    """List the actor's own emergency accesses and those that they may review, with why they were opened."""
    found = read_all(lambda cursor: list_emergencies(actor, cursor, LARGEST_PAGE))
    return [
        f"{one.id}  {one.number or WITHOUT_CASE}  {one.user_name}, {one.opened_at:%Y-%m-%d %H:%M}, "
        f"{'open' if one.is_open else 'ended'}, {'reviewed' if one.reviewed_at else 'not reviewed'}, "
        f"{one.reason}: {one.words}"
        for one in found
    ] or ["You have no emergency access, and none to review."]


def _list_waiting(actor: Actor) -> list[str]:
    """List all that wait for a review, as `caseapp check` counts them: since when, which case, and who read it."""
    found = list_waiting_reviews(actor)
    if not found:
        return ["No emergency access is waiting for review."]
    lines = [
        f"{one.opened_at:%Y-%m-%d %H:%M}  {one.number or WITHOUT_CASE}  {one.user_name}"
        f"{'' if one.has_reviewer else f'  {WITHOUT_REVIEWER}'}"
        for one in found
    ]
    return [*lines, "Another supervisor reviews them: Board, Emergency access."]


@emergency_access.command("open")
@click.argument("number")
@click.option("--reason", required=True, type=click.Choice([*EMERGENCY_REASONS]))
@click.pass_obj
def open_command(context: CommandContext, number: str, reason: str) -> None:
    """Open the record of a case for reading, and print the id; why it can't wait is read from standard input.

    The client's coach is told, and another supervisor reviews it.
    """
    sent = {"number": number, "reason": reason, "words": read_text("Why it can't wait")}
    new = load(NewEmergencyAccessSchema(), sent)
    with context.open_as() as actor, transaction():
        access = lock_access(actor, new.number, Action.EMERGENCY_OPEN)
        emergency_id = emergency_operations.open_emergency_access(actor, access, new)
    click.echo(f"{emergency_id}  open for {EMERGENCY_MINUTES} minutes")


@emergency_access.command()
@emergency_id_argument
@click.pass_obj
def end(context: CommandContext, emergency_id: UUID) -> None:
    """End one of your uses of emergency access now."""
    with context.open_as() as actor, transaction():
        emergency_operations.end_emergency_access(actor, lock_emergency(actor, emergency_id))
    click.echo("It has ended.")


@emergency_access.command()
@emergency_id_argument
@click.option("--outcome", required=True, type=click.Choice([*REVIEW_OUTCOMES]))
@click.pass_obj
def review(context: CommandContext, emergency_id: UUID, outcome: str) -> None:
    """Record, as another supervisor, whether an emergency access was needed."""
    with context.open_as() as actor, transaction():
        locked = lock_reviewed_emergency(actor, emergency_id)
        emergency_operations.review_emergency_access(actor, locked, outcome)
    click.echo("Reviewed.")
