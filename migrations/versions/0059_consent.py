"""The practice's consent texts, and what clients have given and withdrawn; neither ever changes.

What intake recorded stays where it is. `downgrade` destroys the texts and the entries, and with them what was
withdrawn.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
LANGUAGES = "'en-GB', 'en-US', 'es'"
REFERENCES = {"client_id": "client", "text_id": "consent_text", "recorded_by": "user_account"}
WITHDRAWN = sa.text("consent_withdrawn_on IS NOT NULL")
# What SQLite's REPLACE could take the place of; it slips past the other two.
UNIQUE = {
    "consent_text": "rowid = NEW.rowid OR id = NEW.id OR (version = NEW.version AND language = NEW.language)",
    "consent": "rowid = NEW.rowid OR id = NEW.id",
}
MESSAGES = {
    "consent_text": "published consent texts never change",
    "consent": "entries about consent never change",
}


def _guards(table: str, dialect: str) -> list[str]:
    message = MESSAGES[table]
    if dialect == "sqlite":
        return [
            (
                f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
            ),
            (
                f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
            ),
            (
                f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}"  # noqa: S608 - our own names
                f" WHEN EXISTS (SELECT 1 FROM {table} WHERE {UNIQUE[table]})"
                f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
            ),
        ]
    return [
        (
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        ),
        (
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        ),
    ]


def upgrade() -> None:
    # As column constraints, they need no rebuilt table on SQLite.
    op.execute(
        "ALTER TABLE practice ADD COLUMN consent_version INTEGER DEFAULT 0 NOT NULL"
        " CONSTRAINT ck_practice_consent_version CHECK (consent_version >= 0)"
    )
    op.execute(
        "ALTER TABLE client ADD COLUMN consent_version INTEGER"
        " CONSTRAINT ck_client_consent_version CHECK (consent_version >= 0)"
    )
    op.execute("ALTER TABLE client ADD COLUMN consent_withdrawn_on DATE")
    op.create_index(
        "ix_client_withdrawn",
        "client",
        ["id"],
        sqlite_where=WITHDRAWN,
        postgresql_where=WITHDRAWN,
    )
    op.create_table(
        "consent_text",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(5), nullable=False),
        sa.Column("words", sa.String(20000), nullable=False),
        sa.Column("published_at", TIME, nullable=False),
        sa.Column("published_by", sa.Uuid(), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_consent_text_version")),
        sa.CheckConstraint(
            "length(words) <= 20000", name=op.f("ck_consent_text_words_length")
        ).ddl_if(dialect="sqlite"),
        sa.CheckConstraint(f"language IN ({LANGUAGES})", name=op.f("ck_consent_text_language")),
        sa.ForeignKeyConstraint(
            ["published_by"],
            ["user_account.id"],
            name=op.f("fk_consent_text_published_by_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_text")),
        sa.UniqueConstraint("version", "language", name=op.f("uq_consent_text_version_language")),
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(9), nullable=False),
        sa.Column("text_id", sa.Uuid(), nullable=True),
        sa.Column("happened_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("kind IN ('given', 'withdrawn')", name=op.f("ck_consent_kind")),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{other}.id"], name=op.f(f"fk_consent_{name}_{other}")
            )
            for name, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
    )
    op.create_index("ix_consent_client", "consent", ["client_id", "recorded_at", "id"])
    for table in UNIQUE:
        for guard in _guards(table, op.get_context().dialect.name):
            op.execute(guard)


def downgrade() -> None:
    op.drop_table("consent")
    op.drop_table("consent_text")
    op.drop_index("ix_client_withdrawn", "client")
    op.execute("ALTER TABLE client DROP COLUMN consent_withdrawn_on")
    op.execute("ALTER TABLE client DROP COLUMN consent_version")
    op.execute("ALTER TABLE practice DROP COLUMN consent_version")
