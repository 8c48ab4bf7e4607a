"""Checks of the installation: addresses, database, keys, mail, single sign-on, PDFs and the worker."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from caseapp.cli.check_result import FAULT, OK, WARNING, CheckResult
from caseapp.core import fonts, heartbeat, mail, migrate, outbox, pdf, settings, uploads
from caseapp.core.clock import now
from caseapp.core.database import SQLITE_PRAGMAS, db
from caseapp.core.database_roles import WAY_OUT, list_stray_rights
from caseapp.core.errors import RenderFailed, RuleBroken
from caseapp.core.sandbox import confinement, limit_hits
from caseapp.core.sandbox.pool import PoolUnavailable
from caseapp.core.settings import PREFIX
from caseapp.core.vault import wrapping_key_id
from caseapp.domain.audit.checkpoints import list_folder_faults, list_rollback_faults
from caseapp.domain.audit.tombstones import list_tombstone_faults
from caseapp.domain.erasure.queries import count_without_tombstone
from caseapp.domain.keys.purposes import PURPOSES
from caseapp.domain.keys.queries import count_wrapped_keys, list_broken_client_keys, list_ring
from caseapp.domain.practice.queries import get_practice
from caseapp.http.openid import ProviderFailed, get_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

# SQLite's page about WAL calls it "the WAL-reset bug"; it affects 3.7.0 to 3.51.2.
WAL_RESET_FIXED = (3, 51, 3)
MAX_MAIL_DELAY = timedelta(minutes=10)
MAX_LOG_KEY_AGE = timedelta(days=366)
"""The log gets a new key each year, so that an auditor can be given that of a closed period (design of the record)."""


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
        advice = ", so an address in a client’s browser history leads to the staff sign-in page"
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
            f". If a proxy stands in front, as {PREFIX}BASE_URL with https suggests, all visitors seem to have "
            f"its address, and a stranger’s failed attempts make everybody wait: set {PREFIX}TRUSTED_PROXIES to 1"
        )
        text = "A visitor’s address is the one that connects; X-Forwarded-For is ignored"
        yield CheckResult(WARNING if behind else OK, text + (advice if behind else ""))
        return
    last = "last address" if count == 1 else f"address {count} from the end"
    yield CheckResult(
        OK,
        f"A visitor’s address is the {last} in X-Forwarded-For: {count} "
        f"{'proxy is' if count == 1 else 'proxies are'} trusted. Each of them has to add the address that connects to "
        "it, and nobody may reach this application except through them",
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
        else:
            yield from _check_roles(connection)
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


def _check_roles(connection: sa.Connection) -> Iterator[CheckResult]:
    """Check that the application's role can't change rows that never change; production doesn't start otherwise."""
    stray = list_stray_rights(connection)
    level = FAULT if settings.active().env == "production" else WARNING
    for text in stray:
        yield CheckResult(level, f"{text} {WAY_OUT}")
    if not stray:
        yield CheckResult(
            OK, "The application’s role can only add to the tables whose rows never change"
        )


def check_log() -> Iterator[CheckResult]:
    """Check that the log is the one of the last checkpoint, and that what vouches for it lies apart from the database.

    Also that no erased record is back, and that the list of them goes on from the last checkpoint.
    """
    current = settings.active()
    faults = [*list_folder_faults(), *list_rollback_faults(), *list_tombstone_faults()]
    yield from (CheckResult(FAULT, f"{fault.message} {fault.way_out}") for fault in faults)
    if not faults:
        yield CheckResult(OK, "The log continues from its last checkpoint, or there is none yet")
        if missing := count_without_tombstone():
            yield CheckResult(
                WARNING,
                f"{missing} erasures are not in the list of erased records yet: an older database would bring them "
                "back unnoticed. Is `caseapp worker` running?",
            )
    if current.env == "production" and any(map(current.checkpoint_dir.is_relative_to, _restored())):
        yield CheckResult(
            WARNING,
            "Checkpoints of the log and the list of erased records are in the data folder or beside the database: "
            "restoring an older database restores those too, and erased records come back unnoticed. "
            f"Set {PREFIX}CHECKPOINT_DIR",
        )


def _restored() -> Iterator[Path]:
    """List the folders that are restored with the database."""
    yield settings.active().data_dir
    if db.engine.dialect.name == "sqlite" and db.engine.url.database:
        yield Path(db.engine.url.database).parent


def check_keys() -> Iterator[CheckResult]:
    """Check that every stored key is wrapped under the first vault key and opens, and that the key ring is complete.

    The start has compared the listed vault keys with the stored ones already.
    """
    found, items = count_wrapped_keys(), list_ring()
    ring = {item.purpose for item in items}
    yield CheckResult(
        OK,
        f"{found.client_keys.total()} client keys and {found.ring_keys.total()} keys in the key ring",
    )
    if missing := [purpose for purpose in PURPOSES if purpose not in ring]:
        yield CheckResult(
            FAULT, f"The key ring has no key for {', '.join(missing)}. Start the application once."
        )
    for item in items:
        is_old = now() - item.created_at > MAX_LOG_KEY_AGE
        if item.purpose == "audit" and item.retired_at is None and is_old:
            yield CheckResult(
                WARNING,
                f"The key of the log is in use since {item.created_at:%Y-%m-%d}, for more than a year. "
                "Run: caseapp keys renew audit",
            )
    if broken := list_broken_client_keys():
        yield CheckResult(
            FAULT, f"{len(broken)} client keys can’t be opened. Run: caseapp keys check"
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
        yield CheckResult(FAULT, f"{provider.name} can’t be used: {fault.__cause__}")
        return
    yield CheckResult(OK, f"Staff can sign in at {provider.name}")
    if not provider.factor_values:
        yield CheckResult(
            OK,
            "What the provider says about a second factor isn’t used: whoever has set one up here is asked for it too",
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
            f"won’t be tried again for a day. Delete {limit_hits.hit_dir()} to try them again",
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


def check_worker() -> Iterator[CheckResult]:
    """Check that the worker passes on alerts."""
    last = heartbeat.get_last_beat()
    if last is None:
        yield CheckResult(WARNING, "The worker hasn’t run yet. `caseapp serve` starts it")
    elif heartbeat.is_alive():
        yield CheckResult(OK, "The worker is running")
    else:
        yield CheckResult(
            FAULT,
            f"The worker was last heard from at {last:%Y-%m-%d %H:%M} UTC. Alerts are not passed on and no mail is "
            "sent. Is `caseapp serve` or `caseapp worker` running?",
        )
