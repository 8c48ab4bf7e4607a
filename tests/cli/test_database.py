"""On PostgreSQL the application's role only adds rows that never change, and does all of its work."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from caseapp.cli import installation_checks
from caseapp.cli.check_result import FAULT, OK, WARNING
from caseapp.core import migrate, settings
from caseapp.core.database import configure_engine, db, list_append_only
from caseapp.core.database_roles import list_stray_rights
from caseapp.core.errors import RuleBroken
from caseapp.domain.audit.start import refuse_unsafe_start
from caseapp.domain.audit.stored_log_verification import verify_log
from tests.domain.audit.test_chain import add_all_kinds
from tests.support import builders, safety_plans
from tests.support.owner import owner_connection
from tests.support.templates import use_engine

pytestmark = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)

GIVE_AWAY = """DO $$ DECLARE found record; BEGIN
    FOR found IN SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER TABLE %%I OWNER TO %%I', found.name, '{0}');
    END LOOP;
END $$"""


def run_as_superuser(*statements):
    with owner_connection() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def roles(app):
    """Give the addresses of the owner, who is no superuser, and of the application, whose role doesn't exist yet."""
    url = db.engine.url
    owner, application = f"{url.database[:50]}_owner", f"{url.database[:50]}_app"
    run_as_superuser(
        f"CREATE ROLE {owner} LOGIN CREATEROLE",
        f"ALTER DATABASE {url.database} OWNER TO {owner}",
        f"ALTER SCHEMA public OWNER TO {owner}",
        GIVE_AWAY.format(owner),
    )
    yield url.set(username=owner), url.set(username=application, password="hush")
    run_as_superuser(
        f"REASSIGN OWNED BY {owner}, {application} TO {url.username}",
        f"DROP OWNED BY {owner}, {application} CASCADE",
        f"DROP ROLE {application}",
        f"DROP ROLE {owner}",
    )


