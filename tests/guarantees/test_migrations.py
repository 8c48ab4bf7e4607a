"""The migrations, up and down and up again, with rows in place, on both databases."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from caseapp.core import settings
from caseapp.core.actor import Actor
from caseapp.core.clock import now
from caseapp.core.database import UTCTime, db
from caseapp.core.migrate import downgrade, upgrade
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import collecting, note_opened
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import Alert, AlertRecipient
from caseapp.domain.assignments.operations import assign_handout, mark_opened
from caseapp.domain.assignments.queries import get_assignment_record
from caseapp.domain.audit.operations import record, record_reads
from caseapp.domain.bulk_assignments.models import BulkAssignmentItem
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.queries import get_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.models import ENDLESS
from caseapp.domain.clients.queries import lock_client, take_client_lock
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import lock_merge
from caseapp.domain.merges.schemas import NewMerge
from caseapp.domain.models import METADATA
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import lock_note_move
from caseapp.domain.notes.operations import record_draft_screening
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.schemas import NewNoteMove
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.screening.models import ClientSafety
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.protocol import ITEMS, Level
from caseapp.domain.screening.sealing import seal_state
from caseapp.domain.screening.stream import derive_missing_states
from caseapp.domain.staffing.operations import hand_over
from caseapp.domain.worksheets.operations import save_answers, share_answers, store_upload
from caseapp.domain.worksheets.queries import list_own_worksheets, lock_worksheet
from tests.support import builders, portal_client, safety_plans, staff
from tests.support.followups import complete

pytestmark = [pytest.mark.both(every_set=True), pytest.mark.slow]


@pytest.fixture
def engine(app, database_url):
    """Give an engine without our listeners, as the migration's own is."""
    db.session.remove()
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def fill():
    coach = staff.add("coach")
    made = builders.case(coach, phone="07700 900123", partner_name="Tomas")
    builders.screen(coach, made.client_id, self_harm="urgent")
    builders.note(coach, made.case_id)
    db.session.remove()


def differences(engine):
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, METADATA)


def triggers(engine):
    names = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    }
    with engine.connect() as connection:
        return set(connection.exec_driver_sql(names[engine.dialect.name]).scalars())


def counted(connection):
    return {
        table.name: connection.scalar(sa.select(sa.func.count()).select_from(table))
        for table in METADATA.sorted_tables
    }


def tables(engine):
    return set(sa.inspect(engine).get_table_names()) - {"alembic_version"}


def test_models_match_the_newest_migration(engine):
    assert differences(engine) == []
    assert tables(engine) == set(METADATA.tables)


@pytest.mark.slow
def test_downgrade_and_upgrade_keep_rows(engine, app):
    fill()
    guards = triggers(engine)
    assert guards
    downgrade(engine.url, "base")
    assert tables(engine) == set()
    assert triggers(engine) == set()
    upgrade(engine.url)
    assert differences(engine) == []
    assert triggers(engine) == guards


def test_downgrade_restores_opened_at(engine, app):
    coach = staff.add("coach")
    made = builders.case(coach)
    builders.screen(coach, made.client_id)
    with transaction():
        opened, unopened = (
            assign_handout(
                coach,
                lock_case(coach, made.case_id),
                slug,
                message="",
                channel="portal",
                confirmed=True,
            )
            for slug in ("keep-the-day-running", "first-days-pause")
        )
    reader = Actor(made.client_id, Role.CLIENT, "Ana", "portal")
    for _ in range(2):
        with collecting():
            mark_opened(get_assignment_record(coach, opened))
            record_reads(reader)
    with collecting():
        note_opened(reader.id, "assignment", unopened)
        record_reads(coach, Action.ASSIGNMENT_READ)
    shown = get_assignment_record(coach, opened).opened_at
    db.session.remove()
    downgrade(engine.url, "0007")
    with engine.connect() as connection:
        table = sa.table("assignment", sa.column("id", sa.Uuid), sa.column("opened_at", UTCTime))
        found = dict(connection.execute(sa.select(table.c.id, table.c.opened_at)).all())
    upgrade(engine.url)
    with transaction():
        derive_missing_states()
    assert shown is not None
    assert found == {opened: shown, unopened: None}
    assert get_assignment_record(coach, opened).opened_at == shown
    assert differences(engine) == []


