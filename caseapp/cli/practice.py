"""Commands for the practice's settings, as on the page Settings."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from caseapp.core.actor import require
from caseapp.core.errors import Invalid
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.practice.operations import update_practice
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.practice.schemas import PracticeSchema, as_change
from caseapp.http.request_parsing import load

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext


@click.group()
def practice() -> None:
    """Show and change the practice's settings."""


@practice.command()
@click.pass_obj
def show(context: CommandContext) -> None:
    """Print the settings as JSON."""
    with context.open_as() as actor:
        require(actor, Action.PRACTICE_EDIT)
        found = PracticeSchema().dump(as_change(get_practice()))
    click.echo(json.dumps(found, ensure_ascii=False, indent=2, sort_keys=True))


@practice.command()
@click.pass_obj
def edit(context: CommandContext) -> None:
    """Change settings, read from standard input as JSON, such as {"tells_new_coach": true}; the others stay."""
    try:
        sent = json.load(sys.stdin)
    except ValueError:
        sent = None
    if not isinstance(sent, dict) or not sent:
        raise Invalid({"input": ["Send the settings as JSON."]})
    with context.open_as() as actor, transaction():
        before = get_practice()
        wanted = load(PracticeSchema(), PracticeSchema().dump(as_change(before)) | sent)
        update_practice(actor, wanted, before.version)
    click.echo(f"Changed: {', '.join(sorted(sent))}")
