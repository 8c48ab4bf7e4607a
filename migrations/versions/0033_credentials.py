"""What people sign in with stands in a table of its own, sealed under a key of the ring: first the passwords' hashes.

A hash that is stored already is sealed when its owner next signs in; until then it has no `ring_number`. `downgrade`
opens the hashes again and drops their keys; whoever has no password can't sign in then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

from caseapp.core.vault import RingKey, ring_key_binding, unseal_bound, unwrap_key

if TYPE_CHECKING:
    from uuid import UUID

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

PURPOSE = "credentials"
BEFORE = (
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
TIME = sa.DateTime(timezone=True)
USER = sa.table(
    "user_account",
    sa.column("id", sa.Uuid),
    sa.column("password_hash", sa.String),
    sa.column("created_at", TIME),
)
RING = sa.table(
    "key_ring", *map(sa.column, ("purpose", "number")), sa.column("wrapped", sa.LargeBinary)
)
CREDENTIAL = sa.table(
    "credential",
    sa.column("id", sa.Uuid),
    sa.column("person_id", sa.Uuid),
    *map(sa.column, ("kind", "ring_number")),
    sa.column("secret", sa.LargeBinary),
    *(sa.column(name, TIME) for name in ("created_at", "ended_at")),
)
LENGTH = "ck_user_account_password_hash_length"
IN_USE = sa.text("ended_at IS NULL")


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def _allow_purposes(purposes: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{purpose}'" for purpose in purposes)
    with op.batch_alter_table("key_ring") as batch:
        batch.drop_constraint(op.f("ck_key_ring_purpose"), type_="check")
        batch.create_check_constraint(op.f("ck_key_ring_purpose"), f"purpose IN ({listed})")


def upgrade() -> None:
    _allow_purposes((*BEFORE, PURPOSE))
    op.create_table(
        "credential",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("ring_number", sa.Integer(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
        sa.CheckConstraint("kind IN ('password')", name=op.f("ck_credential_kind")),
        sa.CheckConstraint("ring_number >= 1", name=op.f("ck_credential_ring_number")),
    )
    op.create_index(
        "uq_credential_in_use",
        "credential",
        ["person_id", "kind"],
        unique=True,
        sqlite_where=IN_USE,
        postgresql_where=IN_USE,
    )
    _copy_passwords(op.get_bind())
    with op.batch_alter_table("user_account") as batch:
        if _is_sqlite():
            batch.drop_constraint(op.f(LENGTH), type_="check")
        batch.drop_column("password_hash")


def _copy_passwords(connection: sa.Connection) -> None:
    rows = [
        {
            "id": user.id,
            "person_id": user.id,
            "kind": "password",
            "secret": user.password_hash.encode(),
            "created_at": user.created_at,
        }
        for user in connection.execute(sa.select(USER))
    ]
    if rows:
        connection.execute(sa.insert(CREDENTIAL), rows)


def downgrade() -> None:
    with op.batch_alter_table("user_account") as batch:
        batch.add_column(
            sa.Column("password_hash", sa.String(160), nullable=False, server_default=sa.text("''"))
        )
        if _is_sqlite():
            batch.create_check_constraint(op.f(LENGTH), "length(password_hash) <= 160")
    _open_passwords(op.get_bind())
    with op.batch_alter_table("user_account") as batch:
        batch.alter_column("password_hash", existing_type=sa.String(160), server_default=None)
    op.drop_table("credential")
    op.execute(sa.delete(RING).where(RING.c.purpose == PURPOSE))
    _allow_purposes(BEFORE)


def _open_passwords(connection: sa.Connection) -> None:
    wrapped = connection.execute(
        sa.select(RING.c.number, RING.c.wrapped).where(RING.c.purpose == PURPOSE)
    )
    keys = {
        number: RingKey(PURPOSE, number, unwrap_key(key, ring_key_binding(PURPOSE, number)))
        for number, key in wrapped
    }
    passwords = connection.execute(
        sa.select(CREDENTIAL).where(
            CREDENTIAL.c.kind == "password", CREDENTIAL.c.ended_at.is_(None)
        )
    ).all()
    for row in passwords:
        found = row.secret
        if row.ring_number is not None:
            found = unseal_bound(row.secret, _binding(row.id, row.person_id), keys[row.ring_number])
        connection.execute(
            sa.update(USER).where(USER.c.id == row.person_id).values(password_hash=found.decode())
        )


def _binding(credential_id: UUID, person_id: UUID) -> bytes:
    return f"credential\x1f{credential_id.hex}\x1f{person_id.hex}".encode()
