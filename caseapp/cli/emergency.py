"""The command for emergency access to records: which accesses wait for a supervisor's review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.core.actor import operator
from caseapp.domain.dashboard.emergencies import list_waiting_reviews

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext

WITHOUT_CASE = "a client without a case"
WITHOUT_REVIEWER = "nobody can review it: the practice needs another supervisor"


@click.group("emergency-access")
def emergency_access() -> None:
    """Show emergency access to records."""


@emergency_access.command("list")
@click.pass_obj
def list_waiting(context: CommandContext) -> None:
    """List emergency access that is waiting for a supervisor’s review: since when, which case, and who read it."""
    with context.open():
        found = list_waiting_reviews(operator())
    for one in found:
        line = f"{one.opened_at:%Y-%m-%d %H:%M}  {one.number or WITHOUT_CASE}  {one.user_name}"
        click.echo(line if one.has_reviewer else f"{line}  {WITHOUT_REVIEWER}")
    if found:
        click.echo("Another supervisor reviews them: Board, Emergency access.")
    else:
        click.echo("No emergency access is waiting for review.")
