"""Single sign-on: accounts at an OpenID provider, how a session began, and whether the practice requires the provider.

`downgrade` unlinks all accounts.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

KINDS = {
    "before": "'password', 'totp', 'recovery'",
    "after": "'password', 'totp', 'recovery', 'identity'",
}
IN_USE = sa.text("ended_at IS NULL")
LENGTH = "ck_credential_lookup_length"


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def _allow_kinds(when: str) -> None:
    with op.batch_alter_table("credential") as batch:
        batch.drop_constraint(op.f("ck_credential_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_credential_kind"), f"kind IN ({KINDS[when]})")


def upgrade() -> None:
    _allow_kinds("after")
    with op.batch_alter_table("credential") as batch:
        batch.add_column(sa.Column("lookup", sa.String(64), nullable=True))
        if _is_sqlite():
            batch.create_check_constraint(op.f(LENGTH), "length(lookup) <= 64")
    op.create_index(
        "uq_credential_lookup",
        "credential",
        ["kind", "lookup"],
        unique=True,
        sqlite_where=IN_USE,
        postgresql_where=IN_USE,
    )
    with op.batch_alter_table("session") as batch:
        batch.add_column(sa.Column("method", sa.String(8), nullable=True))
        batch.create_check_constraint(
            op.f("ck_session_method"), "method IN ('password', 'provider')"
        )
    # Not rebuilt on SQLite, where an earlier migration's downgrade drops a column with its CHECK.
    op.add_column(
        "practice",
        sa.Column(
            "requires_single_sign_on", sa.Boolean(), server_default=sa.false(), nullable=False
        ),
    )


def downgrade() -> None:
    op.drop_column("practice", "requires_single_sign_on")
    op.execute("DELETE FROM session WHERE method = 'provider'")
    with op.batch_alter_table("session") as batch:
        batch.drop_constraint(op.f("ck_session_method"), type_="check")
        batch.drop_column("method")
    op.execute("DELETE FROM credential WHERE kind = 'identity'")
    op.drop_index("uq_credential_lookup", table_name="credential")
    with op.batch_alter_table("credential") as batch:
        if _is_sqlite():
            batch.drop_constraint(op.f(LENGTH), type_="check")
        batch.drop_column("lookup")
    _allow_kinds("before")