def test_audit_codes_are_renamed_both_ways_and_events_stay_guarded(engine, app):
    coach = staff.add("coach")
    with transaction():
        record(coach, Action.ASSIGNMENT_CREATE, "assignment")
    db.session.remove()
    guards = triggers(engine)
    downgrade(engine.url, "0008")
    with engine.connect() as connection:
        assert connection.exec_driver_sql(
            "SELECT count(*) FROM audit_entry WHERE action = 'assignment.make'"
        ).scalar()
    upgrade(engine.url)
    assert triggers(engine) == guards
    with engine.connect() as connection:
        assert connection.exec_driver_sql(
            "SELECT count(*) FROM audit_event WHERE action = 'assignment.create'"
        ).scalar()
        with pytest.raises(sa.exc.DBAPIError, match="never change"):
            connection.exec_driver_sql("UPDATE audit_event SET action = 'other'")


def test_safety_events_become_rows_of_former_tables_and_events_again(engine, app):
    coach = staff.add("coach")
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm="urgent", comment="By the river.", days_ago=2)
    builders.screen(coach, made.client_id, self_harm="concern", sleep="concern", days_ago=1)
    note_id = builders.draft(coach, made.case_id, levels={"sleep": 1})
    with transaction():
        record_draft_screening(coach, lock_note(coach, note_id), 2)
        set_manual_flag(coach, lock_client(coach, made.client_id), "contact_block")
    before = get_current_safety(get_client_key(made.client_id)).state
    assert len(before.holds) == len(before.flags) == 2
    db.session.remove()
    downgrade(engine.url, "0021")
    with engine.connect() as connection:
        found = {
            table: connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
            for table in ("screening", "hold", "flag")
        }
        [(levels, comment)] = connection.exec_driver_sql(
            "SELECT self_harm, comment FROM screening WHERE comment IS NOT NULL"
        )
    assert found == {"screening": 3, "hold": 2, "flag": 2}
    assert levels == Level.URGENT
    assert b"river" not in bytes(comment)
    upgrade(engine.url)
    with transaction():
        assert derive_missing_states() == 1
    history = get_safety_history(made.client_id)
    # The former tables had no column for the question that is asked since version 8 of the protocol.
    answers = {item: answer for item, answer in before.answers.items() if item != "following"}
    assert get_current_safety(history.key).state == replace(
        before, answers=answers, last_full_protocol=1
    )
    assert get_note(coach, note_id).screening_id == history.screenings[0].id
    assert differences(engine) == []


def test_review_of_a_plan_becomes_a_task_to_ask_again_without_plans(engine):
    coach = staff.add("coach")
    safety_plans.write(coach, builders.client(coach))
    db.session.remove()
    downgrade(engine.url, "0027")
    with engine.connect() as connection:
        kinds = connection.exec_driver_sql("SELECT kind FROM follow_up").scalars().all()
    assert kinds == ["recheck"]
    assert "safety_plan" not in sa.inspect(engine).get_table_names()
    upgrade(engine.url)
    assert differences(engine) == []
    assert {name for name in triggers(engine) if "safety_plan" in str(name)}


def lengths(connection, *columns):
    """Return how many different lengths the stored values of some columns have."""
    found = {}
    for column in columns:
        table, name = column.split(".")
        query = f"SELECT DISTINCT length({name}) FROM {table} WHERE {name} IS NOT NULL"
        found[column] = len(connection.exec_driver_sql(query).all())
    return found


def test_kinds_are_sealed_and_opened_again_and_old_states_are_made_right(engine, app):
    coach = staff.team()["coach"]
    made, other = builders.case(coach), builders.case(coach)
    builders.screen(coach, made.client_id, sleep="concern")
    builders.screen(coach, other.client_id, self_harm="urgent")
    told = next(
        task
        for task in list_client_followups(coach, other.client_id)
        if task.kind == "tell_supervisor"
    )
    complete(coach, told.id)
    before = [list_client_followups(coach, one.client_id) for one in (made, other)]
    key = get_client_key(made.client_id)
    current = get_current_safety(key)
    # What an earlier release stored when a hold was renewed for which a handout was allowed.
    [hold] = current.state.holds
    allowed = replace(hold, allowed_handout="my-reasons", allowed_case_id=made.case_id)
    stored = seal_state(replace(current, state=replace(current.state, holds=(allowed,))), key)
    with transaction() as session:
        session.execute(
            sa.update(ClientSafety).where(ClientSafety.client_id == made.client_id).values(stored)
        )
    assert get_current_safety(key).state.holds == (allowed,)
    db.session.remove()
    downgrade(engine.url, "0038")
    with engine.connect() as connection:
        kinds = connection.exec_driver_sql("SELECT kind FROM follow_up").scalars().all()
        assert lengths(connection, "alert.kind") == {"alert.kind": 2}
    assert sorted(kinds) == sorted(task.kind for task in chain(*before))
    upgrade(engine.url)
    assert differences(engine) == []
    with engine.connect() as connection:
        found = lengths(connection, "alert.kind", "follow_up.kind", "follow_up.result")
    assert {*found.values()} == {1}
    with transaction():
        assert derive_missing_states() == 2
    assert [list_client_followups(coach, one.client_id) for one in (made, other)] == before
    assert get_current_safety(key).state.holds == (hold,)
    assert {mark.hold_id for mark in list_marks(coach.id, HOLD_KINDS)} >= {hold.id}


