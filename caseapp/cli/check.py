"""`caseapp check`: the settings explained, and checks of everything that a practice relies on."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click
import sqlalchemy as sa

from caseapp.cli.context import EXIT_FAILED, CommandContext
from caseapp.core import fonts, heartbeat, mail, migrate, outbox, pdf, settings, uploads
from caseapp.core.database import SQLITE_PRAGMAS, db
from caseapp.core.errors import RenderFailed, RuleBroken
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action, Role
from caseapp.core.sandbox import confinement, limit_hits
from caseapp.core.sandbox.pool import PoolUnavailable
from caseapp.core.settings import PREFIX, SETTING_DESCRIPTIONS
from caseapp.core.vault import wrapping_key_id
from caseapp.domain.alerts.queries import list_alert_people
from caseapp.domain.dashboard.unattended import (
    ACTION,
    RESPONSIBLE,
    SECOND,
    list_unattended_clients,
)
from caseapp.domain.handouts.checks import list_problems
from caseapp.domain.keys.purposes import PURPOSES
from caseapp.domain.keys.queries import count_wrapped_keys, list_broken_client_keys, list_ring
from caseapp.domain.practice.queries import are_help_lines_stale, get_practice
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.users.queries import list_users
from caseapp.http.openid import ProviderFailed, get_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# SQLite's page about WAL calls it "the WAL-reset bug"; it affects 3.7.0 to 3.51.2.
WAL_RESET_FIXED = (3, 51, 3)
MIN_APPROVERS = 2
MAX_MAIL_DELAY = timedelta(minutes=10)
OK, WARNING, FAULT = "ok", "look", "FAULT"


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check: ok, worth a look, or a fault that must be fixed."""

    level: str
    text: str


@click.command()
@click.pass_obj
def check(context: CommandContext) -> None:
    """Explain the settings, and check everything that a practice relies on."""
    lines = list(describe_settings(context))
    click.echo("Settings")
    for line in lines:
        click.echo(f"  {line}")
    with context.open():
        found = [
            (title, list(run_check()))
            for title, run_check in (
                ("Addresses", check_addresses),
                ("Visitors", check_visitors),
                ("Database", check_database),
                ("Keys", check_keys),
                ("Mail", check_mail),
                ("Single sign-on", check_provider),
                ("Fonts and PDF", check_pdf),
                ("Handouts", check_handouts),
                ("Screening protocol", check_protocol),
                ("Help lines", check_help_lines),
                ("Users", check_users),
                ("Responsibility", check_responsibility),
                ("Alerts", check_alerts),
                ("Worker", check_worker),
            )
        ]
    for title, results in found:
        click.echo(f"\n{title}")
        for result in results:
            click.echo(f"  {result.level:5} {result.text}")
    if any(result.level == FAULT for _, results in found for result in results):
        raise click.exceptions.Exit(EXIT_FAILED)


def describe_settings(context: CommandContext) -> Iterator[str]:
    """Describe each setting and its value, without secrets."""
    provider = context.settings.provider
    shown = {
        "ENV": context.settings.env,
        "DATA_DIR": str(context.settings.data_dir),
        "DATABASE_URL": sa.make_url(context.settings.database_url).render_as_string(),
        "BASE_URL": context.settings.base_url,
        "PORTAL_URL": context.settings.portal_base,
        "SECRET_KEY_FILE": "read",
        "VAULT_KEY_FILE": "read",
        "SMTP_URL": "set" if context.settings.smtp_url else "not set",
        "MAIL_FROM": context.settings.mail_from,
        "TRUSTED_PROXIES": str(context.settings.trusted_proxies),
        # The arguments may hold secrets.
        "SCAN_COMMAND": " ".join(context.settings.scan_command[:1]) or "not set",
        "OPENID_ISSUER": provider.issuer if provider else "not set",
        "OPENID_CLIENT_ID": provider.client_id if provider else "not set",
        "OPENID_CLIENT_SECRET_FILE": "read" if provider else "not set",
        "OPENID_NAME": provider.name if provider else "not set",
        "OPENID_FACTOR_VALUES": " ".join(sorted(provider.factor_values)) or "none"
        if provider
        else "not set",
        "LOG_FORMAT": context.settings.log_format,
        "TOKEN_REQUESTS": str(context.settings.token_requests),
    }
    for name, description in SETTING_DESCRIPTIONS.items():
        given = "" if context.environ.get(PREFIX + name, "").strip() else " (default)"
        yield f"{PREFIX}{name} = {shown[name]}{given}"
        yield f"    {description}"


