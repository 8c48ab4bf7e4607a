"""Alerts with their steps and recipients, and what they need to know: deputies, phone numbers, the manager, times.

`downgrade` drops the alerts and these settings.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STEPS = "step IN ('coach', 'supervisor', 'deputy', 'manager')"
MOMENT = sa.DateTime(timezone=True)
RANGES = {
    "id": (1, 1),
    "safety_deputy_minutes": (1, 1440),
    "safety_manager_minutes": (1, 1440),
    "care_deputy_days": (1, 10),
    "care_manager_days": (1, 10),
}
CONTACT = {"phone": 30, "on_call_hours": 60}


def upgrade() -> None:
    # SQLite doesn't enforce the length of a text by itself.
    sqlite = op.get_context().dialect.name == "sqlite"
    with op.batch_alter_table("user_account") as batch:
        batch.add_column(sa.Column("deputy_id", sa.Uuid(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_user_account_deputy_id_user_account"), "user_account", ["deputy_id"], ["id"]
        )
        for name, length in CONTACT.items():
            batch.add_column(
                sa.Column(name, sa.String(length), nullable=False, server_default=sa.text("''"))
            )
            if sqlite:
                batch.create_check_constraint(
                    op.f(f"ck_user_account_{name}_length"), f"length({name}) <= {length}"
                )
    op.create_table(
        "alert_setting",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("manager_id", sa.Uuid(), nullable=True),
        sa.Column("safety_deputy_minutes", sa.Integer(), nullable=False),
        sa.Column("safety_manager_minutes", sa.Integer(), nullable=False),
        sa.Column("care_deputy_days", sa.Integer(), nullable=False),
        sa.Column("care_manager_days", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_setting")),
        sa.ForeignKeyConstraint(
            ["manager_id"],
            ["user_account.id"],
            name=op.f("fk_alert_setting_manager_id_user_account"),
        ),
        *(
            sa.CheckConstraint(
                f"{name} = {low}" if low == high else f"{name} BETWEEN {low} AND {high}",
                name=op.f(f"ck_alert_setting_{name}"),
            )
            for name, (low, high) in RANGES.items()
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_alert_setting_version")),
    )
    op.execute(
        "INSERT INTO alert_setting (id, safety_deputy_minutes, safety_manager_minutes,"
        " care_deputy_days, version) VALUES (1, 30, 120, 1, 1)"
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("opened_by", sa.Uuid(), nullable=False),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("acknowledged_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_alert_client_id_client")
        ),
        sa.ForeignKeyConstraint(
            ["opened_by"], ["user_account.id"], name=op.f("fk_alert_opened_by_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["acknowledged_by"],
            ["user_account.id"],
            name=op.f("fk_alert_acknowledged_by_user_account"),
        ),
    )
    op.create_index("ix_alert_client", "alert", ["client_id", "opened_at"])
    op.create_table(
        "alert_step",
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(10), nullable=False),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("taken_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("alert_id", "step", name=op.f("pk_alert_step")),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_alert_step_alert_id_alert")
        ),
        sa.CheckConstraint(STEPS, name=op.f("ck_alert_step_step")),
    )
    op.create_table(
        "alert_recipient",
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "user_id", name=op.f("pk_alert_recipient")),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_alert_recipient_alert_id_alert")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user_account.id"],
            name=op.f("fk_alert_recipient_user_id_user_account"),
        ),
        sa.CheckConstraint(STEPS, name=op.f("ck_alert_recipient_step")),
    )
    op.create_index("ix_alert_recipient_user", "alert_recipient", ["user_id", "alert_id"])


def downgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    for table in ("alert_recipient", "alert_step", "alert", "alert_setting"):
        op.drop_table(table)
    op.execute("DELETE FROM outbox WHERE kind IN ('alert_step', 'alert_mail')")
    with op.batch_alter_table("user_account") as batch:
        for name in CONTACT:
            if sqlite:
                batch.drop_constraint(op.f(f"ck_user_account_{name}_length"), type_="check")
            batch.drop_column(name)
        batch.drop_constraint(op.f("fk_user_account_deputy_id_user_account"), type_="foreignkey")
        batch.drop_column("deputy_id")
