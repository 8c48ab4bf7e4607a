import platform
import socket
import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from caseapp.cli import installation_checks, practice_checks
from caseapp.cli.check_result import FAULT, OK, WARNING
from caseapp.core import outbox, pdf, settings, uploads
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.sandbox import landlock
from caseapp.core.settings import SETTING_DESCRIPTIONS
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import update_staff_contact
from caseapp.domain.alerts.schemas import StaffContact
from caseapp.domain.auth.operations import add_user
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.keys.models import ClientKey, KeyRing
from caseapp.domain.practice.operations import confirm_help_lines
from caseapp.domain.protocol.file import PROTOCOL
from tests.core.sandboxes import make_pool
from tests.support import builders, staff
from tests.support.owner import owner_connection

pytestmark = [pytest.mark.both, pytest.mark.usefixtures("on_release_day")]


def section(output, title):
    return output.partition(f"\n{title}\n")[2].partition("\n\n")[0]


@pytest.mark.pdf
@pytest.mark.slow
def test_check_describes_every_setting_and_hides_secrets(run_command):
    done = run_command(
        "check", CASEAPP_SMTP_URL="smtp://mail:hush@127.0.0.1:1", CASEAPP_MAIL_FROM="us@x.test"
    )
    for name, description in SETTING_DESCRIPTIONS.items():
        assert f"CASEAPP_{name} = " in done.output
        assert description in done.output
    assert "hush" not in done.output
    assert "CASEAPP_MAIL_FROM = us@x.test\n" in done.output
    assert "CASEAPP_LOG_FORMAT = text (default)" in done.output


@pytest.mark.pdf
def test_check_passes_for_a_ready_practice(team, run_command):
    with transaction():
        add_user(
            operator(),
            "coach3@practice.test",
            "Noor Said",
            "coach",
            staff.PASSWORD,
            supervisor="supervisor@practice.test",
        )
        staff.disable("coach2@practice.test")
        contact = StaffContact("020 7946 0142", "Any hour", None)
        update_staff_contact(team["admin"], team["supervisor"].id, contact, 1)
        confirm_help_lines(team["admin"])
    done = run_command("check")
    assert done.exit_code == 0, done.output
    assert "FAULT" not in done.output
    assert "all migrations applied" in done.output
    assert "No mail server is set" in section(done.output, "Mail")
    assert "0 client keys and 13 keys in the key ring" in section(done.output, "Keys")
    assert "The workers for PDFs and uploads can be started" in done.output
    count = len(PROTOCOL.rules)
    assert f"ok    Version {PROTOCOL.version}, {count} rules" in section(
        done.output, "Screening protocol"
    )
    assert f"look  {count} of {count} rules await sign-off" in section(
        done.output, "Screening protocol"
    )


@pytest.mark.pdf
def test_unconfirmed_help_lines_are_a_fault(team, run_command):
    assert "FAULT The help lines are not confirmed" in section(
        run_command("check").output, "Help lines"
    )
    with at(now() - timedelta(days=91)), transaction():
        confirm_help_lines(team["admin"])
    done = run_command("check")
    assert done.exit_code == 1
    assert "too long ago" in section(done.output, "Help lines")


@pytest.mark.pdf
def test_coach_without_supervisor_is_a_fault(team, run_command):
    output = section(run_command("check").output, "Users")
    assert "FAULT Safety holds for the clients of Jonas Adler cannot be released" in output
    assert "Helen Marsh can’t release a safety hold" in output


def responsibility():
    return [(result.level, result.text) for result in practice_checks.check_responsibility()]


def test_everybody_is_looked_after(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, self_harm=3)
    assert responsibility() == [(OK, "Somebody is responsible for every client in need")]


def test_client_of_a_coach_who_has_left_is_a_fault(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, self_harm=3)
    with transaction():
        staff.disable("coach@practice.test")
    ((state, text),) = responsibility()
    assert state == FAULT
    assert f"is responsible for these clients: {made.number}." in text


def test_follow_up_of_somebody_who_cannot_do_it_is_a_fault(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, sleep=1)
    with transaction():
        db.session.execute(sa.update(FollowUp).values(assigned_to=team["coach2"].id))
    ((state, text),) = responsibility()
    assert state == FAULT
    assert f"about these clients can no longer do them: {made.number}." in text


def test_hold_that_nobody_else_could_release_is_a_warning(team):
    """Of one client the coach has no supervisor, of the other the supervisor recorded a screening of the hold."""
    cases = [builders.case(team[coach]) for coach in ("coach2", "coach")]
    builders.screen(team["coach2"], cases[0].client_id, self_harm=3)
    builders.screen(team["supervisor"], cases[1].client_id, self_harm=3)
    ((state, text),) = responsibility()
    assert state == WARNING
    assert f"{cases[0].number}, {cases[1].number}. Name another supervisor" in text


@pytest.mark.pdf
def test_no_active_user_is_a_fault(run_command):
    assert "FAULT Nobody can sign in." in run_command("check").output


