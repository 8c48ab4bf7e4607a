"""A draft says only that it has answers that are not recorded, not how high a level they have.

`downgrade` reads the level from the sealed answers. What a draft remembers as recorded is forgotten then.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op

from caseapp.core.vault import seal_json, unseal_text, unwrap_client_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.operations import BatchOperations

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

LEVEL_CHECK = "ck_note_unrecorded_level"
NOTE = sa.table(
    "note",
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("status", sa.String),
    sa.column("draft_screening", sa.LargeBinary),
    sa.column("has_unrecorded", sa.Boolean),
    sa.column("unrecorded_level", sa.SmallInteger),
)
KEYS = sa.table("client_key", sa.column("client_id", sa.Uuid), sa.column("wrapped", sa.LargeBinary))


@contextmanager
def _rebuilt_note() -> Iterator[BatchOperations]:
    """Change columns of the table of notes; SQLite builds it anew, and its triggers come along."""
    connection, triggers = op.get_bind(), []
    if connection.dialect.name == "sqlite":
        stored = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'note'"
        triggers = [*connection.exec_driver_sql(stored).scalars()]
    with op.batch_alter_table("note") as batch:
        yield batch
    for trigger in triggers:
        connection.exec_driver_sql(trigger)


def upgrade() -> None:
    op.add_column(
        "note", sa.Column("has_unrecorded", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.execute(
        sa.update(NOTE).where(NOTE.c.unrecorded_level.is_not(None)).values(has_unrecorded=True)
    )
    with _rebuilt_note() as batch:
        batch.drop_constraint(op.f(LEVEL_CHECK), type_="check")
        batch.drop_column("unrecorded_level")
        batch.alter_column("has_unrecorded", server_default=None)


def downgrade() -> None:
    # As a column constraint, it needs no rebuilt table on SQLite.
    op.execute(
        "ALTER TABLE note ADD COLUMN unrecorded_level SMALLINT"
        f" CONSTRAINT {LEVEL_CHECK} CHECK (unrecorded_level BETWEEN 0 AND 3)"
    )
    connection = op.get_bind()
    drafts = (
        sa.select(NOTE.c.id, NOTE.c.client_id, NOTE.c.draft_screening, KEYS.c.wrapped)
        .join(KEYS, KEYS.c.client_id == NOTE.c.client_id)
        .where(NOTE.c.status == "draft", NOTE.c.draft_screening.is_not(None))
    )
    for row in connection.execute(drafts).all():
        key = unwrap_client_key(row.client_id, row.wrapped)
        text = unseal_text("note", "draft_screening", row.id, row.draft_screening, key)
        answers = json.loads(text or "{}")
        recorded = answers.pop("recorded", None)
        values: dict[str, object] = {"unrecorded_level": _find_level(answers, recorded)}
        if recorded:
            note = SimpleNamespace(__tablename__="note", id=row.id, client_id=row.client_id)
            values["draft_screening"] = seal_json(note, "draft_screening", answers, key)
        connection.execute(sa.update(NOTE).where(NOTE.c.id == row.id).values(values))
    with _rebuilt_note() as batch:
        batch.drop_column("has_unrecorded")


def _find_level(answers: dict[str, Any], recorded: dict[str, Any] | None) -> int | None:
    """Find the highest level in a draft that is not recorded."""
    known = recorded["draft"]["answers"] if recorded else {}
    levels = (
        level
        for item, level in answers["answers"].items()
        if level is not None and known.get(item) != level
    )
    return max(levels, default=None)
