"""Key commands: which vault keys wrap what is stored, whether everything opens, and wrapping it under a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from caseapp.cli.context import EXIT_FAILED, CommandContext, print_error_lines
from caseapp.core.actor import require
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.core.vault import vault_key_ids, wrapping_key_id
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.renewal import renew_key, reveal_log_key
from caseapp.domain.keys.operations import Renewable, rewrap_client_keys, rewrap_ring
from caseapp.domain.keys.queries import (
    count_wrapped_keys,
    list_broken_client_keys,
    list_ring,
    load_ring,
)
from caseapp.domain.keys.writing import list_keys_without_ring

if TYPE_CHECKING:
    from uuid import UUID


@click.group()
def keys() -> None:
    """Show, check and rotate the keys that encrypt the database."""


@keys.command()
@click.pass_obj
def status(context: CommandContext) -> None:
    """Show the listed vault keys, how many stored keys each wraps, and the key ring."""
    with context.open():
        found, ring, listed = count_wrapped_keys(), list_ring(), vault_key_ids()
    for number, key in enumerate(listed):
        click.echo(
            f"Vault key {key}{' (wraps new keys)' if number == 0 else ''}: wraps {found.client_keys[key]} "
            f"client keys and {found.ring_keys[key]} keys of the installation."
        )
    for item in ring:
        retired = f", retired {item.retired_at:%Y-%m-%d}" if item.retired_at else ""
        click.echo(f"{item.purpose} {item.number}: created {item.created_at:%Y-%m-%d}{retired}")


@keys.command("check")
@click.pass_obj
def check_keys(context: CommandContext) -> None:
    """Open every stored key; print one line for each that can’t be opened."""
    with context.open():
        # The ring was opened at the start, or the command would have ended there.
        broken, total = list_broken_client_keys(), count_wrapped_keys()
        lost = list_keys_without_ring()
    print_error_lines(
        [
            *(f"The key of client {client_id} can’t be opened." for client_id in broken),
            *(f"No PIN can open the writing key of client {client_id}." for client_id in lost),
        ]
    )
    if broken or lost:
        raise click.exceptions.Exit(EXIT_FAILED)
    click.echo(
        f"{total.client_keys.total()} client keys and {total.ring_keys.total()} keys of the installation can be opened."
    )


@keys.command()
@click.pass_obj
def rotate(context: CommandContext) -> None:
    """Wrap every stored key under the first listed vault key.

    The application can keep running, but must already have been started with the new key. If this is
    interrupted, run it again.
    """
    with context.open_as() as actor:
        require(actor, Action.KEY_ROTATE)
        new = wrapping_key_id()
        with transaction():
            if left := count_wrapped_keys().count_not_under(new):
                # Recorded with the first change, so that a rotation that is interrupted is in the log too.
                found = {"vault_key": new, "keys": left}
                record(actor, Action.KEY_ROTATE, "vault_key", details=found)
            done = rewrap_ring()
        last: UUID | None = None
        while True:
            with transaction():
                batch = rewrap_client_keys(last)
            if batch is None:
                break
            done += batch.rewrapped
            last = batch.last_client_id
        load_ring()
        left = count_wrapped_keys().count_not_under(new)
    click.echo(f"{done} keys were wrapped under vault key {new}.")
    if left:
        print_error_lines(
            [f"{left} keys are still wrapped under another vault key. Run: caseapp keys check"]
        )
        raise click.exceptions.Exit(EXIT_FAILED)
    click.echo("The other vault keys can be removed from CASEAPP_VAULT_KEY_FILE.")


@keys.command()
@click.argument("purpose", type=click.Choice(get_args(Renewable)))
@click.pass_obj
def renew(context: CommandContext, purpose: Renewable) -> None:
    """Start using a new key for the log (audit) or for signatures; what was made with the earlier key stays valid.

    The application can keep running.
    """
    with context.open_as() as actor, transaction():
        number = renew_key(actor, purpose)
    click.echo(f"{purpose} {number} is in use. Earlier keys only verify what was made with them.")
    if purpose == "signatures":
        click.echo(
            "Give its public half to the people who verify exports: caseapp audit export prints it."
        )


@keys.command()
@click.argument("number", type=click.IntRange(1))
@click.pass_obj
def reveal(context: CommandContext, number: int) -> None:
    """Print a closed key of the log, for an auditor who verifies an export of its period; this is recorded in the log.

    It is a secret: hand it over by a different route from the export.
    """
    with context.open_as() as actor, transaction():
        secret = reveal_log_key(actor, number)
    click.echo(f"{number}:{secret.hex()}")
