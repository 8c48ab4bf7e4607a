"""Which clients may be one person or a couple, who has decided about them, and who was told of how many.

Each phone number of a client has its own hash. The hashes that stand here were made by earlier rules: the worker makes
them again when it starts (`compared_as`), and finds possible conflicts that are here already. `downgrade` destroys the
decisions; it keeps one number of each client, which the earlier release finds once the client's details have been saved
again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Callable

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

INDEX = "ix_client_phone_hash"
COLUMN = "phone_hash VARCHAR(26)"
LENGTH = "CONSTRAINT ck_client_phone_hash_length CHECK (length(phone_hash) <= 26)"
IS_OURS = re.compile(r'(CONSTRAINT "?ck_client_phone_hash_length"?|"?phone_hash"?) ')


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def upgrade() -> None:
    op.create_table(
        "phone_hash",
        sa.Column("hash", sa.String(26), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name="fk_phone_hash_client_id_client"
        ),
        sa.PrimaryKeyConstraint("hash", "client_id", name="pk_phone_hash"),
        sa.CheckConstraint("length(hash) <= 26", name=op.f("ck_phone_hash_hash_length")).ddl_if(
            dialect="sqlite"
        ),
    )
    op.create_index("ix_phone_hash_client", "phone_hash", ["client_id"])
    op.create_table(
        "conflict_question",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name="fk_conflict_question_user_id_user_account"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_conflict_question"),
    )
    op.create_index("ix_conflict_question_user", "conflict_question", ["user_id", "asked_at"])
    op.create_table(
        "possible_conflict",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name="fk_possible_conflict_client_id_client"
        ),
        sa.ForeignKeyConstraint(
            ["other_id"], ["client.id"], name="fk_possible_conflict_other_id_client"
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"],
            ["user_account.id"],
            name="fk_possible_conflict_decided_by_user_account",
        ),
        sa.PrimaryKeyConstraint("client_id", "other_id", name="pk_possible_conflict"),
    )
    op.create_index("ix_possible_conflict_other", "possible_conflict", ["other_id"])
    op.execute(
        "INSERT INTO phone_hash (hash, client_id)"
        " SELECT phone_hash, id FROM client WHERE phone_hash IS NOT NULL"
    )
    op.drop_index(INDEX, "client")
    if _is_sqlite():
        _rebuild_client(lambda clauses: [one for one in clauses if not IS_OURS.match(one)])
        # As a column constraint, it goes with the column.
        op.execute(
            "ALTER TABLE client ADD COLUMN compared_as VARCHAR(12)"
            " CONSTRAINT ck_client_compared_as_length CHECK (length(compared_as) <= 12)"
        )
    else:
        op.drop_column("client", "phone_hash")
        op.add_column("client", sa.Column("compared_as", sa.String(12), nullable=True))


def downgrade() -> None:
    op.drop_column("client", "compared_as")
    if _is_sqlite():
        _rebuild_client(_with_phone_hash)
    else:
        op.add_column("client", sa.Column("phone_hash", sa.String(26), nullable=True))
    op.execute(
        "UPDATE client SET phone_hash ="
        " (SELECT min(hash) FROM phone_hash WHERE phone_hash.client_id = client.id)"
    )
    op.create_index(INDEX, "client", ["phone_hash"])
    for table in ("possible_conflict", "conflict_question", "phone_hash"):
        op.drop_table(table)


def _with_phone_hash(clauses: list[str]) -> list[str]:
    first = next(n for n, clause in enumerate(clauses) if clause.startswith("CONSTRAINT"))
    return [*clauses[:first], COLUMN, *clauses[first:], LENGTH]


def _rebuild_client(change: Callable[[list[str]], list[str]]) -> None:
    """Build SQLite's table of clients anew with changed clauses; its indexes come along.

    Alembic's own way would turn the constraints of columns into constraints of the table, which earlier migrations
    could then not drop with the column.
    """
    connection = op.get_bind()
    stored = "SELECT type, sql FROM sqlite_master WHERE tbl_name = 'client' AND sql NOT NULL"
    found = connection.exec_driver_sql(stored).all()
    before = _split(next(row.sql for row in found if row.type == "table"))
    after = change(before)
    names = [_column(clause) for clause in after if clause in before]
    columns = ", ".join(f'"{name}"' for name in names if name)
    definition = ",\n\t".join(after)
    for statement in (
        f'CREATE TABLE "rebuilt" (\n\t{definition}\n)',
        f'INSERT INTO "rebuilt" ({columns}) SELECT {columns} FROM client ORDER BY rowid',  # noqa: S608 - our own names
        "DROP TABLE client",
        'ALTER TABLE "rebuilt" RENAME TO client',
        *(row.sql for row in found if row.type != "table"),
    ):
        connection.exec_driver_sql(statement)


def _column(clause: str) -> str | None:
    """Return the name of the column that a clause defines, or None for a constraint."""
    word = clause.split(maxsplit=1)[0].strip('"')
    return None if word in {"CONSTRAINT", "PRIMARY", "FOREIGN", "UNIQUE", "CHECK"} else word


def _split(table_sql: str) -> list[str]:
    """Split the definition of a table into its columns and constraints."""
    clauses, depth, quote = [""], 0, ""
    for sign in table_sql[table_sql.index("(") + 1 : table_sql.rindex(")")]:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        else:
            depth += (sign == "(") - (sign == ")")
        if sign == "," and not depth and not quote:
            clauses.append("")
        else:
            clauses[-1] += sign
    return [clause.strip() for clause in clauses]
