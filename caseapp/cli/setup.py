"""Setup commands: migrate the database, publish the handouts, create the demo practice."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import click
import sqlalchemy as sa

from caseapp.cli import demo as demo_data
from caseapp.core import migrate, settings
from caseapp.core.database_roles import set_up_roles
from caseapp.core.errors import Invalid, Reason, RuleBroken
from caseapp.core.tokens import generate_code
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import chain_earlier_events
from caseapp.domain.audit.start import refuse_unsafe_start
from caseapp.domain.auth.portal_access import seal_stored_hashes
from caseapp.domain.auth.rules import PIN_LENGTH, find_pin_error
from caseapp.domain.handouts.library import InvalidHandoutFile
from caseapp.domain.handouts.operations import publish_library
from caseapp.domain.keys.operations import open_ring
from caseapp.domain.notes.operations import record_missing_signatures
from caseapp.domain.practice.operations import set_up_practice
from caseapp.domain.screening.stream import derive_missing_states
from caseapp.domain.users.queries import list_users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caseapp.cli.context import CommandContext


@click.command()
@click.pass_obj
def init(context: CommandContext) -> None:
    """Create or upgrade the database and publish the handouts."""
    with context.open():
        new = set_up()
    click.echo(f"The database is up to date; {new} new handout versions were published.")


def set_up() -> int:
    """Migrate the database, create keys and the practice, publish new handouts; return the number of new versions.

    Notes that an earlier release signed get a signature.
    """
    migrate.upgrade()
    grant_rights()
    open_ring()
    chain_earlier_events()
    while derive_some_states():
        pass
    seal_access_hashes()
    with transaction():
        set_up_practice()
        record_missing_signatures()
        return publish_library()


def grant_rights() -> None:
    """Give the application's role its rights to new tables, where the tables belong to another one."""
    current = settings.active()
    if current.owner_database_url:
        with migrate.migration_connection() as connection:
            set_up_roles(connection, sa.make_url(current.database_url))


def derive_some_states() -> int:
    """Derive some of the safety states that a migration left out, in a transaction of their own; return how many."""
    with transaction():
        return derive_missing_states()


def seal_access_hashes() -> None:
    """Seal the hashes of PINs and start codes that a release before has stored, a transaction for each batch."""
    last = None
    while True:
        with transaction():
            last = seal_stored_hashes(last)
        if last is None:
            return


@click.command()
@click.pass_obj
def demo(context: CommandContext) -> None:
    """Create the demo practice in an empty database."""
    if context.settings.env == "production":
        raise RuleBroken(
            Reason(
                "not_demo",
                "The demo practice needs CASEAPP_ENV=demo or test.",
                "Set it, then start again.",
            )
        )
    with context.open():
        set_up()
        refuse_unsafe_start()
        for line in fill_demo(context):
            click.echo(line)


def fill_demo(context: CommandContext) -> Iterator[str]:
    """Create the demo data and yield the sign-in lines; generated secrets are shown only here."""
    password = context.environ.get("CASEAPP_DEMO_PASSWORD", "")
    pin = context.environ.get("CASEAPP_DEMO_PIN", "")
    chosen_password = password or generate_code(5)
    chosen_pin = pin or new_pin()
    filling = _filling_marker(context)
    filling.touch()
    try:
        yield from demo_data.fill(chosen_password, chosen_pin)
    except (Invalid, RuleBroken):
        # Nothing was stored yet.
        filling.unlink()
        raise
    filling.unlink()
    yield "Staff password: " + (
        "the one in CASEAPP_DEMO_PASSWORD" if password else f"{chosen_password}  (shown only now)"
    )
    yield "Client PIN: " + (
        "the one in CASEAPP_DEMO_PIN" if pin else f"{chosen_pin}  (shown only now)"
    )


def set_up_demo(context: CommandContext) -> None:
    """Set up the database for the demo practice.

    Raises RuleBroken when creating the demo data was interrupted, since half a practice would look broken, and when its
    handouts differ from this program's: fictional data is created again instead of migrated.
    """
    restart = (
        f"Delete {context.settings.data_dir} and the content of its database, then start again."
    )
    if _filling_marker(context).exists():
        raise RuleBroken(
            Reason("demo_incomplete", "Creating the demo practice was interrupted.", restart)
        )
    try:
        set_up()
    except InvalidHandoutFile as fault:
        raise RuleBroken(
            Reason(
                "demo_outdated",
                f"The demo practice was created by an earlier version. {fault}",
                restart,
            )
        ) from None


def _filling_marker(context: CommandContext) -> Path:
    return context.settings.data_dir / "demo.filling"


def new_pin() -> str:
    """Return a random PIN that the portal accepts."""
    while True:
        pin = f"{secrets.randbelow(10**PIN_LENGTH):0{PIN_LENGTH}}"
        if find_pin_error(pin) is None:
            return pin


def list_sign_ins(context: CommandContext) -> list[str]:
    """Return lines about who can sign in; outside the demo only their number."""
    staff = [person for person in list_users() if person.disabled_at is None]
    if not staff:
        return [
            "Nobody can sign in yet. Add a user: caseapp user add EMAIL --name NAME --role admin"
        ]
    if not context.settings.demo:
        return [f"Users who can sign in: {len(staff)}. List them: caseapp user list"]
    return [
        *(f"{person.email}  {person.name}, {person.role}" for person in staff),
        *(
            f"{who}@demo.test  {name}, client, at /portal"
            for who, name in demo_data.PORTAL_CLIENTS.items()
        ),
        (
            "The password and PIN are the ones shown when the demo first started. "
            "Set a new password: caseapp user reset EMAIL"
        ),
    ]
