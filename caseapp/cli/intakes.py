"""Commands for intakes that are sent to a supervisor: ask, look, decide, open the case.

Each needs to know who acts (`--as`). What is entered is read from standard input as the API takes it.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from caseapp.core.errors import Invalid
from caseapp.core.pagination import LARGEST_PAGE, read_all
from caseapp.core.transaction import transaction
from caseapp.domain.intakes import operations
from caseapp.domain.intakes.queries import (
    get_intake,
    list_intake_matches,
    list_intakes,
    lock_intake,
    lock_own_intake,
)
from caseapp.domain.intakes.schemas import AskedIntakeSchema, EnteredIntakeSchema, IntakeDecision
from caseapp.http.request_parsing import load

if TYPE_CHECKING:
    from uuid import UUID

    from marshmallow import Schema

    from caseapp.cli.context import CommandContext
    from caseapp.domain.intakes.schemas import IntakeRecord

intake_id_argument = click.argument("intake_id", metavar="ID", type=click.UUID)


@click.group()
def intake() -> None:
    """Send intakes to a supervisor, and decide about them."""


def _read(schema: Schema) -> Any:  # noqa: ANN401 - what the schema loads
    """Read an intake from standard input, as JSON.

    Raises Invalid.
    """
    try:
        sent = json.load(sys.stdin)
    except ValueError:
        sent = None
    if not isinstance(sent, dict):
        raise Invalid({"input": ["Send the intake as JSON."]})
    return load(schema, sent)


def _describe(found: IntakeRecord) -> str:
    state = {None: "waiting", True: "allowed", False: "refused"}[found.is_allowed]
    return f"{found.id}  {found.asked_at:%Y-%m-%d}  by {found.asked_by_name}, {state}"


@intake.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List the intakes that you sent to a supervisor or, as a supervisor, can decide about; without clients’ names."""
    with context.open_as() as actor:
        listed = read_all(lambda cursor: list_intakes(actor, cursor, LARGEST_PAGE))
    for found in listed:
        click.echo(_describe(found))


@intake.command()
@intake_id_argument
@click.pass_obj
def show(context: CommandContext, intake_id: UUID) -> None:
    """Show which details of an intake are compared and which clients match; for the supervisor who decides."""
    with context.open_as() as actor:
        found = get_intake(actor, intake_id)
        matches = [] if found.asked_by == actor.id else list_intake_matches(actor, found)
    click.echo(_describe(found))
    for name, text in found.client.items():
        if text:
            click.echo(f"{name}: {text}")
    for match in matches:
        click.echo(
            f"{match.client_id}  {match.name} (coach: {' and '.join(match.coaches)}) {match.reason}"
        )


@intake.command()
@click.pass_obj
def ask(context: CommandContext) -> None:
    """Send a new person and their case to your supervisor, and print the id of the intake.

    They are not compared with other records yet.
    """
    entered = _read(AskedIntakeSchema())
    with context.open_as() as actor, transaction():
        intake_id = operations.put_to_supervisor(actor, entered)
    click.echo(intake_id)


@intake.command()
@intake_id_argument
@click.option("--allow/--refuse", "is_allowed", required=True)
@click.option(
    "--shown",
    type=click.UUID,
    multiple=True,
    help="The id of each client that `show` listed. The decision is refused if the matches have changed since.",
)
@click.pass_obj
def decide(
    context: CommandContext, intake_id: UUID, shown: tuple[UUID, ...], *, is_allowed: bool
) -> None:
    """Decide whether this person and the matching clients can be coached here; for supervisors."""
    with context.open_as() as actor, transaction():
        decision = IntakeDecision(is_allowed, frozenset(shown))
        operations.decide_intake(actor, lock_intake(actor, intake_id), decision)
    click.echo("Allowed." if is_allowed else "Refused.")


@intake.command("open")
@intake_id_argument
@click.pass_obj
def open_case(context: CommandContext, intake_id: UUID) -> None:
    """Create the client and the case from one of your intakes, and print the id of the case."""
    entered = _read(EnteredIntakeSchema())
    with context.open_as() as actor, transaction():
        case_id = operations.open_intake(actor, lock_own_intake(actor, intake_id), entered)
    click.echo(case_id)
