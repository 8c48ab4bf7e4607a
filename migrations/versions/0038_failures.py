"""Failed tries are counted by what they share, and security events by the hour; no portal is locked any more.

`downgrade` destroys both counts; every portal is then open, with all five attempts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KINDS = "'password', 'confirmation', 'code', 'entry', 'start_code', 'pin', 'token', 'refused'"
CLOSED = sa.text("locked_at IS NOT NULL")


def upgrade() -> None:
    op.drop_table("sign_in_attempt")
    op.create_table(
        "failure_count",
        sa.Column("scope", sa.String(26), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("next_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_failure_count"),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_failure_count_failures")),
        sa.CheckConstraint(
            "length(scope) <= 26", name=op.f("ck_failure_count_scope_length")
        ).ddl_if(dialect="sqlite"),
    )
    op.create_table(
        "security_event",
        sa.Column("hour_at", TIME, nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("hour_at", "kind", "subject_id", name="pk_security_event"),
        sa.CheckConstraint(f"kind IN ({KINDS})", name=op.f("ck_security_event_kind")),
        sa.CheckConstraint("times >= 1", name=op.f("ck_security_event_times")),
    )
    op.create_index("ix_security_event_last_at", "security_event", ["last_at"])
    # Whose portal is locked is still told to the coach.
    op.execute(
        "INSERT INTO security_event (hour_at, kind, subject_id, times, last_at)"
        " SELECT locked_at, 'pin', client_id, failed_pin_attempts, locked_at"
        " FROM portal_access WHERE locked_at IS NOT NULL AND failed_pin_attempts >= 1"
    )
    op.drop_index("ix_portal_access_locked", "portal_access")
    with op.batch_alter_table("portal_access") as batch:
        batch.drop_constraint(op.f("ck_portal_access_failed_pin_attempts"), type_="check")
        batch.drop_column("failed_pin_attempts")
        batch.drop_column("locked_at")


def downgrade() -> None:
    # SQLite adds a column that may not be empty only with a default, which the earlier schema doesn't have.
    op.add_column("portal_access", sa.Column("failed_pin_attempts", sa.Integer(), nullable=True))
    op.execute("UPDATE portal_access SET failed_pin_attempts = 0")
    with op.batch_alter_table("portal_access") as batch:
        batch.alter_column("failed_pin_attempts", existing_type=sa.Integer(), nullable=False)
        batch.create_check_constraint(
            op.f("ck_portal_access_failed_pin_attempts"), "failed_pin_attempts >= 0"
        )
        batch.add_column(sa.Column("locked_at", TIME, nullable=True))
    op.create_index(
        "ix_portal_access_locked",
        "portal_access",
        ["locked_at"],
        sqlite_where=CLOSED,
        postgresql_where=CLOSED,
    )
    op.drop_index("ix_security_event_last_at", "security_event")
    op.drop_table("security_event")
    op.drop_table("failure_count")
    op.create_table(
        "sign_in_attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_attempt"),
        sa.CheckConstraint(
            "length(scope) <= 64", name=op.f("ck_sign_in_attempt_scope_length")
        ).ddl_if(dialect="sqlite"),
    )
    op.create_index("ix_sign_in_attempt_scope", "sign_in_attempt", ["scope", "occurred_at"])
