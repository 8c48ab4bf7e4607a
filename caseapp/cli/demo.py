"""The demo practice Harbour Lane: fictional clients, created through the operations in an empty database.

People and texts are always the same; dates count back from today. Each client's story is a file in `people/`.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import yaml

from caseapp.cli.demo_steps import HERE, Person
from caseapp.core import clock, migrate
from caseapp.core.actor import Actor, operator
from caseapp.core.database import db
from caseapp.core.errors import Invalid, Reason, RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import update_staff_contact
from caseapp.domain.alerts.schemas import StaffContact
from caseapp.domain.auth.credentials import find_password_error
from caseapp.domain.auth.operations import add_user
from caseapp.domain.auth.rules import find_pin_error
from caseapp.domain.clients.models import Client
from caseapp.domain.handouts.operations import publish_library
from caseapp.domain.practice.operations import confirm_help_lines, set_up_practice, update_practice
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.practice.queries import today as practice_today
from caseapp.domain.practice.schemas import PracticeSchema
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import date

STAFF = {
    "supervisor": ("Helen Marsh", Role.SUPERVISOR),
    "coach": ("Marta Lindqvist", Role.COACH),
    "coach2": ("Jonas Adler", Role.COACH),
    "admin": ("Ade Bello", Role.ADMIN),
}
# How staff are rung in an emergency; the numbers belong to nobody.
STAFF_CONTACTS = {
    "supervisor": ("07700 900604", "Every day, 08:00 to 22:00"),
    "coach": ("07700 900612", "Weekdays, 09:00 to 18:00"),
    "coach2": ("07700 900627", "Weekdays, 10:00 to 19:00"),
    "admin": ("07700 900635", ""),
}
PORTAL_CLIENTS = {"priya": "Priya Raman", "daniel": "Daniel Brandt"}
PRACTICE_AGE_DAYS = 400
HELP_LINE_CHECK_DAYS = (PRACTICE_AGE_DAYS, 320, 240, 160, 80, 12)


def fill(password: str, pin: str) -> list[str]:
    """Create the demo practice in an empty database; return lines about who can sign in.

    Raises RuleBroken when the database holds people already, and Invalid for a weak password or PIN, before anything is
    stored.
    """
    _require_strong_secrets(password, pin)
    _require_empty()
    with transaction():
        set_up_practice()
        publish_library()
    today = practice_today()
    with clock.at(_morning(today, PRACTICE_AGE_DAYS)):
        team = _staff(password)
        _contacts(team)
        _practice(team["admin"])
    for ago in HELP_LINE_CHECK_DAYS:
        with clock.at(_morning(today, ago)), transaction():
            confirm_help_lines(team["admin"])
    people = [
        Person(story, team[story["coach"]], team["supervisor"], today, pin) for story in stories()
    ]
    steps = [step for person in people for step in person.steps()]
    for step in sorted(steps, key=lambda step: step.moment):
        step.run()
    migrate.analyze()
    return [
        *(f"{who}@demo.test  {name}, {role.value}" for who, (name, role) in STAFF.items()),
        *(f"{who}@demo.test  {name}, client, at /portal" for who, name in PORTAL_CLIENTS.items()),
    ]


def stories() -> list[dict[str, Any]]:
    """Read the clients' stories in a fixed order."""
    files = sorted((HERE / "people").glob("*.yaml"))
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]


def _require_strong_secrets(password: str, pin: str) -> None:
    names = tuple(word for name, _ in STAFF.values() for word in name.split())
    faults = {
        "password": find_password_error(password, personal_words=(*names, *STAFF)),
        "pin": find_pin_error(pin),
    }
    if any(faults.values()):
        raise Invalid({field: [fault] for field, fault in faults.items() if fault})


def _require_empty() -> None:
    people = sa.union_all(sa.select(User.id), sa.select(Client.id)).limit(1)
    if db.session.execute(people).first() is not None:
        raise RuleBroken(
            Reason(
                "not_empty",
                "This database already contains users or clients, so the demo practice was not created.",
                "Choose another CASEAPP_DATABASE_URL or CASEAPP_DATA_DIR.",
            )
        )


def _morning(today: date, ago: int) -> datetime:
    return datetime.combine(today - timedelta(days=ago), time(8), UTC)


def _staff(password: str) -> dict[str, Actor]:
    team = {}
    for who, (name, role) in STAFF.items():
        with transaction():
            user = add_user(
                operator(),
                f"{who}@demo.test",
                name,
                role,
                password,
                supervisor="supervisor@demo.test" if role is Role.COACH else None,
            )
        team[who] = Actor(user.id, role, name, via="cli")
    return team


def _contacts(team: dict[str, Actor]) -> None:
    for who, (phone, hours) in STAFF_CONTACTS.items():
        contact = StaffContact(phone=phone, on_call_hours=hours, deputy_id=None)
        with transaction() as session:
            version = session.get_one(User, team[who].id).version
            update_staff_contact(team["admin"], team[who].id, contact, version)


def _practice(admin: Actor) -> None:
    change = PracticeSchema().load(
        {
            "name": "Harbour Lane",
            "tagline": "Separation and relationship coaching",
            "contact": "Harbour Lane, The Old Sail Loft. 020 7946 0142, hello@demo.test",
            "country": "GB",
            "zone": "Europe/London",
            "exit_url": "https://www.wikipedia.org/",
        }
    )
    with transaction():
        update_practice(admin, change, get_practice().version)
