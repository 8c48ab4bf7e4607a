"""The command for possible conflicts of interest: which pairs of clients wait for a supervisor's decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.domain.clients.matches import list_undecided_pairs

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext

WITHOUT_CASE = "a client without a case"


@click.group()
def conflicts() -> None:
    """Show possible conflicts of interest."""


@conflicts.command("list")
@click.pass_obj
def list_waiting(context: CommandContext) -> None:
    """List the pairs that are waiting for a supervisor’s decision: since when, and both case numbers, without names."""
    with context.open_as() as actor:
        found = list_undecided_pairs(actor)
    for pair in found:
        numbers = sorted([pair.number or WITHOUT_CASE, pair.other_number or WITHOUT_CASE])
        click.echo(f"{pair.found_at:%Y-%m-%d}  {'  '.join(numbers)}")
    if found:
        click.echo("A supervisor decides: Board, Possible conflicts.")
    else:
        click.echo("No possible conflict is waiting for a decision.")
