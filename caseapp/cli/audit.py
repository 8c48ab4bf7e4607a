"""Commands for the audit log: verify it, export it, and accept a database that differs from the checkpoints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

import click

from caseapp.cli.context import EXIT_FAILED, print_error_lines
from caseapp.core.actor import require
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.checkpoints import (
    read_counting,
    record_acceptance,
    write_checkpoint,
)
from caseapp.domain.audit.export import export_log, record_export
from caseapp.domain.audit.signing import public_keys
from caseapp.domain.audit.stored_log_verification import verify_log
from caseapp.domain.audit.verifier import CheckpointBroken, describe_checkpoints, list_marks

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext


DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def audit() -> None:
    """Verify and export the audit log."""


@audit.command("verify")
@click.pass_obj
def verify_stored_log(context: CommandContext) -> None:
    """Check that no event of the log was changed, added, removed or moved; print the first fault of each stream.

    The output names the checkpoints that the log was compared with. Without one, the log may have been cut short or
    replaced.
    """
    lines, checkpoints = [], None
    with context.open_as() as actor:
        require(actor, Action.AUDIT_READ)
        try:
            checkpoints = read_counting()
        except CheckpointBroken as fault:
            lines.append(f"checkpoints: {fault}.")
        found = verify_log(list_marks(checkpoints or []))
    if checkpoints is not None:
        click.echo(describe_checkpoints(checkpoints))
    lines += [f"{fault.kind}: {fault.text}." for fault in found.faults]
    if lines:
        print_error_lines(lines)
        raise click.exceptions.Exit(EXIT_FAILED)
    click.echo(f"{found.events} events are unchanged.")


@audit.command()
@click.option("--since", type=DAY, help="First day, in UTC.")
@click.option("--until", type=DAY, help="Last day, in UTC.")
@click.option(
    "-o",
    "--output",
    type=click.File("wb"),
    default="-",
    help="File to write (default: standard output).",
)
@click.pass_obj
def export(
    context: CommandContext, since: datetime | None, until: datetime | None, output: BinaryIO
) -> None:
    """Write the events of a period with the checkpoints that confirm them, for somebody without the database.

    The file holds ids and codes, no names, no texts and no secret keys. caseapp/domain/audit/verifier.py verifies it.
    """
    with context.open_as() as actor:
        begin = since.replace(tzinfo=UTC) if since else None
        end = until.replace(tzinfo=UTC) + timedelta(days=1) if until else None
        with transaction():
            record_export(actor, begin, end)
        output.writelines(export_log(begin, end))
        for number, key in public_keys().items():
            click.echo(f"Verification key {number}: {key.hex()}", err=True)


@audit.command()
@click.option(
    "--reason", required=True, help="What happened to the database; don’t mention any client."
)
@click.pass_obj
def accept_rollback(context: CommandContext, reason: str) -> None:
    """Accept a database that is older than the last checkpoint, or different from it; the log keeps the reason."""
    with context.open_as() as actor:
        with transaction():
            accepted = record_acceptance(actor, reason)
        number = write_checkpoint(accepted=True)
    print_error_lines([fault.message for fault in accepted])
    click.echo(f"Accepted; checkpoint {number} covers the log as it is now.")