@pytest.fixture
def other(roles):
    """Give the name of a role that may change events, which somebody else has created."""
    name = f"{roles[0].database[:50]}_other"
    run_as_superuser(f"CREATE ROLE {name}", f"GRANT UPDATE ON audit_event TO {name}")
    yield name
    run_as_superuser(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.fixture
def set_up(roles, run_command):
    """Give a function that runs the command."""
    environ = {
        f"CASEAPP_{name}": url.render_as_string(hide_password=False)
        for name, url in zip(("OWNER_DATABASE_URL", "DATABASE_URL"), roles, strict=True)
    }
    return lambda *options: run_command("database", "roles", *options, **environ)


@contextmanager
def working_as(url):
    engine = sa.create_engine(url)
    configure_engine(engine)
    db.session.remove()
    before = use_engine(engine)
    try:
        yield
    finally:
        db.session.remove()
        use_engine(before)
        engine.dispose()


@contextmanager
def in_production():
    before = settings.active()
    settings.use(replace(before, env="production"))
    try:
        yield
    finally:
        settings.use(before)


def test_application_works_and_only_adds_rows_that_never_change(team, roles, set_up):
    assert [set_up().exit_code for _ in range(2)] == [0, 0]
    with working_as(roles[1]):
        add_all_kinds(team)
        made = builders.case(team["coach"])
        builders.screen(team["coach"], made.client_id, self_harm=3)
        safety_plans.write(team["coach"], made.client_id)
        assert verify_log().faults == []
        db.session.rollback()
        assert [found.level for found in installation_checks.check_database()] == [OK, OK]
        with in_production():
            refuse_unsafe_start()
        db.session.rollback()
        tried = [
            statement.format(table, db.metadata.tables[table].columns[0].name)
            for table in list_append_only()
            for statement in (
                "UPDATE {0} SET {1} = {1}",
                "DELETE FROM {0}",
                "TRUNCATE {0}",
                "DROP TABLE {0}",
                "ALTER TABLE {0} DISABLE TRIGGER USER",
                "CREATE TRIGGER other BEFORE INSERT ON {0} EXECUTE FUNCTION refuse_change()",
            )
        ]
        tried += [
            "UPDATE alembic_version SET version_num = 'older'",
            "CREATE TABLE other ()",
            "CREATE TEMP TABLE other ()",
            "CREATE SCHEMA other",
            "SET session_replication_role = replica",
            f"SET ROLE {roles[0].username}",
            f"GRANT {roles[0].username} TO {roles[1].username}",
            "ALTER ROLE CURRENT_USER SUPERUSER",
        ]
        for statement in tried:
            with (
                pytest.raises(sa.exc.DBAPIError, match=r"denied|must be owner"),
                db.engine.connect() as connection,
            ):
                connection.exec_driver_sql(statement)


def test_stray_rights_are_named_and_refused_in_production(roles, other, set_up):
    """A superuser among them (VULN-22)."""
    owner, application = (url.username for url in roles)
    database, superuser = roles[0].database, db.engine.url.username
    assert set_up().exit_code == 0
    run_as_superuser(f"ALTER ROLE {application} NOINHERIT")
    # What is done, what is said of it, and what undoes it where the command doesn't.
    for change, said, undo in (
        (f"GRANT UPDATE (action) ON audit_event TO {application}", "change audit_event", None),
        (f"GRANT INSERT ON alembic_version TO {application}", "change alembic_version", None),
        ("ALTER TABLE note_addendum DISABLE TRIGGER USER", "triggers of note_addendum", None),
        (f"GRANT CREATE ON SCHEMA public TO {application}", "may create tables", None),
        (
            f"GRANT pg_write_server_files TO {application}",
            "member of pg_write_server_files",
            f"REVOKE pg_write_server_files FROM {application}",
        ),
        (
            f"ALTER TABLE note OWNER TO {application}",
            "their owner: note.",
            f"ALTER TABLE note OWNER TO {owner}",
        ),
        (
            f"ALTER ROLE {application} CREATEROLE",
            "may create roles",
            f"ALTER ROLE {application} NOCREATEROLE",
        ),
        (f"GRANT TEMP ON DATABASE {database} TO {application}", "temporary tables", None),
        (
            f"ALTER FUNCTION refuse_change() OWNER TO {application}",
            "their owner: refuse_change.",
            f"ALTER FUNCTION refuse_change() OWNER TO {owner}",
        ),
        # By SET ROLE only.
        (
            f"GRANT {other} TO {application}",
            "may change audit_event",
            f"REVOKE {other} FROM {application}",
        ),
        (
            f"GRANT {superuser} TO {application}",
            "is a member of one",
            f"REVOKE {superuser} FROM {application}",
        ),
    ):
        run_as_superuser(change)
        with working_as(roles[1]):
            assert said in " ".join(list_stray_rights(db.session.connection()))
            with capture_logs() as lines:
                refuse_unsafe_start()
            assert [line["event"] for line in lines] == ["database.stray_rights"]
            assert WARNING in {found.level for found in installation_checks.check_database()}
            with in_production():
                with pytest.raises(RuleBroken, match=said):
                    refuse_unsafe_start()
                assert FAULT in {found.level for found in installation_checks.check_database()}
        if undo is None:
            assert set_up().exit_code == 0
        else:
            run_as_superuser(undo)
        with working_as(roles[1]):
            assert list_stray_rights(db.session.connection()) == []


def test_owner_migrates_and_may_not_be_able_to_create_roles(roles, set_up):
    owner, application = (url.username for url in roles)
    printed = set_up("--print-sql").stdout
    assert f'CREATE ROLE "{application}" LOGIN NOSUPERUSER' in printed
    assert "hush" not in printed
    run_as_superuser(f"ALTER ROLE {owner} NOCREATEROLE")
    refused = set_up()
    assert (refused.exit_code, "--print-sql" in refused.stderr) == (1, True)
    run_as_superuser(*printed.splitlines()[2:3])
    assert set_up().exit_code == 0
    before = settings.active()
    settings.use(replace(before, owner_database_url=roles[0].render_as_string()))
    try:
        with migrate.migration_connection() as connection:
            assert connection.exec_driver_sql("SELECT session_user").scalar() == owner
            assert list_stray_rights(connection) != []
    finally:
        settings.use(before)


def test_roles_need_the_owner_of_the_tables(app, run_command):
    refused = run_command("database", "roles")
    assert (refused.exit_code, "Set CASEAPP_OWNER_DATABASE_URL" in refused.stderr) == (1, True)
