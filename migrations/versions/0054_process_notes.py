"""Process notes, which only their authors read, under keys of their own.

A draft of a form about a client is sealed under its author's key too from now on. `downgrade` destroys the process
notes and those drafts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

TABLE = "process_note"
PURPOSE = "process_notes"
BEFORE = (
    "index",
    "drafts",
    "safety",
    "audit",
    "signatures",
    "credentials",
    "writing",
    "fingerprint_email",
    "fingerprint_phone",
    "fingerprint_name",
    "fingerprint_coach",
    "fingerprint_attempt",
)
TIME = sa.DateTime(timezone=True)
REFERENCES = {"client_id": "client", "case_id": "coaching_case", "author_id": "user_account"}


def _allow_purposes(purposes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{purpose}'" for purpose in purposes)
    with op.batch_alter_table("key_ring") as batch:
        batch.drop_constraint(op.f("ck_key_ring_purpose"), type_="check")
        batch.create_check_constraint(op.f("ck_key_ring_purpose"), f"purpose IN ({listed})")


def upgrade() -> None:
    _allow_purposes((*BEFORE, PURPOSE))
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in REFERENCES),
        sa.Column("ring_number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("ring_number >= 1", name=op.f(f"ck_{TABLE}_ring_number")),
        sa.CheckConstraint("version >= 1", name=op.f(f"ck_{TABLE}_version")),
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{column}_{other}")
            )
            for column, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        sa.UniqueConstraint("case_id", "author_id", name=op.f(f"uq_{TABLE}_case_id_author_id")),
    )
    op.create_index(op.f(f"ix_{TABLE}_client_id"), TABLE, ["client_id"])


def downgrade() -> None:
    op.drop_table(TABLE)
    drafts = sa.table("form_draft", sa.column("client_id"), sa.column("ring_number"))
    op.execute(
        sa.delete(drafts).where(drafts.c.client_id.is_not(None), drafts.c.ring_number.is_not(None))
    )
    ring = sa.table("key_ring", sa.column("purpose"))
    op.execute(sa.delete(ring).where(ring.c.purpose == PURPOSE))
    _allow_purposes(BEFORE)
