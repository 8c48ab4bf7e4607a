"""Clients answer worksheets, share the answers, and send back what could not be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer_sheet",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assignment_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("answers", sa.LargeBinary(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shared", sa.LargeBinary(), nullable=True),
        sa.Column("shared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignment.id"], name="fk_answer_sheet_assignment_id_assignment"
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name="fk_answer_sheet_client_id_client"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_answer_sheet"),
        sa.UniqueConstraint("assignment_id", name="uq_answer_sheet_assignment_id"),
    )
    op.create_index("ix_answer_sheet_client_id", "answer_sheet", ["client_id"])
    op.create_table(
        "returned_file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("assignment_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(12), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignment.id"], name="fk_returned_file_assignment_id_assignment"
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name="fk_returned_file_client_id_client"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_returned_file"),
    )
    op.create_index("ix_returned_file_assignment_id", "returned_file", ["assignment_id"])
    op.create_index("ix_returned_file_client_id", "returned_file", ["client_id"])


def downgrade() -> None:
    op.drop_table("returned_file")
    op.drop_table("answer_sheet")