def test_keys_that_do_not_open_or_are_under_another_vault_key_are_named(app):
    before = settings.active()
    builders.case(staff.add("coach"))
    assert [found.level for found in installation_checks.check_keys()] == [OK]
    settings.use(replace(before, vault_keys=(bytes(range(100, 132)), *before.vault_keys)))
    try:
        assert [found.level for found in installation_checks.check_keys()] == [OK, WARNING]
    finally:
        settings.use(before)
    with transaction() as session:
        session.execute(sa.update(ClientKey).values(wrapped=b"changed"))
        session.execute(sa.delete(KeyRing).where(KeyRing.purpose == "safety"))
    told = [found.text for found in installation_checks.check_keys() if found.level == FAULT]
    assert ["safety" in told[0], "1 client keys" in told[1]] == [True, True]


@pytest.mark.parametrize(
    ("proxies", "address", "level", "words"),
    [
        (0, "https://desk.example.org", WARNING, "set CASEAPP_TRUSTED_PROXIES to 1"),
        (0, "http://127.0.0.1:8000", OK, "is the one that connects"),
        (1, "https://desk.example.org", OK, "the last address in X-Forwarded-For"),
        (2, "https://desk.example.org", OK, "address 2 from the end"),
    ],
)
def test_whose_address_counts_is_explained(app, proxies, address, level, words):
    before = settings.active()
    settings.use(replace(before, trusted_proxies=proxies, base_url=address))
    try:
        [found] = installation_checks.check_visitors()
    finally:
        settings.use(before)
    assert found.level == level
    assert words in found.text


@pytest.mark.parametrize(
    ("changed", "levels"),
    [
        ({"env": "demo"}, [OK]),
        ({"env": "production"}, [WARNING]),
        ({"env": "production", "portal_url": "https://DESK.example.org:443"}, [FAULT]),
        ({"env": "production", "portal_url": "https://reader.example.net"}, [OK]),
        (
            {
                "env": "production",
                "portal_url": "https://reader.example.net",
                "mail_from": "us@desk.example.org",
            },
            [OK, WARNING],
        ),
    ],
)
def test_portal_without_a_host_name_of_its_own_is_named(app, changed, levels):
    before = settings.active()
    settings.use(replace(before, base_url="https://desk.example.org", **changed))
    try:
        assert [found.level for found in installation_checks.check_addresses()] == levels
    finally:
        settings.use(before)


def test_unreachable_mail_server_is_a_fault(app):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        before = settings.active()
        settings.use(replace(before, smtp_url=f"smtp://127.0.0.1:{taken.getsockname()[1]}"))
        [result] = installation_checks.check_mail()
        settings.use(before)
    assert result.level == FAULT


def test_unsent_mail_is_a_fault(app):
    with at(now() - timedelta(minutes=11)), transaction():
        outbox.enqueue("portal.link", {"client": "0" * 32})
    found = [
        result.text for result in installation_checks.check_database() if result.level == FAULT
    ]
    assert len(found) == 1
    assert found[0].startswith("1 task has waited for over ten minutes.")


def test_task_that_waits_for_its_time_is_no_fault(app):
    with at(now() - timedelta(hours=1)), transaction():
        outbox.enqueue("alert_step", {"alert": "0" * 32}, due_at=now() + timedelta(hours=2))
    assert all(result.level != FAULT for result in installation_checks.check_database())
    with at(now() + timedelta(hours=1, minutes=9)):
        assert outbox.count_late(installation_checks.MAX_MAIL_DELAY) == 0
    with at(now() + timedelta(hours=1, minutes=11)):
        assert outbox.count_late(installation_checks.MAX_MAIL_DELAY) == 1


def test_outdated_schema_is_a_fault(app):
    with owner_connection() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'older'")
    assert "caseapp init" in next(iter(installation_checks.check_database())).text


@pytest.mark.pdf
def test_kernel_without_protections_is_a_warning_and_logged(app, monkeypatch):
    assert not any("lacks" in result.text for result in installation_checks.check_pdf())
    monkeypatch.setattr(landlock, "get_version", lambda: 0)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with capture_logs() as entries:
        [warning] = [result for result in installation_checks.check_pdf() if "lacks" in result.text]
    assert warning.level == WARNING
    for name in ("Landlock", "seccomp"):
        assert name in warning.text
        assert name in str([e for e in entries if e["event"] == "sandbox.unprotected"])


@pytest.mark.process
@pytest.mark.parametrize("fault", ["OSError", "ImportError"])
def test_workers_that_cannot_start_are_a_fault(app, monkeypatch, fault):
    for module in (pdf, uploads):
        with monkeypatch.context() as broken:
            broken.setattr(module, "_pool", make_pool(fault))
            found = [result.level for result in installation_checks.check_pdf()]
        assert FAULT in found
        assert FAULT not in [result.level for result in installation_checks.check_pdf()]


def test_old_sqlite_is_a_warning(app, monkeypatch):
    if db.engine.dialect.name != "sqlite":
        return
    for version, level in (((3, 51, 2), WARNING), ((3, 51, 3), OK)):
        monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
        assert list(installation_checks.check_database())[-1].level == level
