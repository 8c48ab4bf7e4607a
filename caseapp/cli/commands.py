"""The root command group: `caseapp …`."""

from __future__ import annotations

import click

from caseapp.cli.access import access
from caseapp.cli.audit import audit
from caseapp.cli.check import check
from caseapp.cli.conflicts import conflicts
from caseapp.cli.context import CommandContext, Commands
from caseapp.cli.cover import cover
from caseapp.cli.database import database
from caseapp.cli.denials import denied_access
from caseapp.cli.emergency import emergency_access
from caseapp.cli.erasure import erasure
from caseapp.cli.handouts import handouts
from caseapp.cli.intakes import intake
from caseapp.cli.keys import keys
from caseapp.cli.legal_holds import legal_hold
from caseapp.cli.portal import portal
from caseapp.cli.practice import practice
from caseapp.cli.programs import program
from caseapp.cli.report import report
from caseapp.cli.retention import retention
from caseapp.cli.serve import serve
from caseapp.cli.setup import demo, init
from caseapp.cli.transfers import transfer
from caseapp.cli.users import token, user
from caseapp.cli.worker import worker


@click.group(cls=Commands)
@click.option(
    "--as",
    "operator_email",
    metavar="EMAIL",
    default="",
    help="Who you are: the log names this person, whose role must allow the change (or set CASEAPP_OPERATOR).",
)
@click.pass_obj
def caseapp(context: CommandContext, operator_email: str) -> None:
    """Case management for a coaching practice."""
    context.operator_email = operator_email.strip()


for command in (
    serve,
    worker,
    init,
    demo,
    practice,
    check,
    user,
    token,
    program,
    handouts,
    conflicts,
    access,
    denied_access,
    emergency_access,
    transfer,
    cover,
    intake,
    portal,
    report,
    keys,
    erasure,
    legal_hold,
    retention,
    audit,
    database,
):
    caseapp.add_command(command)
