"""Setting up: the database brought to the newest migration, the library published, the demo practice."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import click

from caseapp.cli import demo as cast
from caseapp.core import migrate
from caseapp.core.errors import Invalid, Reason, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.auth.credentials import new_code
from caseapp.domain.clients.portal_access import PIN_LENGTH, pin_fault
from caseapp.domain.handouts.library import BrokenHandout
from caseapp.domain.handouts.operations import publish_library
from caseapp.domain.practice.operations import set_up_practice
from caseapp.domain.users.queries import everyone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caseapp.cli.context import House


@click.command()
@click.pass_obj
def init(house: House) -> None:
    """Make the database, or bring it to the newest version, and publish the library."""
    with house.open():
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
def demo(house: House) -> None:
    """Fill an empty database with the demo practice."""
    if house.settings.env == "production":
        raise RuleBroken(
            Reason("not_demo", "The demo practice is only for CASEAPP_ENV=demo or test.")
        )
    with house.open():
        set_up()
        for line in fill_demo(house):
            click.echo(line)


def fill_demo(house: House) -> Iterator[str]:
    """Play the demo cast in, and say who can sign in; a secret that nobody chose is told here and never again."""
    password = house.environ.get("CASEAPP_DEMO_PASSWORD", "")
    pin = house.environ.get("CASEAPP_DEMO_PIN", "")
    made_password = password or new_code(5)
    made_pin = pin or new_pin()
    filling = _filling(house)
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


def set_up_demo(house: House) -> None:
    """Set up a demo practice.

    Raises RuleBroken when its first filling was interrupted, since half of its stories would look like faults, and when
    its clients hold texts that this program has changed since: made-up people are filled anew rather than kept.
    """
    anew = f"Delete {house.settings.data_dir} and what stands in its database, then start again."
    if _filling(house).exists():
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


def _filling(house: House) -> Path:
    return house.settings.data_dir / "demo.filling"


def new_pin() -> str:
    """Make a PIN at random that the portal would take."""
    while True:
        pin = f"{secrets.randbelow(10**PIN_LENGTH):0{PIN_LENGTH}}"
        if pin_fault(pin) is None:
            return pin


def who_can_sign_in(house: House) -> list[str]:
    """Say who can sign in; outside the demo only how many."""
    staff = [person for person in everyone() if person.disabled_at is None]
    if not staff:
        return [
            "Nobody can sign in yet. Add somebody: caseapp user add EMAIL --name NAME --role admin"
        ]
    if not house.settings.demo:
        return [f"Who can sign in ({len(staff)}): caseapp user list"]
    return [
        *(f"{person.email}  {person.name}, {person.role}" for person in staff),
        *(f"{who}@demo.test  {name}, client, at /portal" for who, name in cast.READERS.items()),
        "Password and PIN are those of the first start. A new password: caseapp user reset EMAIL",
    ]
