"""Commands for the database itself: its two roles on PostgreSQL."""

from __future__ import annotations

import click
import sqlalchemy as sa

from caseapp.cli.context import EXIT_FAILED, CommandContext, print_error_lines
from caseapp.core.database_roles import set_up_roles, write_script
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.migrate import migration_connection


@click.group()
def database() -> None:
    """Set up the roles of the database."""


@database.command()
@click.option("--print-sql", is_flag=True, help="Print the statements without running them.")
@click.pass_obj
def roles(context: CommandContext, *, print_sql: bool) -> None:
    """Give the application’s role on PostgreSQL its rights, and no others; create it if it is missing.

    It connects as the owner of the tables, whom CASEAPP_OWNER_DATABASE_URL names, and can be repeated.
    """
    owner = context.settings.owner_database_url
    if owner is None:
        raise RuleBroken(
            Reason(
                "no_owner",
                "Two roles need PostgreSQL and the address of the tables’ owner.",
                "Set CASEAPP_OWNER_DATABASE_URL.",
            )
        )
    application = sa.make_url(context.settings.database_url)
    if print_sql:
        for line in write_script(sa.make_url(owner), application):
            click.echo(line)
        return
    with migration_connection(owner) as connection:
        left = set_up_roles(connection, application)
    if left:
        print_error_lines(left)
        raise click.exceptions.Exit(EXIT_FAILED)
    click.echo(f"The role {application.username} has the rights of the application, and no others.")
