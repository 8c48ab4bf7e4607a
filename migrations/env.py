"""Run the numbered migrations on SQLite or PostgreSQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

from caseapp.core import settings
from caseapp.core.database import UTCTime
from caseapp.domain.models import METADATA


def render_item(kind: str, item: object, autogen: Any) -> str | bool:  # noqa: ANN401 - Alembic's own
    """Write our own types as plain SQLAlchemy, so that a migration never imports the app."""
    if kind == "type" and isinstance(item, UTCTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, sa.JSON):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def migrate(connection: sa.Connection) -> None:
    """Run what was asked for on one connection."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,
        compare_type=True,
        compare_server_default=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if isinstance(given, sa.Engine):
    with given.connect() as opened:
        migrate(opened)
elif given is not None:
    migrate(given)
else:
    # This engine leaves SQLite's foreign keys off: rebuilding a parent table would delete its children.
    engine = sa.create_engine(settings.active().database_url, poolclass=sa.NullPool)
    with engine.connect() as opened:
        migrate(opened)
        opened.commit()
        if (
            engine.dialect.name == "sqlite"
            and opened.exec_driver_sql("PRAGMA foreign_key_check").all()
        ):
            raise RuntimeError("The migration left rows that point at nothing.")
