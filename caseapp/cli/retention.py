"""The command for retention: which records needn't be kept any longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.core.pagination import LARGEST_PAGE
from caseapp.domain.retention.queries import get_years, list_due
from caseapp.domain.retention.schemas import SHOWN

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext


@click.group()
def retention() -> None:
    """Show which records no longer have to be kept; two people decide about each on the staff pages."""


@retention.command("list")
@click.option("--show", type=click.Choice([*SHOWN]), default="all")
@click.pass_obj
def list_command(context: CommandContext, show: str) -> None:
    """List the records that are due: case numbers, legal holds and, unless you are an admin, since when."""
    with context.open_as() as actor:
        if get_years() is None:
            click.echo(
                "The practice hasn’t chosen how long it keeps records (Settings, Retention)."
            )
            return
        cursor, number = None, 0
        while True:
            page = list_due(actor, show, cursor, LARGEST_PAGE)
            for one in page.items:
                held = "  legal hold" if one.has_legal_hold else ""
                cases = ", ".join(one.numbers) or "a client without a case"
                since = f"  due since {one.due_on}" if one.due_on else ""
                click.echo(f"{cases}{since}{held}")
            number, cursor = number + len(page.items), page.next
            if cursor is None:
                break
    click.echo(f"Records that are due: {number}.")
