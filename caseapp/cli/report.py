"""The report command: the same audited export as on the web pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_reads
from caseapp.domain.cases.stages import stages
from caseapp.domain.reports.codes import FORMATS
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.queries import build_export_file
from caseapp.domain.reports.schemas import STATUSES, ExportSchema
from caseapp.domain.users.queries import get_user_by_email
from caseapp.http.request_parsing import load

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.cli.context import CommandContext

DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def report() -> None:
    """Export reports."""


@report.command()
@click.option(
    "--format", "kind", type=click.Choice(list(FORMATS)), default="csv", show_default=True
)
@click.option(
    "--since",
    type=DAY,
    help="First day of the period. Includes cases that were open on any day in the period.",
)
@click.option("--until", type=DAY, help="Last day.")
@click.option("--coach", metavar="EMAIL")
@click.option("--stage", type=click.Choice([stage.id for stage in stages()]))
@click.option("--status", type=click.Choice(list(STATUSES)))
@click.option(
    "-o",
    "--output",
    type=click.File("wb"),
    default="-",
    help="File to write (default: standard output).",
)
@click.pass_obj
def cases(
    context: CommandContext,
    kind: str,
    since: datetime | None,
    until: datetime | None,
    coach: str | None,
    stage: str | None,
    status: str | None,
    output: BinaryIO,
) -> None:
    """Export the case report: coded values without names or free text."""
    with context.open_as() as actor:
        chosen = {
            "format": kind,
            "since": since.date().isoformat() if since else None,
            "until": until.date().isoformat() if until else None,
            "coach": str(get_user_by_email(coach).id) if coach else None,
            "stage": stage,
            "status": status,
        }
        new = load(ExportSchema(), chosen)
        with transaction():
            export_id = create_export(actor, new.filters, new.format)
        pieces, _, _ = build_export_file(actor, export_id)
        record_reads(actor)
        output.writelines(pieces)