def check_addresses() -> Iterator[CheckResult]:
    """Check that an address of the portal in a client's history or mailbox doesn't lead to the practice."""
    current = settings.active()
    if current.portal_host is None:
        chosen = current.portal_url is not None
        text = (
            f"{PREFIX}PORTAL_URL has the same host name as {PREFIX}BASE_URL"
            if chosen
            else f"The portal has no host name of its own: {PREFIX}PORTAL_URL is not set"
        )
        level = FAULT if chosen else WARNING if current.env == "production" else OK
        advice = ", so an address in a client's browser history leads to the staff sign-in page"
        yield CheckResult(level, text + (advice if level != OK else ""))
        return
    yield CheckResult(OK, f"The portal has a host name of its own: {current.portal_host}")
    if current.mail_from.rpartition("@")[2].lower() == current.staff_host.partition(":")[0]:
        yield CheckResult(
            WARNING,
            f"{PREFIX}MAIL_FROM uses the host name of the staff pages, so every email to a client shows it",
        )


def check_visitors() -> Iterator[CheckResult]:
    """Explain whose address counts as a visitor's: failed tries make the network that they come from wait."""
    count = settings.active().trusted_proxies
    if count == 0:
        behind = settings.active().base_url.startswith("https://")
        advice = (
            f". If a proxy stands in front, as {PREFIX}BASE_URL with https suggests, all visitors seem to have its "
            f"address, and strangers' failed tries make everybody wait: set {PREFIX}TRUSTED_PROXIES to 1"
        )
        text = "A visitor's address is the one that connects; X-Forwarded-For is ignored"
        yield CheckResult(WARNING if behind else OK, text + (advice if behind else ""))
        return
    last = "last address" if count == 1 else f"address {count} from the end"
    yield CheckResult(
        OK,
        f"A visitor's address is the {last} in X-Forwarded-For: {count} "
        f"{'proxy is' if count == 1 else 'proxies are'} trusted. Each of them has to add the address that connects to "
        "it, and nobody may reach this application but through them",
    )


def check_database() -> Iterator[CheckResult]:
    """Check migrations, SQLite's pragmas and version, and mail that was not sent."""
    with db.engine.connect() as connection:
        current = migrate.is_current(connection)
        yield (
            CheckResult(OK, f"{connection.dialect.name}, all migrations applied")
            if current
            else CheckResult(FAULT, "The database schema is out of date. Run: caseapp init")
        )
        if connection.dialect.name == "sqlite":
            yield from _check_sqlite(connection)
        if not current:
            return
        late = outbox.count_late(MAX_MAIL_DELAY)
        if late:
            yield CheckResult(
                FAULT,
                f"{late} {'task has' if late == 1 else 'tasks have'} waited for over ten minutes. Is `caseapp "
                "worker` running, and does the mail server accept mail?",
            )


def _check_sqlite(connection: sa.Connection) -> Iterator[CheckResult]:
    for name, wanted in SQLITE_PRAGMAS.items():
        value = str(connection.exec_driver_sql(f"PRAGMA {name}").scalar())
        level = OK if value == wanted else FAULT
        yield CheckResult(level, f"{name} is {value}" + ("" if level == OK else f", not {wanted}"))
    if sqlite3.sqlite_version_info < WAL_RESET_FIXED:
        yield CheckResult(
            WARNING,
            f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug: two processes that write at the same moment can, "
            "very rarely, damage the database. Use a Python built with SQLite 3.51.3 or later, or PostgreSQL, and "
            "keep backups.",
        )
    else:
        yield CheckResult(OK, f"SQLite {sqlite3.sqlite_version}")


def check_keys() -> Iterator[CheckResult]:
    """Check that every stored key is wrapped under the first vault key and opens, and that the key ring is complete.

    The start has compared the listed vault keys with the stored ones already.
    """
    found, ring = count_wrapped_keys(), {item.purpose for item in list_ring()}
    yield CheckResult(
        OK,
        f"{found.client_keys.total()} client keys and {found.ring_keys.total()} keys of the ring",
    )
    if missing := [purpose for purpose in PURPOSES if purpose not in ring]:
        yield CheckResult(
            FAULT, f"The ring has no key for {', '.join(missing)}. Start the application once."
        )
    if broken := list_broken_client_keys():
        yield CheckResult(
            FAULT, f"{len(broken)} client keys can't be opened. Run: caseapp keys check"
        )
    if left := found.count_not_under(wrapping_key_id()):
        yield CheckResult(
            WARNING,
            f"{left} keys are wrapped under a vault key other than the first one. Run: caseapp keys rotate",
        )


