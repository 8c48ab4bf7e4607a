"""Erasure commands: which older copies of the database can still be opened, and erasing again what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.core.vault import vault_key_ids
from caseapp.domain.audit.tombstones import (
    TombstoneBroken,
    list_returned,
    list_tombstone_faults,
)
from caseapp.domain.erasure.operations import note_keys_gone, repeat_erasure
from caseapp.domain.erasure.queries import list_done

if TYPE_CHECKING:
    from caseapp.cli.context import CommandContext


@click.group()
def erasure() -> None:
    """Show the state of erasures, and repeat those that were undone by restoring an older database."""


@erasure.command()
@click.pass_obj
def status(context: CommandContext) -> None:
    """Show each erasure, and which listed vault keys can still open copies of the database from before it."""
    with context.open():
        with transaction():
            note_keys_gone()
        listed = {*vault_key_ids()}
        for row in list_done():
            opened_by = sorted(listed & {*row.vault_keys})
            copies = (
                f"older copies of the database can be opened with vault key {', '.join(opened_by)}"
                if opened_by
                else "none of the vault keys that were listed then is still listed"
            )
            click.echo(f"{row.id}: erased {row.decided_at:%Y-%m-%d}; {copies}.")


@erasure.command()
@click.pass_obj
def repeat(context: CommandContext) -> None:
    """Erase again the records that came back when an older database was restored.

    A record with a legal hold placed since then is kept, and the application doesn’t start until the hold is lifted.
    """
    with context.open_as() as actor:
        try:
            returned = list_returned()
        except TombstoneBroken:
            raise RuleBroken(*list_tombstone_faults()) from None
        kept: list[RuleBroken] = []
        for client_id, tombstone in returned.items():
            try:
                with transaction():
                    repeat_erasure(actor, client_id, tombstone)
            except RuleBroken as held:
                kept.append(held)
    click.echo(f"{len(returned) - len(kept)} records were erased again.")
    if kept:
        click.echo(f"{len(kept)} records were kept.", err=True)
        raise kept[0]
