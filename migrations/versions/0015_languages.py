"""The language of the practice, and of a client where it is another one.

A client whose portal holds only Spanish handouts had Spanish pages around them before; they keep Spanish.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

LANGUAGES = "language IN ('en-GB', 'en-US', 'es')"
KEEP_SPANISH = """
    UPDATE client SET language = 'es'
    WHERE id IN (
        SELECT assignment.client_id FROM assignment
        JOIN handout_version ON handout_version.id = assignment.handout_version_id
        WHERE assignment.channel = 'portal' AND assignment.withdrawn_at IS NULL
        GROUP BY assignment.client_id
        HAVING min(handout_version.language) = 'es'
    )
"""


def upgrade() -> None:
    # As column constraints, they need no rebuilt table on SQLite.
    op.execute(
        "ALTER TABLE practice ADD COLUMN language VARCHAR(5) DEFAULT 'en-GB' NOT NULL"
        f" CONSTRAINT ck_practice_language CHECK ({LANGUAGES})"
    )
    op.execute(
        "ALTER TABLE client ADD COLUMN language VARCHAR(5)"
        f" CONSTRAINT ck_client_language CHECK ({LANGUAGES})"
    )
    op.execute(KEEP_SPANISH)


def downgrade() -> None:
    op.execute("ALTER TABLE client DROP COLUMN language")
    op.execute("ALTER TABLE practice DROP COLUMN language")
