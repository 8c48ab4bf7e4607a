"""The two roles on PostgreSQL: one owns the tables and migrates them, the other one runs the application.

The application's role only adds rows to the tables whose rows never change, and changes no table, trigger or role. So
whoever makes the application run SQL of their own can't take the triggers off either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from caseapp.core.database import VERSION_TABLE, Model, list_append_only, list_guarded
from caseapp.core.errors import Reason, RuleBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL, Connection

WAY_OUT = "Run: caseapp database roles"
# All of it can be run again. Tables that don't exist yet get their rights from `caseapp init`.
GRANTS = """DO $$
DECLARE
    found record;
    schema text := current_schema();
    application text := {application};
    append_only text[] := ARRAY[{append_only}];
    ordinary text[] := ARRAY[{ordinary}];
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', current_database(), application);
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), application);
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC, %I', schema, application);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema, application);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC, %I', schema, application);
    FOR found IN SELECT tablename AS name FROM pg_tables WHERE schemaname = schema LOOP
        IF found.name = ANY (append_only) THEN
            EXECUTE format('GRANT SELECT, INSERT ON %I.%I TO %I', schema, found.name, application);
        ELSIF found.name = ANY (ordinary) THEN
            EXECUTE format(
                'GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO %I', schema, found.name, application
            );
        ELSIF found.name = {version} THEN
            EXECUTE format('GRANT SELECT ON %I.%I TO %I', schema, found.name, application);
        END IF;
    END LOOP;
    FOR found IN
        SELECT c.relname AS name, t.tgname AS trigger FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = schema::regnamespace AND NOT t.tgisinternal AND t.tgenabled <> 'A'
    LOOP
        EXECUTE format('ALTER TABLE %I.%I ENABLE ALWAYS TRIGGER %I', schema, found.name, found.trigger);
    END LOOP;
