"""Commands for the audit log: verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.cli.context import EXIT_FAILED, print_error_lines
from caseapp.core.actor import require
from caseapp.core.permissions import Action
from caseapp.domain.audit.verification import verify_log

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext


@click.group()
def audit() -> None:
    """Verify the audit log."""


@audit.command("verify")
@click.pass_obj
def verify_stored_log(context: CommandContext) -> None:
    """Check that no event of the log was changed, added, removed or moved; print the first fault of each stream."""
    with context.open_as() as actor:
        require(actor, Action.AUDIT_READ)
        found = verify_log()
    if found.faults:
        print_error_lines([f"{fault.kind}: {fault.text}." for fault in found.faults])
        raise click.exceptions.Exit(EXIT_FAILED)
    click.echo(f"{found.events} events are as they were written.")
