"""Searches by index: the newest clients and the words of a name, on PostgreSQL in the order of their characters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

WORDS, BY_CLIENT = "client_name_word", "ix_client_name_word_client"


def upgrade() -> None:
    op.create_index("ix_client_created", "client", ["created_at", "id"])
    op.drop_index(BY_CLIENT, WORDS)
    _compare_words_by("C")
    op.create_index(BY_CLIENT, WORDS, ["client_id", "word"])


def downgrade() -> None:
    op.drop_index(BY_CLIENT, WORDS)
    _compare_words_by("default")
    op.create_index(BY_CLIENT, WORDS, ["client_id"])
    op.drop_index("ix_client_created", "client")


def _compare_words_by(collation: str) -> None:
    """Set PostgreSQL's order of words, which rebuilds the primary key; SQLite always compares characters."""
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(WORDS, "word", type_=sa.String(60, collation=collation))
        # The change drops what the planner knows of the column, and nothing else would soon bring it back.
        op.execute(f"ANALYZE {WORDS}")
