"""Commands for legal holds: list them, place one, say when somebody looks again, and lift one.

Each change needs to know who acts (`--as`): somebody else lifts a hold than who placed it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from caseapp.core.actor import SYSTEM_ID
from caseapp.core.pagination import LARGEST_PAGE
from caseapp.core.transaction import transaction
from caseapp.domain.legal_holds import operations
from caseapp.domain.legal_holds.codes import KINDS, LIFT_REASONS, SHOWN
from caseapp.domain.legal_holds.queries import (
    list_legal_holds,
    lock_legal_hold,
    lock_legal_holds,
)
from caseapp.domain.practice.queries import local_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from caseapp.cli.context import CommandContext
    from caseapp.core.actor import Actor

DAY = click.DateTime(["%Y-%m-%d"])


@click.group("legal-hold")
def legal_hold() -> None:
    """Place, review and lift legal holds: while a record has one, it can’t be erased or merged into another record."""


@contextmanager
def _changing(context: CommandContext) -> Iterator[Actor]:
    with context.open_as() as actor:
        if actor.id == SYSTEM_ID:
            raise click.UsageError("Say who you are: caseapp --as EMAIL legal-hold …")
        with transaction():
            yield actor


@legal_hold.command("list")
@click.option("--show", type=click.Choice([*SHOWN]), default="standing")
@click.pass_obj
def list_command(context: CommandContext, show: str) -> None:
    """List legal holds: case numbers, why, since when, and when the next review, in the practice's days."""
    with context.open_as() as actor:
        cursor, number = None, 0
        while True:
            page = list_legal_holds(actor, show, cursor, LARGEST_PAGE)
            for one in page.items:
                click.echo(
                    f"{one.id}  {', '.join(one.numbers) or 'a client without a case'}  {KINDS[one.kind]}, "
                    f"since {local_day(one.placed_at)}, look again on {one.review_on}"
                )
            number, cursor = number + len(page.items), page.next
            if cursor is None:
                break
    if not number:
        click.echo("No legal holds.")


@legal_hold.command()
@click.argument("number")
@click.option("--kind", required=True, type=click.Choice([*KINDS]))
@click.option("--review-on", required=True, type=DAY, help="Day of the next review.")
@click.pass_obj
def place(context: CommandContext, number: str, kind: str, review_on: datetime) -> None:
    """Place a legal hold on the record of the client with a case number."""
    with _changing(context) as actor:
        holds = lock_legal_holds(actor, number)
        placed = operations.place_legal_hold(actor, holds, kind, review_on.date())
    click.echo(f"Placed: {placed}")


@legal_hold.command()
@click.argument("legal_hold_id", metavar="ID", type=click.UUID)
@click.option("--review-on", required=True, type=DAY, help="Day of the next review.")
@click.pass_obj
def review(context: CommandContext, legal_hold_id: UUID, review_on: datetime) -> None:
    """Record that a legal hold is still needed."""
    with _changing(context) as actor:
        hold = lock_legal_hold(actor, legal_hold_id)
        operations.review_legal_hold(actor, hold, review_on.date())
    click.echo("Recorded.")


@legal_hold.command()
@click.argument("legal_hold_id", metavar="ID", type=click.UUID)
@click.option("--reason", required=True, type=click.Choice([*LIFT_REASONS]))
@click.pass_obj
def lift(context: CommandContext, legal_hold_id: UUID, reason: str) -> None:
    """Lift a legal hold that somebody else placed."""
    with _changing(context) as actor:
        operations.lift_legal_hold(actor, lock_legal_hold(actor, legal_hold_id), reason)
    click.echo("Lifted.")
