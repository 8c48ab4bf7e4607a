"""Commands for cover: arrange it, show what to know about its clients, write the coach's lines, and end it early.

Each needs to know who acts (`--as`): the log names them, and the same rules apply as on the page Cover.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from caseapp.cli.context import read_text
from caseapp.cli.report import DAY
from caseapp.cli.transfers import all_option, case_option, choose_clients
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.practice.queries import local_day
from caseapp.domain.staffing import cover_operations as operations
from caseapp.domain.staffing.cover_queries import (
    get_cover,
    list_covers,
    lock_caseload,
    lock_cover,
    lock_covered_client,
)
from caseapp.domain.staffing.cover_schemas import LineSchema, NewCover
from caseapp.domain.users.queries import get_user_by_email
from caseapp.http.request_parsing import load

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.cli.context import CommandContext
    from caseapp.domain.staffing.cover_schemas import CoveredClientView

cover_id_argument = click.argument("cover_id", metavar="ID", type=click.UUID)


@click.group()
def cover() -> None:
    """Let a colleague cover for a coach who is away."""


@cover.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List cover for you and by you, and that of the people you supervise, without clients’ names."""
    with context.open_as() as actor:
        lines = [
            f"{one.id}  {one.colleague} for {one.coach}, {local_day(one.starts_at)} to "
            f"{local_day(one.ends_at - timedelta(minutes=1))}, clients: {one.clients}, {one.state}"
            for one in list_covers(actor)
        ]
    for found in lines:
        click.echo(found)


@cover.command()
@click.argument("coach", metavar="COACH")
@click.argument("colleague", metavar="COLLEAGUE")
@click.option("--since", type=DAY, required=True, help="First day.")
@click.option("--until", type=DAY, required=True, help="Last day, 90 days at most.")
@case_option
@all_option
@click.pass_obj
def arrange(
    context: CommandContext,
    coach: str,
    colleague: str,
    since: datetime,
    until: datetime,
    numbers: tuple[str, ...],
    *,
    is_all: bool,
) -> None:
    """Let a colleague cover for you or for a coach you supervise, and print the id; both are email addresses."""
    with context.open_as() as actor, transaction():
        caseload = lock_caseload(actor, get_user_by_email(coach).id)
        chosen = choose_clients(caseload, numbers, is_all=is_all)
        colleague_id = get_user_by_email(colleague).id
        wanted = NewCover(colleague_id, since.date(), until.date(), chosen, all=is_all)
        cover_id = operations.arrange_cover(actor, caseload, wanted)
    click.echo(cover_id)


@cover.command()
@cover_id_argument
@click.pass_obj
def show(context: CommandContext, cover_id: UUID) -> None:
    """Show what a covering colleague should know about the clients of a cover, by case number."""
    with context.open_as() as actor:
        found = get_cover(actor, cover_id)
    for one in found.clients:
        click.echo(_describe(one))
        if one.line:
            click.echo(f"    {one.line}")


def _describe(one: CoveredClientView) -> str:
    holds = ", ".join(f"{kind} hold" for kind in one.holds) or "no hold"
    met = f"{one.last_session:%Y-%m-%d}" if one.last_session else "none"
    return (
        f"{one.number}  {holds}, {one.flags} flags, last session {met}, {len(one.due)} due; meanwhile: "
        f"{one.notes} notes, {one.tasks_done} follow-ups done, {one.safety_records} safety records"
    )


@cover.command()
@cover_id_argument
@click.argument("number")
@click.pass_obj
def line(context: CommandContext, cover_id: UUID, number: str) -> None:
    """Write what the covering colleague should know about a client, from standard input; empty input removes it."""
    wanted = load(LineSchema(), {"line": read_text("Line")})
    with context.open_as() as actor, transaction():
        client_id = lock_case(actor, number.upper()).locked_client.id
        covered = lock_covered_client(actor, cover_id, client_id)
        operations.write_line(actor, covered, wanted.line, covered.row.version)
    click.echo("Saved." if wanted.line else "Removed.")


@cover.command()
@cover_id_argument
@click.pass_obj
def end(context: CommandContext, cover_id: UUID) -> None:
    """End cover now: the colleague no longer sees the clients."""
    with context.open_as() as actor, transaction():
        operations.end_cover(actor, lock_cover(actor, cover_id))
    click.echo("The cover has ended.")