def check_mail() -> Iterator[CheckResult]:
    """Check the connection to the mail server without sending anything."""
    try:
        mail.check_connection()
    except OSError as fault:
        yield CheckResult(FAULT, f"The mail server cannot be used: {fault}")
        return
    if settings.active().smtp_url:
        yield CheckResult(OK, "The mail server can be reached. This check sends no email")
    else:
        yield CheckResult(WARNING, f"No mail server is set; mail is stored in {mail.mail_folder()}")


def check_provider() -> Iterator[CheckResult]:
    """Check what the OpenID provider says about itself, and its keys."""
    required = get_practice().requires_single_sign_on
    provider = settings.active().provider
    if provider is None:
        text = "No provider is set; staff sign in with their passwords"
        yield CheckResult(
            WARNING if required else OK,
            f"{text}, though the practice requires single sign-on" if required else text,
        )
        return
    try:
        get_client().check()
    except ProviderFailed as fault:
        yield CheckResult(FAULT, f"{provider.name} can't be used: {fault.__cause__}")
        return
    yield CheckResult(OK, f"Staff can sign in at {provider.name}")
    if not provider.factor_values:
        yield CheckResult(
            OK,
            "What the provider says about a second factor isn't used: whoever has set one up here is asked for it too",
        )


def check_pdf() -> Iterator[CheckResult]:
    """Check that the fonts can be built and the PDF workers start."""
    for face, make in _list_font_builders():
        try:
            make(face)
        except (OSError, ImportError) as fault:
            yield CheckResult(FAULT, f"The font {face} cannot be built: {fault}")
            return
    yield CheckResult(OK, f"{len(fonts.FACES)} fonts for screen and print")
    yield from _check_workers()
    if failed := limit_hits.list_quarantined():
        yield CheckResult(
            WARNING,
            f"{len(failed)} documents exceeded the limits {limit_hits.MAX_HITS} times and "
            f"won't be tried again for a day. Delete {limit_hits.hit_dir()} to try them again",
        )


def _check_workers() -> Iterator[CheckResult]:
    try:
        pdf.start_pool()
        uploads.start_pool()
    except RuleBroken as fault:
        yield CheckResult(FAULT, f"{fault.reasons[0].message} {fault.reasons[0].way_out}")
    except (RenderFailed, PoolUnavailable) as fault:
        yield CheckResult(FAULT, f"The workers for PDFs and uploads cannot be started: {fault}")
    else:
        yield CheckResult(OK, "The workers for PDFs and uploads can be started")
    if missing := confinement.list_missing():
        yield CheckResult(
            WARNING,
            f"This machine lacks {' and '.join(missing)}, so a file that takes over a worker could read what the user "
            "of this program reads, or use the network. Use a newer kernel, or run as root in a container",
        )


def _list_font_builders() -> Iterator[tuple[str, Callable[[str], object]]]:
    for face in fonts.FACES:
        yield face, fonts.web_font
        yield face, fonts.print_font


def check_handouts() -> Iterator[CheckResult]:
    """Check the handouts as of today."""
    found = [str(problem) for problem in list_problems()]
    yield from (CheckResult(FAULT, text) for text in found)
    if not found:
        yield CheckResult(OK, "Every handout passes its checks")


def check_protocol() -> Iterator[CheckResult]:
    """Name the version of the screening protocol, and how many of its rules await a clinician's sign-off."""
    count, unsigned = len(PROTOCOL.rules), PROTOCOL.unsigned
    yield CheckResult(OK, f"Version {PROTOCOL.version}, {count} rules")
    if unsigned:
        yield CheckResult(
            WARNING, f"{unsigned} of {count} rules await sign-off by a licensed clinician"
        )


def check_help_lines() -> Iterator[CheckResult]:
    """Check that the practice has confirmed its help lines lately."""
    practice = get_practice()
    confirmed = practice.help_lines_confirmed_on
    if confirmed is None:
        yield CheckResult(FAULT, "The help lines are not confirmed. Open Settings, Help lines.")
    elif are_help_lines_stale(practice):
        yield CheckResult(
            FAULT, f"The help lines were last confirmed on {confirmed}, too long ago."
        )
    else:
        yield CheckResult(OK, f"Confirmed on {confirmed}")


