"""Staff choose a password by a link or code: that of an invitation, or in place of a forgotten one.

`downgrade` ends all links and codes, and forgets how often wrong ones were tried.
"""

from __future__ import annotations

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

LINKS = "'invitation', 'reset', 'reset_code'"
CREDENTIALS = "'password', 'totp', 'recovery', 'identity'"
EVENTS = "'password', 'confirmation', 'code', 'entry', 'start_code', 'pin', 'token', 'refused'"


def _allow(table: str, kinds: str) -> None:
    with op.batch_alter_table(table) as batch:
        batch.drop_constraint(op.f(f"ck_{table}_kind"), type_="check")
        batch.create_check_constraint(op.f(f"ck_{table}_kind"), f"kind IN ({kinds})")


def upgrade() -> None:
    _allow("credential", f"{CREDENTIALS}, {LINKS}")
    _allow("security_event", f"{EVENTS}, 'link'")


def downgrade() -> None:
    op.execute("DELETE FROM security_event WHERE kind = 'link'")
    op.execute(f"DELETE FROM credential WHERE kind IN ({LINKS})")  # noqa: S608 - constants
    _allow("security_event", EVENTS)
    _allow("credential", CREDENTIALS)
