"""Handout commands: check and list the library, render one handout as a PDF."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import TYPE_CHECKING, BinaryIO

import click

from caseapp.cli.context import EXIT_FAILED, CommandContext
from caseapp.core.errors import NotFound
from caseapp.core.i18n import in_language
from caseapp.core.settings import ROOT
from caseapp.domain.handouts.checks import list_problems
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.printing import render_handout_pdf
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.practice.queries import get_practice_info

if TYPE_CHECKING:
    from datetime import datetime


def release_date() -> date:
    """Return the day on which this release was checked, so that its build does not become outdated."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = project["tool"]["caseapp"]["released"]
    assert isinstance(found, date)  # noqa: S101 - TOML has dates
    return found


@click.group()
def handouts() -> None:
    """Check, list and render handouts."""


@handouts.command("check")
@click.option(
    "--on", type=click.DateTime(["%Y-%m-%d"]), help="Check as of this day (default: today)."
)
@click.option("--at-release", is_flag=True, help="Check as of the release date.")
@click.pass_obj
def check_library(context: CommandContext, on: datetime | None, *, at_release: bool) -> None:
    """Check sources, claims, review dates and help lines of every handout; print one line per problem."""
    day = release_date() if at_release else on.date() if on else None
    with context.open():
        found = list_problems(day)
    for fault in found:
        click.echo(fault)
    if found:
        raise click.exceptions.Exit(EXIT_FAILED)
    click.echo(f"{len(library())} handout texts checked, no problems found.")


@handouts.command("list")
@click.pass_obj
def list_library(context: CommandContext) -> None:
    """List every handout with its stage, language and version."""
    with context.open():
        for handout in library().values():
            click.echo(
                f"{handout.code}  {handout.stage:10}  {handout.language}  {handout.version:>2}  {handout.id}  "
                f"{handout.title}"
            )


@handouts.command()
@click.argument("slug")
@click.option("--language", default="en", show_default=True)
@click.option("--faith", is_flag=True, help="Use the faith variant if there is one.")
@click.option("-o", "--output", type=click.File("wb"), required=True, help="PDF file to write.")
@click.pass_obj
def render(
    context: CommandContext, slug: str, language: str, output: BinaryIO, *, faith: bool
) -> None:
    """Render one handout as the PDF for clients, with this practice’s letterhead and help lines."""
    with context.open():
        handout = library().get((slug, language))
        if handout is None:
            raise NotFound(
                f"There is no handout {slug} in {language}. List them: caseapp handouts list"
            )
        info = get_practice_info()
        reviewed = get_handout_version(slug, language, handout.version).reviewed is not None
        with in_language(info.practice.language):
            output.write(
                render_handout_pdf(
                    handout, info.letterhead, info.help_lines, faith=faith, reviewed=reviewed
                )
            )