def check_users() -> Iterator[CheckResult]:
    """Check that somebody can sign in, release safety holds and publish handouts."""
    active = [person for person in list_users() if person.disabled_at is None]
    if not active:
        yield CheckResult(
            FAULT, "Nobody can sign in. Add a user: caseapp user add EMAIL --name NAME"
        )
        return
    yield CheckResult(
        OK, "One user can sign in" if len(active) == 1 else f"{len(active)} users can sign in"
    )
    supervisors = [person for person in active if person.role == Role.SUPERVISOR]
    unsupervised = [
        person.name
        for person in active
        if person.role == Role.COACH
        and person.supervisor_id not in {supervisor.id for supervisor in supervisors}
    ]
    if unsupervised:
        yield CheckResult(
            FAULT,
            f"Safety holds for the clients of {', '.join(unsupervised)} cannot be released: these coaches have no "
            "active supervisor.",
        )
    approvers = [p for p in active if Action.HANDOUT_APPROVE in ACTIONS_BY_ROLE[Role(p.role)]]
    if len(approvers) < MIN_APPROVERS:
        yield CheckResult(
            WARNING,
            "Practice handouts must be approved by a second supervisor or admin. There is nobody else with either "
            "role, so no practice handout can be published.",
        )
    # The holds of a supervisor's own clients need a second supervisor.
    own = [
        supervisor.name
        for supervisor in supervisors
        if supervisor.supervisor_id
        not in {other.id for other in supervisors if other is not supervisor}
    ]
    if own:
        yield CheckResult(
            WARNING,
            f"{' or '.join(own)} can't release a safety hold if they recorded the last full screening or one that "
            "opened or renewed it, and nobody else can. Assign them another supervisor.",
        )


def check_responsibility() -> Iterator[CheckResult]:
    """Check that somebody looks after every client who needs it, and a second person, and does every open action."""
    found = list_unattended_clients(None)
    numbers: dict[str, list[str]] = {}
    for one in found:
        numbers.setdefault(one.lacks, []).append(one.number or "a client without a case")
    lists = {lacks: ", ".join(sorted(cases)) for lacks, cases in numbers.items()}
    if RESPONSIBLE in lists:
        yield CheckResult(
            FAULT,
            f"Nobody with an active account is responsible for these clients: {lists[RESPONSIBLE]}. "
            "A supervisor can hand them over: Board, Nobody responsible. If no supervisor sees them, give their coach "
            "another one first: caseapp user supervise EMAIL --by EMAIL",
        )
    if ACTION in lists:
        yield CheckResult(
            FAULT,
            f"The people with open follow-ups about these clients can no longer do them: {lists[ACTION]}. "
            "A supervisor can hand them over: Board, Nobody responsible.",
        )
    if SECOND in lists:
        yield CheckResult(
            WARNING,
            "Only their own coach, or somebody who recorded the hold’s screenings, could release a hold of these "
            f"clients: {lists[SECOND]}. Name another supervisor on the page of the hold, or for all clients of a "
            "coach: caseapp user supervise EMAIL --by EMAIL",
        )
    if not found:
        yield CheckResult(OK, "Somebody is responsible for every client in need")


def check_alerts() -> Iterator[CheckResult]:
    """Check that an alert about the clients of every coach would reach somebody, by email or by phone."""
    is_mail_sent = _is_mail_sent()
    unreached: list[str] = []
    silent: list[str] = []
    unphoned: list[str] = []
    for coach, people in list_alert_people():
        if not people:
            unreached.append(coach.name)
        elif not any(person.phone for person in people):
            (unphoned if is_mail_sent else silent).append(coach.name)
    if unreached:
        yield CheckResult(
            FAULT,
            f"Nobody would be alerted about the clients of {', '.join(unreached)}: there is no other active "
            "supervisor, deputy or manager. Open Settings, Alerts.",
        )
    if silent:
        yield CheckResult(
            FAULT,
            f"Alerts about the clients of {', '.join(silent)} would reach nobody who isn't signed in: email can't be "
            "sent, and no phone number is recorded. Open Settings, Alerts.",
        )
    if unphoned:
        yield CheckResult(
            WARNING,
            f"{', '.join(unphoned)} can't call anybody about a hold: no phone number is recorded. Open Settings, "
            "Alerts.",
        )
    if not unreached and not silent and not unphoned:
        yield CheckResult(OK, "Alerts about the clients of every coach reach somebody")


def _is_mail_sent() -> bool:
    """Tell whether mail goes to a server that can be reached."""
    try:
        mail.check_connection()
    except OSError:
        return False
    return bool(settings.active().smtp_url)


def check_worker() -> Iterator[CheckResult]:
    """Check that the worker passes on alerts."""
    last = heartbeat.get_last_beat()
    if last is None:
        yield CheckResult(WARNING, "The worker hasn't run yet. `caseapp serve` starts it")
    elif heartbeat.is_alive():
        yield CheckResult(OK, "The worker is running")
    else:
        yield CheckResult(
            FAULT,
            f"The worker was last heard from at {last:%Y-%m-%d %H:%M} UTC. Alerts are not passed on and no mail is "
            "sent. Is `caseapp serve` or `caseapp worker` running?",
        )
