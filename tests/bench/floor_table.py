"""The table for the plain inserts, which exists only in measured databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy import Connection

plain_note = sa.Table(
    "plain_note",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("case_id", sa.Uuid, index=True),
    sa.Column("at", sa.String(40)),
    sa.Column("body", sa.Text),
)


def create(connection: Connection) -> None:
    """Create the table, into which every role may write."""
    plain_note.metadata.create_all(connection)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("GRANT SELECT, INSERT ON plain_note TO PUBLIC")
