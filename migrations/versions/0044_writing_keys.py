"""What a client wrote for nobody else gets a key that only their PIN opens; whoever is signed in enters it again.

It is sealed to that key when its client next enters their PIN or is next invited; until then it stays under the
client's key. `downgrade` has no PIN: it keeps what was shared or sent, and of an answer the copy that was shared, and
deletes the rest.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from caseapp.core.vault import (
    SealBroken,
    seal_bound,
    unseal_bound,
    unwrap_client_key,
)

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

PURPOSE = "writing"
BEFORE = (
    "index",
    "drafts",
    "safety",
    "audit",
    "signatures",
    "credentials",
    "fingerprint_email",
    "fingerprint_phone",
    "fingerprint_name",
    "fingerprint_coach",
    "fingerprint_attempt",
)
TIME = sa.DateTime(timezone=True)
HOLDERS = ("form_draft", "worksheet_response", "worksheet_upload")
IS_OPEN = sa.text("closed_at IS NULL")
RESPONSE = sa.table(
    "worksheet_response",
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("writing_key_id", sa.Uuid),
    sa.column("answers", sa.LargeBinary),
    sa.column("shared_answers", sa.LargeBinary),
)
CLIENT_KEY = sa.table(
    "client_key", sa.column("client_id", sa.Uuid), sa.column("wrapped", sa.LargeBinary)
)


def _allow_purposes(purposes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{purpose}'" for purpose in purposes)
    with op.batch_alter_table("key_ring") as batch:
        batch.drop_constraint(op.f("ck_key_ring_purpose"), type_="check")
        batch.create_check_constraint(op.f("ck_key_ring_purpose"), f"purpose IN ({listed})")


def upgrade() -> None:
    _allow_purposes((*BEFORE, PURPOSE))
    op.create_table(
        "writing_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("public_key", sa.String(64), nullable=False),
        sa.Column("ring_number", sa.Integer(), nullable=False),
        sa.Column("pin_salt", sa.String(100), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        *(
            sa.CheckConstraint(
                f"length({name}) <= {most}", name=op.f(f"ck_writing_key_{name}_length")
            ).ddl_if(dialect="sqlite")
            for name, most in (("public_key", 64), ("pin_salt", 100))
        ),
        sa.CheckConstraint("ring_number >= 1", name=op.f("ck_writing_key_ring_number")),
        sa.CheckConstraint("tries >= 0", name=op.f("ck_writing_key_tries")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_writing_key_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_writing_key")),
    )
    op.create_index(op.f("ix_writing_key_client_id"), "writing_key", ["client_id"])
    op.create_index(
        "uq_writing_key_open",
        "writing_key",
        ["client_id"],
        unique=True,
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )
    for table in HOLDERS:
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("writing_key_id", sa.Uuid(), nullable=True))
            batch.create_foreign_key(
                op.f(f"fk_{table}_writing_key_id_writing_key"),
                "writing_key",
                ["writing_key_id"],
                ["id"],
            )
        op.create_index(op.f(f"ix_{table}_writing_key_id"), table, ["writing_key_id"])
    with op.batch_alter_table("session") as batch:
        batch.add_column(sa.Column("wrapped_writing_key", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    _keep_shared_answers(op.get_bind())
    for table in HOLDERS:
        holder = sa.table(table, sa.column("writing_key_id"))
        op.execute(sa.delete(holder).where(holder.c.writing_key_id.is_not(None)))
        op.drop_index(op.f(f"ix_{table}_writing_key_id"), table)
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(
                op.f(f"fk_{table}_writing_key_id_writing_key"), type_="foreignkey"
            )
            batch.drop_column("writing_key_id")
    with op.batch_alter_table("session") as batch:
        batch.drop_column("wrapped_writing_key")
    op.drop_table("writing_key")
    ring = sa.table("key_ring", sa.column("purpose"))
    op.execute(sa.delete(ring).where(ring.c.purpose == PURPOSE))
    _allow_purposes(BEFORE)


def _keep_shared_answers(connection: sa.Connection) -> None:
    """Make the copy that was shared the answers, under the client's key."""
    rows = connection.execute(
        sa.select(RESPONSE, CLIENT_KEY.c.wrapped)
        .join(CLIENT_KEY, CLIENT_KEY.c.client_id == RESPONSE.c.client_id)
        .where(RESPONSE.c.writing_key_id.is_not(None), RESPONSE.c.shared_answers.is_not(None))
    ).all()
    for row in rows:
        key = unwrap_client_key(row.client_id, row.wrapped)
        try:
            text = unseal_bound(row.shared_answers, _binding("shared", row), key)
        except SealBroken:
            continue
        connection.execute(
            sa.update(RESPONSE)
            .where(RESPONSE.c.id == row.id)
            .values(answers=seal_bound(text, _binding("answers", row), key), writing_key_id=None)
        )


def _binding(column: str, row: sa.Row[tuple[object, ...]]) -> bytes:
    return f"answer_sheet\x1f{column}\x1f{row.id.hex}\x1f{row.client_id.hex}".encode()
