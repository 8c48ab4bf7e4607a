"""start."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# Signed notes and audit entries never change: no UPDATE, DELETE, TRUNCATE, nor SQLite's REPLACE, which
# slips past UPDATE and DELETE triggers unless an INSERT is refused as well.
GUARDS = {
    "sqlite": [
        """CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
        BEGIN SELECT RAISE(ABORT, 'audit entries never change'); END""",
        """CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry
        BEGIN SELECT RAISE(ABORT, 'audit entries never change'); END""",
        """CREATE TRIGGER audit_entry_no_replace BEFORE INSERT ON audit_entry
        WHEN EXISTS (SELECT 1 FROM audit_entry WHERE id = NEW.id OR rowid = NEW.rowid)
        BEGIN SELECT RAISE(ABORT, 'audit entries never change'); END""",
        """CREATE TRIGGER audit_entry_once_stands BEFORE INSERT ON audit_entry
        WHEN EXISTS (SELECT 1 FROM audit_entry WHERE once = NEW.once)
        BEGIN SELECT RAISE(IGNORE); END""",
        """CREATE TRIGGER note_signed_no_update BEFORE UPDATE ON note WHEN OLD.status = 'signed'
        BEGIN SELECT RAISE(ABORT, 'signed notes never change'); END""",
        # UPDATE OR REPLACE would move a draft onto a signed note's place and fire no delete trigger there.
        """CREATE TRIGGER note_signed_no_takeover BEFORE UPDATE ON note
        WHEN EXISTS (SELECT 1 FROM note WHERE status = 'signed'
        AND ((id = NEW.id AND NEW.id <> OLD.id) OR (rowid = NEW.rowid AND NEW.rowid <> OLD.rowid)))
        BEGIN SELECT RAISE(ABORT, 'signed notes never change'); END""",
        """CREATE TRIGGER note_signed_no_delete BEFORE DELETE ON note WHEN OLD.status = 'signed'
        BEGIN SELECT RAISE(ABORT, 'signed notes never change'); END""",
        """CREATE TRIGGER note_signed_no_replace BEFORE INSERT ON note
        WHEN EXISTS (SELECT 1 FROM note WHERE (id = NEW.id OR rowid = NEW.rowid) AND status = 'signed')
        BEGIN SELECT RAISE(ABORT, 'signed notes never change'); END""",
    ],
    "postgresql": [
        """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '% never changes', TG_TABLE_NAME; END $$""",
        """CREATE FUNCTION refuse_signed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            IF OLD.status = 'signed' THEN RAISE EXCEPTION 'signed notes never change'; END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        END $$""",
        """CREATE TRIGGER audit_entry_no_change BEFORE UPDATE OR DELETE ON audit_entry
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        """CREATE TRIGGER audit_entry_no_truncate BEFORE TRUNCATE ON audit_entry
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
        """CREATE TRIGGER note_signed_no_change BEFORE UPDATE OR DELETE ON note
        FOR EACH ROW EXECUTE FUNCTION refuse_signed()""",
        """CREATE TRIGGER note_no_truncate BEFORE TRUNCATE ON note
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index("ix_attempt_scope_at", ["scope", "at"], unique=False)

    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("actor_role", sa.String(length=12), nullable=False),
        sa.Column("via", sa.String(length=8), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("object_kind", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=True),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column(
            "details", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("request", sa.String(length=32), nullable=False),
        sa.Column("once", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
        sa.UniqueConstraint("once", name=op.f("uq_audit_entry_once")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index("ix_audit_entry_actor", ["actor_id", "at"], unique=False)
        batch_op.create_index("ix_audit_entry_at", ["at", "id"], unique=False)
        batch_op.create_index("ix_audit_entry_client", ["client_id", "at"], unique=False)

    op.create_table(
        "case_counter",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_case_counter")),
    )
    op.create_table(
        "client",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("called", sa.String(length=60), nullable=False),
        sa.Column("pronouns", sa.String(length=30), nullable=False),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("partner_name", sa.LargeBinary(), nullable=True),
        sa.Column("birth_year", sa.LargeBinary(), nullable=True),
        sa.Column("safe_contact", sa.LargeBinary(), nullable=True),
        sa.Column("email_hash", sa.String(length=26), nullable=True),
        sa.Column("phone_hash", sa.String(length=26), nullable=True),
        sa.Column("consent_on", sa.Date(), nullable=True),
        sa.Column("consent_how", sa.String(length=12), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client")),
    )
    with op.batch_alter_table("client", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_client_email_hash"), ["email_hash"], unique=False)
        batch_op.create_index(batch_op.f("ix_client_phone_hash"), ["phone_hash"], unique=False)

    op.create_table(
        "edition",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edition")),
        sa.UniqueConstraint(
            "slug", "language", "number", name=op.f("uq_edition_slug_language_number")
        ),
    )
    op.create_table(
        "export",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("format", sa.String(length=4), nullable=False),
        sa.Column(
            "filters", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export")),
    )
    with op.batch_alter_table("export", schema=None) as batch_op:
        batch_op.create_index("ix_export_made", ["made_at", "id"], unique=False)

    op.create_table(
        "local_line",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("phone", sa.String(length=30), nullable=False),
        sa.Column("hours", sa.String(length=60), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_by", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_local_line")),
    )
    op.create_table(
        "once_key",
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("made_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "scope", "key", name=op.f("pk_once_key")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column(
            "payload", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_waiting", ["done_at", "not_before"], unique=False)

    op.create_table(
        "practice",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("tagline", sa.String(length=120), nullable=False),
        sa.Column("contact", sa.String(length=200), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("region", sa.String(length=60), nullable=True),
        sa.Column("zone", sa.String(length=40), nullable=False),
        sa.Column("paper", sa.String(length=6), nullable=False),
        sa.Column("exit_url", sa.String(length=200), nullable=False),
        sa.Column("numbers_confirmed_on", sa.Date(), nullable=True),
        sa.Column("numbers_confirmed_by", sa.Uuid(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practice")),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=10), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("passed_pin", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_session_secret_hash")),
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index("ix_session_subject", ["subject_id", "ended_at"], unique=False)

    op.create_table(
        "token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_token_secret_hash")),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_user_id"), ["user_id"], unique=False)

    op.create_table(
        "user_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("password_hash", sa.String(length=160), nullable=False),
        sa.Column("supervisor_id", sa.Uuid(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "role IN ('coach', 'supervisor', 'admin')", name=op.f("ck_user_account_role")
        ),
        sa.ForeignKeyConstraint(
            ["supervisor_id"],
            ["user_account.id"],
            name=op.f("fk_user_account_supervisor_id_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("email", name=op.f("uq_user_account_email")),
    )
    with op.batch_alter_table("user_account", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_user_account_supervisor_id"), ["supervisor_id"], unique=False
        )

    op.create_table(
        "care_team",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_care_team_client_id_client")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_care_team_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("user_id", "client_id", name=op.f("pk_care_team")),
    )
    with op.batch_alter_table("care_team", schema=None) as batch_op:
        batch_op.create_index("ix_care_team_client", ["client_id"], unique=False)

    op.create_table(
        "client_key",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_client_key_client_id_client")
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client_key")),
    )
    op.create_table(
        "client_word",
        sa.Column("word", sa.String(length=60), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_client_word_client_id_client")
        ),
        sa.PrimaryKeyConstraint("word", "client_id", name=op.f("pk_client_word")),
    )
    with op.batch_alter_table("client_word", schema=None) as batch_op:
        batch_op.create_index("ix_client_word_client", ["client_id"], unique=False)

    op.create_table(
        "coaching_case",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("coach_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("stage", sa.String(length=12), nullable=False),
        sa.Column("stage_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("goal", sa.String(length=12), nullable=False),
        sa.Column("goal_chosen_on", sa.Date(), nullable=True),
        sa.Column("review_date", sa.Date(), nullable=True),
        sa.Column("outcome", sa.String(length=24), nullable=True),
        sa.Column("close_reason", sa.String(length=24), nullable=True),
        sa.Column("final_screening", sa.String(length=12), nullable=True),
        sa.Column("follow_up_on", sa.Date(), nullable=True),
        sa.Column("facts", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("status IN ('open', 'closed')", name=op.f("ck_coaching_case_status")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_coaching_case_client_id_client")
        ),
        sa.ForeignKeyConstraint(
            ["coach_id"], ["user_account.id"], name=op.f("fk_coaching_case_coach_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coaching_case")),
        sa.UniqueConstraint("number", name=op.f("uq_coaching_case_number")),
    )
    with op.batch_alter_table("coaching_case", schema=None) as batch_op:
        batch_op.create_index(
            "ix_coaching_case_client", ["client_id", "opened_at", "id"], unique=False
        )
        batch_op.create_index(
            "ix_coaching_case_coach", ["coach_id", "opened_at", "id"], unique=False
        )
        batch_op.create_index("ix_coaching_case_opened", ["opened_at", "id"], unique=False)
        batch_op.create_index(
            "uq_coaching_case_open",
            ["client_id"],
            unique=True,
            sqlite_where=sa.text("status = 'open'"),
            postgresql_where=sa.text("status = 'open'"),
        )

    op.create_table(
        "edition_review",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("clinician", sa.String(length=120), nullable=False),
        sa.Column("reviewed_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["edition.id"], name=op.f("fk_edition_review_edition_id_edition")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edition_review")),
    )
    with op.batch_alter_table("edition_review", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_edition_review_edition_id"), ["edition_id"], unique=False
        )

    op.create_table(
        "flag",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("source", sa.String(length=12), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("raised_by", sa.Uuid(), nullable=False),
        sa.Column("lowered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lowered_by", sa.Uuid(), nullable=True),
        sa.Column("lower_reason", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_flag_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flag")),
    )
    with op.batch_alter_table("flag", schema=None) as batch_op:
        batch_op.create_index(
            "uq_flag_up",
            ["client_id", "kind"],
            unique=True,
            sqlite_where=sa.text("lowered_at IS NULL"),
            postgresql_where=sa.text("lowered_at IS NULL"),
        )

    op.create_table(
        "follow_up",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("title", sa.LargeBinary(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assigned_to", sa.Uuid(), nullable=False),
        sa.Column("origin_kind", sa.String(length=12), nullable=False),
        sa.Column("origin_id", sa.Uuid(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Uuid(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_by", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_follow_up_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_up")),
    )
    with op.batch_alter_table("follow_up", schema=None) as batch_op:
        batch_op.create_index(
            "ix_follow_up_assigned_open", ["assigned_to", "done_at", "due_at"], unique=False
        )
        batch_op.create_index(
            "ix_follow_up_client_open", ["client_id", "done_at", "due_at"], unique=False
        )
        batch_op.create_index("ix_follow_up_origin", ["origin_id"], unique=False)

    op.create_table(
        "hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Uuid(), nullable=False),
        sa.Column(
            "reasons", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cleared_by", sa.Uuid(), nullable=True),
        sa.Column("clear_reason", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('care', 'safety')", name=op.f("ck_hold_kind")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_hold_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    with op.batch_alter_table("hold", schema=None) as batch_op:
        batch_op.create_index("ix_hold_client", ["client_id", "opened_at"], unique=False)
        batch_op.create_index(
            "uq_hold_open",
            ["client_id", "kind"],
            unique=True,
            sqlite_where=sa.text("cleared_at IS NULL"),
            postgresql_where=sa.text("cleared_at IS NULL"),
        )

    op.create_table(
        "name_hash",
        sa.Column("hash", sa.String(length=26), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("whose", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_name_hash_client_id_client")
        ),
        sa.PrimaryKeyConstraint("hash", "client_id", "whose", name=op.f("pk_name_hash")),
    )
    with op.batch_alter_table("name_hash", schema=None) as batch_op:
        batch_op.create_index("ix_name_hash_client", ["client_id"], unique=False)

    op.create_table(
        "portal_access",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("invited_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=False),
        sa.Column("start_code_hash", sa.String(length=160), nullable=True),
        sa.Column("pin_hash", sa.String(length=160), nullable=True),
        sa.Column("wrong_tries", sa.Integer(), nullable=False),
        sa.Column("link_hash", sa.String(length=64), nullable=True),
        sa.Column("link_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("card_hash", sa.String(length=64), nullable=True),
        sa.Column("first_entered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_portal_access_client_id_client")
        ),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_portal_access")),
    )
    with op.batch_alter_table("portal_access", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_portal_access_card_hash"), ["card_hash"], unique=False)
        batch_op.create_index(batch_op.f("ix_portal_access_link_hash"), ["link_hash"], unique=False)

    op.create_table(
        "screening",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=True),
        sa.Column("sleep", sa.SmallInteger(), nullable=True),
        sa.Column("eating", sa.SmallInteger(), nullable=True),
        sa.Column("caring", sa.SmallInteger(), nullable=True),
        sa.Column("work", sa.SmallInteger(), nullable=True),
        sa.Column("household", sa.SmallInteger(), nullable=True),
        sa.Column("self_harm", sa.SmallInteger(), nullable=True),
        sa.Column("harm_to_others", sa.SmallInteger(), nullable=True),
        sa.Column("fear_at_home", sa.SmallInteger(), nullable=True),
        sa.Column("substances", sa.SmallInteger(), nullable=True),
        sa.Column("asked_alone", sa.Boolean(), nullable=False),
        sa.Column(
            "actions_taken",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
        ),
        sa.Column("comment", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_screening_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screening")),
    )
    with op.batch_alter_table("screening", schema=None) as batch_op:
        batch_op.create_index("ix_screening_client_at", ["client_id", "at", "id"], unique=False)

    op.create_table(
        "assignment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=12), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("line", sa.LargeBinary(), nullable=True),
        sa.Column(
            "levels", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assigned_by", sa.Uuid(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["coaching_case.id"], name=op.f("fk_assignment_case_id_coaching_case")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_assignment_client_id_client")
        ),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["edition.id"], name=op.f("fk_assignment_edition_id_edition")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
        sa.UniqueConstraint("client_id", "place", name=op.f("uq_assignment_client_id_place")),
    )
    with op.batch_alter_table("assignment", schema=None) as batch_op:
        batch_op.create_index("ix_assignment_case", ["case_id", "assigned_at", "id"], unique=False)
        batch_op.create_index(
            "ix_assignment_client", ["client_id", "assigned_at", "id"], unique=False
        )
        batch_op.create_index("ix_assignment_edition", ["edition_id"], unique=False)

    op.create_table(
        "attestation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("criterion", sa.String(length=60), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"], ["coaching_case.id"], name=op.f("fk_attestation_case_id_coaching_case")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_attestation_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attestation")),
        sa.UniqueConstraint("case_id", "criterion", name=op.f("uq_attestation_case_id_criterion")),
    )
    op.create_table(
        "case_event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("from_stage", sa.String(length=12), nullable=True),
        sa.Column("to_stage", sa.String(length=12), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["case_id"], ["coaching_case.id"], name=op.f("fk_case_event_case_id_coaching_case")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_case_event_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_event")),
    )
    with op.batch_alter_table("case_event", schema=None) as batch_op:
        batch_op.create_index("ix_case_event_case", ["case_id", "at", "id"], unique=False)

    op.create_table(
        "note",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("format", sa.String(length=4), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=True),
        sa.Column("how", sa.String(length=12), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("sections", sa.LargeBinary(), nullable=False),
        sa.Column("draft_screening", sa.LargeBinary(), nullable=True),
        sa.Column("unrecorded_level", sa.SmallInteger(), nullable=True),
        sa.Column("screening_id", sa.Uuid(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("signed_by", sa.Uuid(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("status IN ('draft', 'signed')", name=op.f("ck_note_status")),
        sa.ForeignKeyConstraint(
            ["author_id"], ["user_account.id"], name=op.f("fk_note_author_id_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["case_id"], ["coaching_case.id"], name=op.f("fk_note_case_id_coaching_case")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_note_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note")),
    )
    with op.batch_alter_table("note", schema=None) as batch_op:
        batch_op.create_index(
            "ix_note_author_status", ["author_id", "status", "changed_at"], unique=False
        )
        batch_op.create_index("ix_note_case_held", ["case_id", "held_at", "id"], unique=False)
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    with op.batch_alter_table("note", schema=None) as batch_op:
        batch_op.drop_index("ix_note_case_held")
        batch_op.drop_index("ix_note_author_status")

    op.drop_table("note")
    with op.batch_alter_table("case_event", schema=None) as batch_op:
        batch_op.drop_index("ix_case_event_case")

    op.drop_table("case_event")
    op.drop_table("attestation")
    with op.batch_alter_table("assignment", schema=None) as batch_op:
        batch_op.drop_index("ix_assignment_edition")
        batch_op.drop_index("ix_assignment_client")
        batch_op.drop_index("ix_assignment_case")

    op.drop_table("assignment")
    with op.batch_alter_table("screening", schema=None) as batch_op:
        batch_op.drop_index("ix_screening_client_at")

    op.drop_table("screening")
    with op.batch_alter_table("portal_access", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_portal_access_link_hash"))
        batch_op.drop_index(batch_op.f("ix_portal_access_card_hash"))

    op.drop_table("portal_access")
    with op.batch_alter_table("name_hash", schema=None) as batch_op:
        batch_op.drop_index("ix_name_hash_client")

    op.drop_table("name_hash")
    with op.batch_alter_table("hold", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_hold_open",
            sqlite_where=sa.text("cleared_at IS NULL"),
            postgresql_where=sa.text("cleared_at IS NULL"),
        )
        batch_op.drop_index("ix_hold_client")

    op.drop_table("hold")
    with op.batch_alter_table("follow_up", schema=None) as batch_op:
        batch_op.drop_index("ix_follow_up_origin")
        batch_op.drop_index("ix_follow_up_client_open")
        batch_op.drop_index("ix_follow_up_assigned_open")

    op.drop_table("follow_up")
    with op.batch_alter_table("flag", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_flag_up",
            sqlite_where=sa.text("lowered_at IS NULL"),
            postgresql_where=sa.text("lowered_at IS NULL"),
        )

    op.drop_table("flag")
    with op.batch_alter_table("edition_review", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_edition_review_edition_id"))

    op.drop_table("edition_review")
    with op.batch_alter_table("coaching_case", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_coaching_case_open",
            sqlite_where=sa.text("status = 'open'"),
            postgresql_where=sa.text("status = 'open'"),
        )
        batch_op.drop_index("ix_coaching_case_opened")
        batch_op.drop_index("ix_coaching_case_coach")
        batch_op.drop_index("ix_coaching_case_client")

    op.drop_table("coaching_case")
    with op.batch_alter_table("client_word", schema=None) as batch_op:
        batch_op.drop_index("ix_client_word_client")

    op.drop_table("client_word")
    op.drop_table("client_key")
    with op.batch_alter_table("care_team", schema=None) as batch_op:
        batch_op.drop_index("ix_care_team_client")

    op.drop_table("care_team")
    with op.batch_alter_table("user_account", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_user_account_supervisor_id"))

    op.drop_table("user_account")
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_token_user_id"))

    op.drop_table("token")
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.drop_index("ix_session_subject")

    op.drop_table("session")
    op.drop_table("practice")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_waiting")

    op.drop_table("outbox")
    op.drop_table("once_key")
    op.drop_table("local_line")
    with op.batch_alter_table("export", schema=None) as batch_op:
        batch_op.drop_index("ix_export_made")

    op.drop_table("export")
    op.drop_table("edition")
    with op.batch_alter_table("client", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_client_phone_hash"))
        batch_op.drop_index(batch_op.f("ix_client_email_hash"))

    op.drop_table("client")
    op.drop_table("case_counter")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_entry_client")
        batch_op.drop_index("ix_audit_entry_at")
        batch_op.drop_index("ix_audit_entry_actor")

    op.drop_table("audit_entry")
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_index("ix_attempt_scope_at")

    op.drop_table("attempt")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
        op.execute("DROP FUNCTION refuse_signed()")