END $$"""
ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
# What each query finds is a sentence's end about the role `:role`. What a role may do by SET ROLE counts too, so each
# asks about every role that it is a member of; every role is a member of itself.
STRAY_RIGHTS = (
    """SELECT 'is a superuser, or is a member of one' WHERE EXISTS (
        SELECT 1 FROM pg_roles WHERE rolsuper AND pg_has_role(:role, oid, 'MEMBER'))""",
    """SELECT 'may create roles' WHERE EXISTS (
        SELECT 1 FROM pg_roles WHERE rolcreaterole AND pg_has_role(:role, oid, 'MEMBER'))""",
    """SELECT 'is a member of ' || rolname FROM pg_roles
    WHERE rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program')
    AND pg_has_role(:role, oid, 'MEMBER')""",
    """SELECT 'owns the database, or is a member of its owner' FROM pg_database
    WHERE datname = current_database() AND pg_has_role(:role, datdba, 'MEMBER')""",
    """SELECT 'may create schemas or temporary tables' WHERE EXISTS (
        SELECT 1 FROM pg_roles WHERE pg_has_role(:role, oid, 'MEMBER')
        AND has_database_privilege(oid, current_database(), 'CREATE, TEMPORARY'))""",
    """SELECT 'may create tables, functions and triggers' FROM pg_namespace
    WHERE nspname = current_schema() AND (pg_has_role(:role, nspowner, 'MEMBER') OR EXISTS (
        SELECT 1 FROM pg_roles r WHERE pg_has_role(:role, r.oid, 'MEMBER')
        AND has_schema_privilege(r.oid, pg_namespace.oid, 'CREATE')))""",
    """SELECT 'owns tables, or is a member of their owner: ' || string_agg(relname, ', ' ORDER BY relname)
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    AND relname = ANY (:every) AND pg_has_role(:role, relowner, 'MEMBER') HAVING count(*) > 0""",
    """SELECT 'owns functions of triggers, or is a member of their owner: '
        || string_agg(DISTINCT proname, ', ' ORDER BY proname)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal
    AND pg_has_role(:role, p.proowner, 'MEMBER') HAVING count(*) > 0""",
    """SELECT 'may change ' || string_agg(relname, ', ' ORDER BY relname) FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (:append_only) AND EXISTS (
        SELECT 1 FROM pg_roles r WHERE pg_has_role(:role, r.oid, 'MEMBER')
        AND (has_table_privilege(r.oid, pg_class.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
            OR has_any_column_privilege(r.oid, pg_class.oid, 'UPDATE'))) HAVING count(*) > 0""",
    """SELECT 'may change ' || relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relname = :version AND EXISTS (
        SELECT 1 FROM pg_roles r WHERE pg_has_role(:role, r.oid, 'MEMBER')
        AND (has_table_privilege(r.oid, pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
            OR has_any_column_privilege(r.oid, pg_class.oid, 'INSERT, UPDATE')))""",
    """SELECT 'can bypass some triggers of ' || string_agg(relname, ', ' ORDER BY relname)
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (:guarded)
    AND (SELECT count(*) FILTER (WHERE tgenabled = 'A') = 0 OR bool_or(tgenabled <> 'A')
        FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal) HAVING count(*) > 0""",
)


def list_stray_rights(connection: Connection, role: str | None = None) -> list[str]:
    """List what a role may do that the application must not, as sentences; nothing on SQLite.

    Without `role` it is the one that has connected.
    """
    if connection.dialect.name != "postgresql":
        return []
    role = role or connection.exec_driver_sql("SELECT session_user").scalar_one()
    given = {
        "role": role,
        "append_only": list_append_only(),
        "guarded": list_guarded(),
        "every": sorted(Model.metadata.tables),
        "version": VERSION_TABLE,
    }
    found = [text for query in STRAY_RIGHTS for text in connection.scalars(sa.text(query), given)]
    return [f"The role {role} {text}." for text in found]


def write_grants(application: str) -> str:
    """Return the SQL that gives a role the rights of the application, and no others."""
    append_only = list_append_only()
    return GRANTS.format(
        application=_quote(application),
        append_only=", ".join(map(_quote, append_only)),
        ordinary=", ".join(map(_quote, sorted({*Model.metadata.tables} - {*append_only}))),
        version=_quote(VERSION_TABLE),
    )


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def write_script(owner: URL, application: URL) -> Iterator[str]:
    """Write what an administrator of the server can run instead, without passwords: both roles, and the grants."""
    names = [_name(str(url.username)) for url in (owner, application)]
    yield "-- As a superuser, in the database of the application. Choose a password for each role: \\password NAME"
    for name, attributes in zip(
        names, (ATTRIBUTES.replace("NOCREATEROLE", "CREATEROLE"), ATTRIBUTES), strict=True
    ):
        yield f"CREATE ROLE {name} {attributes};"
    yield f"ALTER DATABASE {_name(str(owner.database))} OWNER TO {names[0]};"
    yield f"ALTER SCHEMA public OWNER TO {names[0]};"
    yield f"{write_grants(str(application.username))};"


def set_up_roles(connection: Connection, application: URL) -> list[str]:
    """Create the application's role if it is missing, and give it its rights; return what it may do too much.

    The connection is the owner's. Raises RuleBroken when the owner may not create roles and has to.
    """
    role = str(application.username)
    known = sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role")
    if connection.scalar(known, {"role": role}) is None:
        try:
            connection.exec_driver_sql(
                f"CREATE ROLE {_name(role)} {ATTRIBUTES}{_password(connection, application)}"
            )
        except ProgrammingError as fault:
            if not isinstance(fault.orig, psycopg.errors.InsufficientPrivilege):
                raise
            raise RuleBroken(
                Reason(
                    "role_missing",
                    f"The role {role} doesn’t exist, and the owner may not create roles.",
                    "Have an administrator run what this prints: caseapp database roles --print-sql",
                )
            ) from None
    connection.exec_driver_sql(write_grants(role).replace("%", "%%"))
    # Whoever isn't the owner of something gets a warning from PostgreSQL only.
    return list_stray_rights(connection, role)


def _password(connection: Connection, application: URL) -> str:
    """Return the clause with an address's password, hashed here, so that it is in no log of the server."""
    if application.password is None:
        return ""
    driver = connection.connection.driver_connection
    hashed = driver.pgconn.encrypt_password(  # type: ignore[union-attr]
        str(application.password).encode(), str(application.username).encode(), b"scram-sha-256"
    )
    return f" PASSWORD {_quote(hashed.decode())}"