def test_second_upgrade_changes_nothing(engine):
    upgrade(engine.url)
    assert differences(engine) == []


REBUILD = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", "{head}", None, None


def upgrade():
    with op.batch_alter_table("client", recreate="always") as batch:
        batch.alter_column("pronouns", existing_nullable=False)


def downgrade():
    pass
"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_rebuilt_table_keeps_its_children(engine, app, tmp_path, database_url):
    """SQLite rebuilds a table by dropping it: with foreign keys on, that would delete or refuse its children."""
    fill()
    with engine.connect() as connection:
        before = counted(connection)
        head = MigrationContext.configure(connection).get_current_revision()
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    (tmp_path / "migrations/versions/9999_rebuild.py").write_text(REBUILD.format(head=head))
    config = Config()
    config.set_main_option("script_location", str(tmp_path / "migrations"))
    chosen = settings.active()
    settings.use(replace(chosen, database_url=str(database_url)))
    try:
        command.upgrade(config, "head")
    finally:
        settings.use(chosen)
    with engine.connect() as connection:
        after = counted(connection)
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    assert after == before
    assert before["care_team"] == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_upgrade_shortens_a_name_that_sqlite_stored_without_a_limit(engine, app):
    fill()
    downgrade(engine.url, "0008")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE client SET called = '{'A' * 100}'")
    upgrade(engine.url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT preferred_name FROM client").scalar() == "A" * 60


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_words_of_names_compare_by_their_characters(engine, app):
    """A language's own order would hide words: in Czech "ch" comes after "h"."""

    def order():
        query = (
            "SELECT collation_name FROM information_schema.columns"
            " WHERE table_name = 'client_name_word' AND column_name = 'word'"
        )
        with engine.connect() as connection:
            return connection.exec_driver_sql(query).scalar()

    fill()
    assert order() == "C"
    downgrade(engine.url, "0012")
    assert order() is None
    upgrade(engine.url)
    assert order() == "C"
    assert differences(engine) == []


TEAM = sa.table(
    "care_team",
    sa.column("user_id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("starts_at", UTCTime),
    sa.column("ends_at", UTCTime),
    sa.column("role"),
    sa.column("reason"),
)


def test_members_become_coaches_and_only_coaches_outlive_a_downgrade(engine, app):
    coach, other = staff.add("coach"), staff.add("supervisor")
    made = builders.case(coach)
    db.session.remove()
    moment = now()
    row = {"client_id": made.client_id, "starts_at": moment, "ends_at": ENDLESS, "reason": ""}
    before = {"starts_at": moment - timedelta(days=9), "ends_at": moment}
    with engine.begin() as connection:
        named = row | {"user_id": other.id, "role": "release"}
        for more in ({}, before, {"role": "alert"} | before, {"role": "coach"} | before):
            connection.execute(sa.insert(TEAM).values(named | more))
    for wrong in ({"role": "friend"}, {"reason": "bored"}, {"role": "release"}):
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
            connection.execute(sa.insert(TEAM).values(row | {"user_id": other.id} | wrong))
    downgrade(engine.url, "0040")
    with engine.begin() as connection:
        kept = connection.execute(sa.select(TEAM.c.user_id, TEAM.c.role, TEAM.c.ends_at)).all()
    assert {*map(tuple, kept)} == {
        (coach.id, "coach", None),
        (other.id, "release", None),
        (other.id, "alert", moment),
    }
    downgrade(engine.url, "0022")
    with engine.begin() as connection:
        assert connection.scalars(sa.select(TEAM.c.user_id)).all() == [coach.id]
    upgrade(engine.url)
    with engine.begin() as connection:
        assert connection.scalars(sa.select(TEAM.c.role)).all() == ["coach"]
    assert differences(engine) == []


def test_notes_that_were_moved_keep_their_moves(engine, app):
    coach = staff.add("coach")
    note_id, other = builders.note(coach, builders.case(coach).case_id), builders.case(coach)
    with transaction():
        locked = lock_note_move(coach, note_id, other.number)
        move_note(coach, locked, NewNoteMove("I had the wrong case open."), 2)
    db.session.remove()
    with pytest.raises(RuntimeError, match="Notes were moved"):
        downgrade(engine.url, "0057")
    assert differences(engine) == []
    assert get_note(coach, note_id).is_as_signed


def test_clients_who_were_merged_keep_their_merge(engine, app):
    supervisor, coach = staff.add("supervisor"), staff.add("coach", supervisor="supervisor")
    gone, stays = (builders.client(coach, "Ines Okafor", agreed=True) for _ in range(2))
    with transaction():
        merge = lock_merge(supervisor, gone, stays)
        why = NewMerge("She called twice.", despite_decision=True)
        merge_clients(supervisor, merge, why, 1)
    db.session.remove()
    with pytest.raises(RuntimeError, match="Clients were merged"):
        downgrade(engine.url, "0072")
    assert differences(engine) == []


def test_hand_over_leaves_the_events_of_a_case_with_a_downgrade(engine, app):
    helen, coach = staff.add("supervisor"), staff.add("coach", supervisor="supervisor")
    made = builders.case(coach)
    with transaction():
        hand_over(helen, lock_client(helen, made.client_id), coach.id, helen.id)
    db.session.remove()
    kinds = sa.select(sa.column("kind", sa.String)).select_from(sa.table("case_event"))
    with engine.begin() as connection:
        assert {*connection.scalars(kinds)} == {"opened", "handed_over"}
    downgrade(engine.url, "0030")
    upgrade(engine.url)
    with engine.begin() as connection:
        assert connection.scalars(kinds).all() == ["opened"]
    assert differences(engine) == []


def test_whoever_an_alert_has_reached_becomes_a_member_until_7_days_after_its_end(engine, app):
    coach, reached = staff.add("coach"), staff.add("supervisor")
    waiting, ended = builders.case(coach), builders.case(coach)
    for made in (waiting, ended):
        builders.screen(coach, made.client_id, self_harm="urgent")
    with transaction() as session:
        for alert in session.scalars(sa.select(Alert)):
            take_client_lock(alert.client_id)
            session.merge(AlertRecipient(alert_id=alert.id, user_id=reached.id, step="manager"))
            session.merge(AlertRecipient(alert_id=alert.id, user_id=coach.id, step="coach"))
            if alert.client_id == ended.client_id:
                alert.acknowledged_at, alert.acknowledged_by = now(), reached.id
    db.session.remove()
    downgrade(engine.url, "0025")
    upgrade(engine.url)
    with engine.begin() as connection:
        rows = connection.execute(sa.select(TEAM).where(TEAM.c.role == "alert")).all()
    found = {row.client_id: (row.user_id, row.ends_at) for row in rows}
    assert found == {
        waiting.client_id: (reached.id, ENDLESS),
        ended.client_id: (reached.id, now() + timedelta(days=7)),
    }
    assert differences(engine) == []


def test_draft_says_how_high_its_unrecorded_level_is_only_before_the_upgrade(engine, app):
    coach = staff.add("coach")
    made = builders.case(coach)
    calm = {item.key: 0 for item in ITEMS}
    drafts = {
        builders.draft(coach, made.case_id): None,
        builders.draft(coach, made.case_id, levels={"sleep": 2, "eating": 1}): 2,
        builders.draft(coach, made.case_id, levels=calm | {"self_harm": 3}): None,
        builders.draft(coach, made.case_id, levels={"sleep": None}): None,
        builders.note(coach, builders.case(coach, "Noor Haddad").case_id, levels=calm): None,
    }
    before = {note_id: get_note(coach, note_id) for note_id in drafts}
    db.session.remove()
    guards = triggers(engine)
    downgrade(engine.url, "0028")
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT id, unrecorded_level FROM note")).all()
        with pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql("UPDATE note SET minutes = 5")
    assert {uuid_of(row.id): row.unrecorded_level for row in rows} == drafts
    upgrade(engine.url)
    after = {note_id: get_note(coach, note_id) for note_id in drafts}
    assert [note.draft.answers for note in after.values()] == [
        note.draft.answers for note in before.values()
    ]
    assert [note.unrecorded_level for note in after.values()] == [None, 2, 3, None, None]
    assert (triggers(engine), differences(engine)) == (guards, [])


def test_codes_of_a_bulk_assignment_are_plain_only_before_the_upgrade(engine, app):
    coach = staff.add("coach")
    names = ("Ines Okafor", "Noor Haddad", "Mara Lind", "Ada Brook")
    held, asked, steady, lost = (builders.steady_case(coach, name) for name in names)
    builders.screen(coach, held.client_id, sleep="concern")
    cases = tuple(made.case_id for made in (held, asked, steady, lost))
    read = {steady.case_id: frozenset({"later_stage"}), lost.case_id: frozenset({"later_stage"})}
    with transaction():
        bulk_id = start_bulk_assignment(
            coach, "my-limits", NewBulkAssignment(None, "en", "print", "", None, cases, read)
        )
        failing = sa.update(BulkAssignmentItem).where(BulkAssignmentItem.case_id == lost.case_id)
        db.session.execute(failing.values(state="skipped", failure="failed", codes=None))
    before = get_bulk_assignment(coach, bulk_id).items
    db.session.remove()
    downgrade(engine.url, "0031")
    with engine.connect() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection, only=["bulk_assignment_item"])
        stored = metadata.tables["bulk_assignment_item"]
        rows = connection.execute(sa.select(stored.c.case_id, stored.c.state, stored.c.reasons))
        found = {uuid_of(row.case_id): (row.state, row.reasons) for row in rows}
    assert found[held.case_id][0] == "skipped"
    assert "hold_open" in found[held.case_id][1]
    assert found[asked.case_id] == ("skipped", ["not_confirmed", "later_stage"])
    assert found[steady.case_id] == ("waiting", ["later_stage"])
    assert found[lost.case_id] == ("skipped", ["failed"])
    upgrade(engine.url)
    assert get_bulk_assignment(coach, bulk_id).items == before
    assert differences(engine) == []


def uuid_of(value):
    return value if isinstance(value, UUID) else UUID(value)


def test_phone_number_of_a_client_keeps_a_hash_both_ways(engine, app):
    coach = staff.add("coach")
    made = builders.case(coach, phone="07700 900123 / 020 7946 0000")
    builders.case(coach)
    with engine.connect() as connection:
        before = set(connection.scalars(sa.text("SELECT hash FROM phone_hash")))
    db.session.remove()
    downgrade(engine.url, "0034")
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT id, phone_hash FROM client")).all()
    kept = {uuid_of(row.id): row.phone_hash for row in rows if row.phone_hash}
    assert kept == {made.client_id: min(before)}
    upgrade(engine.url)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT client_id, hash FROM phone_hash")).all()
        assert {uuid_of(row.client_id): row.hash for row in rows} == kept
        assert set(connection.scalars(sa.text("SELECT compared_as FROM client"))) == {None}
    assert differences(engine) == []


def test_answers_that_were_shared_outlive_a_downgrade_and_unshared_ones_do_not(engine, app):
    coach = staff.add("coach")
    made = builders.case(coach)
    builders.screen(coach, made.client_id)
    with transaction():
        assign_handout(
            coach,
            lock_case(coach, made.case_id),
            "first-days-pause",
            message="",
            channel="portal",
            confirmed=True,
        )
    client, shared = portal_client.reader(made.client_id), {"what_happened": "For you."}
    with transaction():
        share_answers(client, lock_worksheet(client, 1), shared, 0)
        save_answers(client, lock_worksheet(client, 1), {"what_happened": "For nobody."}, 2)
        store_upload(client, lock_worksheet(client, 1), b"%PDF-1.7 a scan", "no_form")
    db.session.remove()
    downgrade(engine.url, "0043")
    upgrade(engine.url)
    client = portal_client.reader(made.client_id)
    [(_, left)] = list_own_worksheets(client)
    assert (left.answers, left.uploads, left.changed_since) == (shared, (), False)
