"""The key ring: random keys of the installation, each for one purpose. `caseapp init` fills it, and so does a start.

`downgrade` drops the keys for good: hashes for look-ups that were made with random keys are found no more, and what was
sealed under a key of the ring is lost. Restore a backup instead, once such keys are in use.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PURPOSES = (
    "index",
    "drafts",
    "safety",
    "audit",
    "signatures",
    "fingerprint_email",
    "fingerprint_phone",
    "fingerprint_name",
    "fingerprint_coach",
    "fingerprint_attempt",
)


def upgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    # SQLite doesn't enforce the length of a text by itself.
    length = sa.CheckConstraint(
        "length(wrapped_by) <= 16", name=op.f("ck_key_ring_wrapped_by_length")
    )
    codes = ", ".join(f"'{purpose}'" for purpose in PURPOSES)
    op.create_table(
        "key_ring",
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("purpose", "number", name=op.f("pk_key_ring")),
        sa.CheckConstraint(f"purpose IN ({codes})", name=op.f("ck_key_ring_purpose")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_key_ring_number")),
        *([length] if sqlite else []),
    )


def downgrade() -> None:
    op.drop_table("key_ring")
