"""Run the numbered migrations on SQLite or PostgreSQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

from caseapp.core.database import UTCTime
from caseapp.core.migrate import check_references, migration_connection
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
    """Run what was asked for inside the open transaction of a connection."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,
        compare_type=True,
        compare_server_default=True,
        render_item=render_item,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    check_references(connection)


with migration_connection(context.config.attributes.get("url")) as opened:
    migrate(opened)
