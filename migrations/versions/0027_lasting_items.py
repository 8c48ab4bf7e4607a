"""Safety states say since when each item has been at watch or above; marks name the clients for whom that is proposed.

`caseapp init` derives both again from the events, which stay as they are. `downgrade` removes them too: a release of
before reads neither.
"""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _remove_states_and_marks()


def downgrade() -> None:
    _remove_states_and_marks()


def _remove_states_and_marks() -> None:
    for table in ("viewer_mark", "client_safety"):
        op.execute(f"DELETE FROM {table}")  # noqa: S608 - a fixed name
