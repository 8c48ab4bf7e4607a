"""Setting up: the database brought to the newest migration, the library published, the demo practice."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import click

from caseapp.cli import demo as cast
from caseapp.core import migrate
from caseapp.core.errors import Invalid, Reason, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.core.tokens import generate_code
from caseapp.domain.auth.portal_access import PIN_LENGTH, find_pin_error
from caseapp.domain.handouts.library import BrokenHandout
from caseapp.domain.handouts.operations import publish_library
from caseapp.domain.practice.operations import set_up_practice
from caseapp.domain.users.queries import list_users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caseapp.cli.context import CommandContext


@click.command()
@click.pass_obj
def init(context: CommandContext) -> None:
    """Make the database, or bring it to the newest version, and publish the library."""
    with context.open():
        new = set_up()
    click.echo(f"The database is up to date; {new} new handout editions were published.")


def set_up() -> int:
    """Migrate, make the practice's row, publish what is new in the library; give the number of new editions."""
    migrate.upgrade()
    with transaction():
        set_up_practice()
        return publish_library()


@click.command()
@click.pass_obj
def demo(context: CommandContext) -> None:
    """Fill an empty database with the demo practice."""
    if context.settings.env == "production":
        raise RuleBroken(
            Reason("not_demo", "The demo practice is only for CASEAPP_ENV=demo or test.")
        )
    with context.open():
        set_up()
        for line in fill_demo(context):
            click.echo(line)


def fill_demo(context: CommandContext) -> Iterator[str]:
    """Play the demo cast in, and say who can sign in; a secret that nobody chose is told here and never again."""
    password = context.environ.get("CASEAPP_DEMO_PASSWORD", "")
    pin = context.environ.get("CASEAPP_DEMO_PIN", "")
    made_password = password or generate_code(5)
    made_pin = pin or new_pin()
    filling = _filling_marker(context)
    filling.touch()
    try:
        yield from cast.fill(made_password, made_pin)
    except (Invalid, RuleBroken):
        # Refused before anything was stored.
        filling.unlink()
        raise
    filling.unlink()
    yield "Password of the staff: " + (
        "the one in CASEAPP_DEMO_PASSWORD" if password else f"{made_password}  (shown only now)"
    )
    yield "PIN of the clients: " + (
        "the one in CASEAPP_DEMO_PIN" if pin else f"{made_pin}  (shown only now)"
    )


def set_up_demo(context: CommandContext) -> None:
    """Set up a demo practice.

    Raises RuleBroken when its first filling was interrupted, since half of its stories would look like faults, and when
    its clients hold texts that this program has changed since: made-up people are filled anew rather than kept.
    """
    anew = f"Delete {context.settings.data_dir} and what stands in its database, then start again."
    if _filling_marker(context).exists():
        raise RuleBroken(
            Reason(
                "demo_half_filled", "The first filling of the demo practice was interrupted.", anew
            )
        )
    try:
        set_up()
    except BrokenHandout as fault:
        raise RuleBroken(
            Reason("demo_outdated", f"The demo practice is of an earlier state. {fault}", anew)
        ) from None


def _filling_marker(context: CommandContext) -> Path:
    return context.settings.data_dir / "demo.filling"


def new_pin() -> str:
    """Make a PIN at random that the portal would take."""
    while True:
        pin = f"{secrets.randbelow(10**PIN_LENGTH):0{PIN_LENGTH}}"
        if find_pin_error(pin) is None:
            return pin


def list_sign_ins(context: CommandContext) -> list[str]:
    """Say who can sign in; outside the demo only how many."""
    staff = [person for person in list_users() if person.disabled_at is None]
    if not staff:
        return [
            "Nobody can sign in yet. Add somebody: caseapp user add EMAIL --name NAME --role admin"
        ]
    if not context.settings.demo:
        return [f"Who can sign in ({len(staff)}): caseapp user list"]
    return [
        *(f"{person.email}  {person.name}, {person.role}" for person in staff),
        *(
            f"{who}@demo.test  {name}, client, at /portal"
            for who, name in cast.PORTAL_CLIENTS.items()
        ),
        "Password and PIN are those of the first start. A new password: caseapp user reset EMAIL",
    ]
