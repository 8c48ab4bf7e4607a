"""The codes of why a bulk assignment left a client out are sealed: they tell about holds and flags.

`downgrade` opens them again; those of a client whose key was destroyed stay empty.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from caseapp.core.vault import seal, unseal_text, unwrap_client_key

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

TABLE = "bulk_assignment_item"
FAILURES = ("case_not_found", "creator_inactive", "failed")
BLOCK_SIZE = 512
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ITEM = sa.table(
    TABLE,
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("state", sa.String),
    sa.column("reasons", JSON),
    sa.column("codes", sa.LargeBinary),
    sa.column("failure", sa.String),
)
KEYS = sa.table("client_key", sa.column("client_id", sa.Uuid), sa.column("wrapped", sa.LargeBinary))


def upgrade() -> None:
    listed = ", ".join(f"'{code}'" for code in FAILURES)
    op.add_column(TABLE, sa.Column("codes", sa.LargeBinary(), nullable=True))
    # As a column constraint, it needs no rebuilt table on SQLite.
    op.execute(
        f"ALTER TABLE {TABLE} ADD COLUMN failure VARCHAR(20)"
        f" CONSTRAINT ck_{TABLE}_failure CHECK (failure IN ({listed}))"
    )
    connection = op.get_bind()
    rows = sa.select(
        ITEM.c.id, ITEM.c.client_id, ITEM.c.state, ITEM.c.reasons, KEYS.c.wrapped
    ).outerjoin(KEYS, KEYS.c.client_id == ITEM.c.client_id)
    for row in connection.execute(rows.where(ITEM.c.state != "assigned")).all():
        values: dict[str, object] = {}
        [only, *others] = row.reasons or [None]
        if row.state == "skipped" and only in FAILURES and not others:
            values["failure"] = only
        elif row.wrapped is not None:
            item = SimpleNamespace(__tablename__=TABLE, id=row.id, client_id=row.client_id)
            text = json.dumps(row.reasons)
            padded = text.ljust(-(-len(text) // BLOCK_SIZE) * BLOCK_SIZE)
            key = unwrap_client_key(row.client_id, row.wrapped)
            values["codes"] = seal(item, "codes", padded, key)
        if values:
            connection.execute(sa.update(ITEM).where(ITEM.c.id == row.id).values(values))
    op.drop_column(TABLE, "reasons")


def downgrade() -> None:
    op.add_column(TABLE, sa.Column("reasons", JSON, server_default=sa.text("'[]'"), nullable=False))
    connection = op.get_bind()
    rows = sa.select(
        ITEM.c.id, ITEM.c.client_id, ITEM.c.codes, ITEM.c.failure, KEYS.c.wrapped
    ).outerjoin(KEYS, KEYS.c.client_id == ITEM.c.client_id)
    known = sa.or_(ITEM.c.codes.is_not(None), ITEM.c.failure.is_not(None))
    for row in connection.execute(rows.where(known)).all():
        reasons = [row.failure]
        if row.failure is None:
            if row.wrapped is None:
                continue
            key = unwrap_client_key(row.client_id, row.wrapped)
            reasons = json.loads(unseal_text(TABLE, "codes", row.id, row.codes, key) or "[]")
        connection.execute(sa.update(ITEM).where(ITEM.c.id == row.id).values(reasons=reasons))
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f(f"ck_{TABLE}_failure"), type_="check")
        batch.drop_column("failure")
        batch.drop_column("codes")
        batch.alter_column("reasons", server_default=None)
