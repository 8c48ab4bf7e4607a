"""`caseapp check`: every setting explained, and everything looked at that a practice relies on."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click
import sqlalchemy as sa

from caseapp.cli.context import REFUSED, House
from caseapp.core import clock, fonts, mail, migrate, outbox, pdf, settings
from caseapp.core.database import SQLITE_PRAGMAS, db
from caseapp.core.errors import RuleBroken
from caseapp.core.permissions import ACTIONS_OF, Action, Role
from caseapp.core.sandbox import circuit_breaker
from caseapp.core.settings import EXPLAINED, PREFIX
from caseapp.domain.handouts.checks import faults
from caseapp.domain.practice.queries import numbers_stale, the_practice
from caseapp.domain.users.queries import everyone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# SQLite's own page on WAL names the fault "the WAL-reset bug": 3.7.0 to 3.51.2.
WAL_RESET_MENDED = (3, 51, 3)
PEOPLE_FOR_A_HANDOUT = 2
MAIL_MAY_WAIT = timedelta(minutes=10)
GOOD, LOOK, FAULT = "ok", "look", "FAULT"


@dataclass(frozen=True)
class Finding:
    """Be one thing that was looked at: good, worth a look, or a fault that a practice must not run with."""

    how: str
    text: str


@click.command()
@click.pass_obj
def check(house: House) -> None:
    """Explain the settings and look at database, mail, fonts, library, help numbers and people."""
    lines = list(settings_lines(house))
    click.echo("Settings")
    for line in lines:
        click.echo(f"  {line}")
    with house.open():
        found = [
            (title, list(look()))
            for title, look in (
                ("Database", database),
                ("Mail", mail_server),
                ("Fonts and PDF", print_shop),
                ("Library", library),
                ("Help numbers", help_numbers),
                ("People", people),
            )
        ]
    for title, findings in found:
        click.echo(f"\n{title}")
        for finding in findings:
            click.echo(f"  {finding.how:5} {finding.text}")
    if any(finding.how == FAULT for _, findings in found for finding in findings):
        raise click.exceptions.Exit(REFUSED)


def settings_lines(house: House) -> Iterator[str]:
    """Explain each setting and say where its value comes from; secrets are never shown."""
    shown = {
        "ENV": house.settings.env,
        "DATA_DIR": str(house.settings.data_dir),
        "DATABASE_URL": sa.make_url(house.settings.database_url).render_as_string(),
        "BASE_URL": house.settings.base_url,
        "SECRET_KEY_FILE": "read",
        "VAULT_KEY_FILE": "read",
        "SMTP_URL": "set" if house.settings.smtp_url else "not set",
        "MAIL_FROM": house.settings.mail_from,
        "TRUSTED_PROXIES": str(house.settings.trusted_proxies),
        # What follows the program may be a secret of its own.
        "SCAN_COMMAND": " ".join(house.settings.scan_command[:1]) or "not set",
        "LOG_FORMAT": house.settings.log_format,
    }
    for name, words in EXPLAINED.items():
        given = "" if house.environ.get(PREFIX + name, "").strip() else " (default)"
        yield f"{PREFIX}{name} = {shown[name]}{given}"
        yield f"    {words}"


def database() -> Iterator[Finding]:
    """Look at the migrations, the pragmas, the version, and at work that nobody does."""
    with db.engine.connect() as connection:
        current = migrate.is_current(connection)
        yield (
            Finding(GOOD, f"{connection.dialect.name}, every migration done")
            if current
            else Finding(FAULT, "The database is not at this version. Run: caseapp init")
        )
        if connection.dialect.name == "sqlite":
            yield from _sqlite(connection)
        if not current:
            return
        late = connection.scalar(
            sa.select(sa.func.count())
            .select_from(outbox.OutboxRow)
            .where(
                outbox.OutboxRow.done_at.is_(None),
                outbox.OutboxRow.made_at < clock.now() - MAIL_MAY_WAIT,
            )
        )
        if late:
            yield Finding(
                FAULT,
                f"{late} mails have waited for over ten minutes. Does `caseapp worker` run, and does the server "
                "take mail?",
            )


def _sqlite(connection: sa.Connection) -> Iterator[Finding]:
    for name, wanted in SQLITE_PRAGMAS.items():
        value = str(connection.exec_driver_sql(f"PRAGMA {name}").scalar())
        how = GOOD if value == wanted else FAULT
        yield Finding(how, f"{name} is {value}" + ("" if how == GOOD else f", not {wanted}"))
    if sqlite3.sqlite_version_info < WAL_RESET_MENDED:
        yield Finding(
            LOOK,
            f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug: two processes that write at the same moment can, "
            "very rarely, damage the file. Use a Python built with SQLite 3.51.3 or later, or PostgreSQL, and "
            "keep backups.",
        )
    else:
        yield Finding(GOOD, f"SQLite {sqlite3.sqlite_version}")


def mail_server() -> Iterator[Finding]:
    """Connect to the mail server and send nothing."""
    try:
        mail.knock()
    except OSError as fault:
        yield Finding(FAULT, f"The mail server cannot be used: {fault}")
        return
    if settings.active().smtp_url:
        yield Finding(GOOD, "The mail server answers; nothing was sent")
    else:
        yield Finding(LOOK, f"No mail server is set; mail is kept in {mail.kept_mail()}")


def print_shop() -> Iterator[Finding]:
    """Make every face and start the PDF engine."""
    for face, make in _faces():
        try:
            make(face)
        except (OSError, ImportError) as fault:
            yield Finding(FAULT, f"The font {face} cannot be made: {fault}")
            return
    yield Finding(GOOD, f"{len(fonts.FACES)} faces for pages and for paper")
    try:
        pdf.warm()
    except RuleBroken as fault:
        yield Finding(FAULT, f"{fault.reasons[0].message} {fault.reasons[0].how}")
    else:
        yield Finding(GOOD, "The PDF engine starts")
    if failed := circuit_breaker.quarantined():
        yield Finding(
            LOOK,
            f"Documents that failed {circuit_breaker.MOST_TRIES} times and are not tried again: {len(failed)}; "
            f"remove {circuit_breaker.folder()} to try them",
        )


def _faces() -> Iterator[tuple[str, Callable[[str], object]]]:
    for face in fonts.FACES:
        yield face, fonts.web_font
        yield face, fonts.print_font


def library() -> Iterator[Finding]:
    """Ask the library's own checks, at today's date."""
    found = [str(fault) for fault in faults()]
    yield from (Finding(FAULT, text) for text in found)
    if not found:
        yield Finding(GOOD, "Every handout passes its checks")


def help_numbers() -> Iterator[Finding]:
    """Ask whether the practice stands behind its help numbers."""
    practice = the_practice()
    confirmed = practice.numbers_confirmed_on
    if confirmed is None:
        yield Finding(FAULT, "Nobody has confirmed the help numbers. Open Settings, Help numbers.")
    elif numbers_stale(practice):
        yield Finding(FAULT, f"The help numbers were last confirmed on {confirmed}, too long ago.")
    else:
        yield Finding(GOOD, f"Confirmed on {confirmed}")


def people() -> Iterator[Finding]:
    """Ask whether somebody can sign in, and whether a safety hold could ever be cleared."""
    here = [person for person in everyone() if person.disabled_at is None]
    if not here:
        yield Finding(FAULT, "Nobody can sign in. Add somebody: caseapp user add EMAIL --name NAME")
        return
    yield Finding(
        GOOD, "One person can sign in" if len(here) == 1 else f"{len(here)} people can sign in"
    )
    supervisors = [person for person in here if person.role == Role.SUPERVISOR]
    alone = [
        person.name
        for person in here
        if person.role == Role.COACH
        and person.supervisor_id not in {supervisor.id for supervisor in supervisors}
    ]
    if alone:
        yield Finding(
            FAULT,
            f"Without a supervisor nobody can clear a safety hold for the clients of {', '.join(alone)}: "
            "one coach alone never can.",
        )
    approvers = [p for p in here if Action.HANDOUT_APPROVE in ACTIONS_OF[Role(p.role)]]
    if len(approvers) < PEOPLE_FOR_A_HANDOUT:
        yield Finding(
            LOOK,
            "A handout of the practice's own is approved by a second supervisor or admin. There is none, so "
            "nobody can publish one.",
        )
    # A supervisor's own holds need a second one, who supervises them.
    own = [
        supervisor.name
        for supervisor in supervisors
        if supervisor.supervisor_id
        not in {other.id for other in supervisors if other is not supervisor}
    ]
    if own:
        yield Finding(
            LOOK,
            f"A safety hold that {' or '.join(own)} opens or screens cannot be cleared until another supervisor has "
            "been named for them.",
        )
