"""The kinds of follow-ups are sealed, and the length of a sealed kind or result no longer tells which it is.

Hashes of what forms and requests sent, from which answers could be found by trying, are hashed again under a vault key.
An earlier release left a handout allowed when its hold was renewed, and stored that: `caseapp init` derives all states
and marks again from the events, which stay as they are. `downgrade` opens the kinds; those of a client whose key was
destroyed become `custom`. It leaves the hashes: what is sent again with a used key is refused then, as if it differed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op

from caseapp.core.vault import (
    keyed_digests,
    pad,
    seal,
    seal_code,
    unseal_code,
    unseal_text,
    unwrap_client_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from caseapp.core.vault import DataKey

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

TABLE, CHECK = "follow_up", "ck_follow_up_kind"
CUSTOM = "custom"
KINDS = (
    "recheck",
    "referral",
    "referral_outcome",
    "safety_plan",
    "plan_review",
    "safety_24h",
    "safety_72h",
    "safety_7d",
    "emergency_steps",
    "duty_check",
    "tell_supervisor",
    "welfare_check",
    "declined_decision",
    "close_screening",
    "close_check_in",
    CUSTOM,
)
BLOCK_SIZE = 512
AT_ONCE = 1000
KEYS = sa.table("client_key", sa.column("client_id", sa.Uuid), sa.column("wrapped", sa.LargeBinary))


ALERTS = sa.table(
    "alert",
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("kind", sa.LargeBinary),
)
SENT = sa.table(
    "idempotency_key",
    sa.column("subject_id", sa.Uuid),
    sa.column("scope", sa.String),
    sa.column("key", sa.String),
    sa.column("content_hash", sa.String),
)
PLAIN = sa.table(
    TABLE,
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("kind", sa.String),
    sa.column("result", sa.LargeBinary),
    sa.column("sealed_kind", sa.LargeBinary),
)
SEALED = sa.table(
    TABLE,
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("kind", sa.LargeBinary),
    sa.column("plain_kind", sa.String),
)


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("sealed_kind", sa.LargeBinary(), nullable=True))
    _change(PLAIN, _seal_task)
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f(CHECK), type_="check")
        batch.drop_column("kind")
        batch.alter_column(
            "sealed_kind",
            new_column_name="kind",
            existing_type=sa.LargeBinary(),
            nullable=False,
        )
    _change(ALERTS, _pad_alert)
    _hash_again()
    for table in ("viewer_mark", "client_safety"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - a fixed name


def downgrade() -> None:
    _change(ALERTS, _shorten_alert)
    op.add_column(TABLE, sa.Column("plain_kind", sa.String(24), nullable=True))
    _change(SEALED, _open_task)
    listed = ", ".join(f"'{kind}'" for kind in KINDS)
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_column("kind")
        batch.alter_column(
            "plain_kind", new_column_name="kind", existing_type=sa.String(24), nullable=False
        )
        batch.create_check_constraint(op.f(CHECK), f"kind IN ({listed})")


def _change(
    table: sa.TableClause, make: Callable[[Any, DataKey | None], dict[str, object]]
) -> None:
    """Change each row of a table by the values that a function makes of it and its client's key, if there is one."""
    connection = op.get_bind()
    rows_after = (
        sa.select(table, KEYS.c.wrapped)
        .outerjoin(KEYS, KEYS.c.client_id == table.c.client_id)
        .order_by(table.c.id)
        .limit(AT_ONCE)
    )
    query = rows_after
    while rows := connection.execute(query).all():
        for row in rows:
            key = None if row.wrapped is None else unwrap_client_key(row.client_id, row.wrapped)
            if values := make(row, key):
                connection.execute(sa.update(table).where(table.c.id == row.id).values(values))
        query = rows_after.where(table.c.id > rows[-1].id)


def _hash_again() -> None:
    connection = op.get_bind()
    own_key = sa.tuple_(SENT.c.subject_id, SENT.c.scope, SENT.c.key)
    query = rows_after = sa.select(SENT).order_by(*own_key).limit(AT_ONCE)
    while rows := connection.execute(query).all():
        for row in rows:
            same = (SENT.c.subject_id == row.subject_id, SENT.c.scope == row.scope)
            [hashed, *_] = keyed_digests(row.content_hash)
            again = sa.update(SENT).where(*same, SENT.c.key == row.key)
            connection.execute(again.values(content_hash=hashed))
        query = rows_after.where(own_key > sa.tuple_(*rows[-1][:3]))


def _seal(table: str, column: str, row: sa.Row[Any], text: str, key: DataKey) -> bytes | None:
    place = SimpleNamespace(__tablename__=table, id=row.id, client_id=row.client_id)
    return seal(place, column, text, key)


def _seal_task(row: sa.Row[Any], key: DataKey | None) -> dict[str, object]:
    if key is None:
        return {"sealed_kind": b""}
    values: dict[str, object] = {"sealed_kind": seal_code(TABLE, "kind", row.id, row.kind, key)}
    if result := unseal_text(TABLE, "result", row.id, row.result, key):
        values["result"] = _seal(TABLE, "result", row, pad(result, BLOCK_SIZE), key)
    return values


def _open_task(row: sa.Row[Any], key: DataKey | None) -> dict[str, object]:
    kind = CUSTOM if key is None else unseal_code(TABLE, "kind", row.id, row.kind, key)
    return {"plain_kind": kind}


def _pad_alert(row: sa.Row[Any], key: DataKey | None) -> dict[str, object]:
    kind = key and unseal_text("alert", "kind", row.id, row.kind, key)
    return {"kind": seal_code("alert", "kind", row.id, kind, key)} if key and kind else {}


def _shorten_alert(row: sa.Row[Any], key: DataKey | None) -> dict[str, object]:
    kind = key and unseal_code("alert", "kind", row.id, row.kind, key)
    return {"kind": _seal("alert", "kind", row, kind, key)} if key and kind else {}
