"""Erasure commands: requests, certificates, which older copies can still be opened, erasing again what came back.

Who requests and who decides needs to be known (`--as`): the same rules apply as on their pages.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import click

from caseapp.core.actor import SYSTEM_ID
from caseapp.core.errors import RuleBroken
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.transaction import transaction
from caseapp.core.vault import vault_key_ids
from caseapp.domain.audit.tombstones import (
    TombstoneBroken,
    get_mark,
    list_returned,
    list_tombstone_faults,
    tombstone_path,
)
from caseapp.domain.erasure.codes import GROUNDS, REFUSALS
from caseapp.domain.erasure.operations import (
    erase_record,
    note_keys_gone,
    refuse_erasure,
    repeat_erasure,
    request_erasure,
    withdraw_erasure,
)
from caseapp.domain.erasure.printing import (
    certificate_pdf,
    describe,
    describe_copies,
    get_certificate,
)
from caseapp.domain.erasure.queries import list_done, list_erasures, lock_erasure, lock_record
from caseapp.domain.erasure.treatments import AREAS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from caseapp.cli.context import CommandContext
    from caseapp.core.actor import Actor


@click.group()
def erasure() -> None:
    """Show the state of erasures, and repeat those that were undone by restoring an older database."""


@erasure.command()
@click.pass_obj
def status(context: CommandContext) -> None:
    """Show each erasure, and which listed vault keys can still open copies of the database from before it.

    The last line names the end of the list of erased records. If you note it elsewhere, you can tell later whether the
    database and that list were both restored from before an erasure.
    """
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
            again = f", again {row.repeated_at:%Y-%m-%d}" if row.repeated_at else ""
            click.echo(f"{row.id}: erased {row.decided_at:%Y-%m-%d}{again}; {copies}.")
        number, digest = get_mark()
        click.echo(
            f"{number} lines in {tombstone_path()}{f'; SHA-256 of the last {digest}' if number else ''}."
        )


@erasure.command("list")
@click.pass_obj
def list_command(context: CommandContext) -> None:
    """List the requests and certificates that you may read, the newest first, without clients’ names."""
    with context.open_as() as actor:
        cursor: str | None = None
        while True:
            page = list_erasures(actor, cursor, PAGE_SIZE)
            for one in page.items:
                numbers = ", ".join(one.numbers) or "a client without a case"
                click.echo(f"{one.id}  {numbers}  {one.state}, {one.ground or 'ground not known'}")
            if (cursor := page.next) is None:
                break


@erasure.command()
@click.argument("number")
@click.option("--ground", required=True, type=click.Choice([*GROUNDS]))
@click.pass_obj
def request(context: CommandContext, number: str, ground: str) -> None:
    """Request the erasure of the record of a case’s client; somebody else decides about it."""
    with _open_as_person(context) as actor, transaction():
        erasure_id = request_erasure(actor, lock_record(actor, number.upper()), ground)
    click.echo(
        f"{erasure_id}: requested. A supervisor or admin other than you will decide about it."
    )


@erasure.command()
@click.argument("erasure_id", metavar="ID", type=click.UUID)
@click.option("--erase", is_flag=True, help="Erase the record; it can’t be undone.")
@click.option("--keep", type=click.Choice([*REFUSALS]), help="Keep the record, and why.")
@click.pass_obj
def decide(context: CommandContext, erasure_id: UUID, keep: str | None, *, erase: bool) -> None:
    """Decide about somebody else’s request: erase the record, or keep it."""
    if erase == bool(keep):
        raise click.UsageError("Give either --erase or --keep.")
    with _open_as_person(context) as actor, transaction():
        found = lock_erasure(actor, erasure_id)
        if keep:
            refuse_erasure(actor, found, keep)
        else:
            erase_record(actor, found)
    click.echo(
        "The record is kept." if keep else f"Erased: caseapp erasure certificate {erasure_id}"
    )


@erasure.command()
@click.argument("erasure_id", metavar="ID", type=click.UUID)
@click.pass_obj
def withdraw(context: CommandContext, erasure_id: UUID) -> None:
    """Withdraw one of your requests."""
    with _open_as_person(context) as actor, transaction():
        withdraw_erasure(actor, lock_erasure(actor, erasure_id))
    click.echo("Withdrawn.")


@erasure.command()
@click.argument("erasure_id", metavar="ID", type=click.UUID)
@click.option("-o", "--output", type=click.File("wb"), help="Write it as a PDF to this file.")
@click.pass_obj
def certificate(context: CommandContext, erasure_id: UUID, output: BinaryIO | None) -> None:
    """Show the certificate of an erasure, or write it as a PDF."""
    with context.open_as() as actor:
        found = get_certificate(actor, erasure_id)
        if output:
            output.write(certificate_pdf(found))
            return
        for name, value in describe(found):
            click.echo(f"{name}: {value}")
        for area, words in AREAS.items():
            click.echo(f"{words}: {found.counts.get(area, 0)} rows")
        click.echo(describe_copies(found))


@contextmanager
def _open_as_person(context: CommandContext) -> Iterator[Actor]:
    """Open the application for somebody who was named: two people decide about an erasure."""
    with context.open_as() as actor:
        if actor.id == SYSTEM_ID:
            raise click.UsageError("Say who you are: caseapp --as EMAIL erasure …")
        yield actor


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
        for tombstone in returned:
            try:
                with transaction():
                    repeat_erasure(actor, tombstone)
            except RuleBroken as held:
                kept.append(held)
    click.echo(f"{len(returned) - len(kept)} records were erased again.")
    if kept:
        click.echo(f"{len(kept)} records were kept.", err=True)
        raise kept[0]
