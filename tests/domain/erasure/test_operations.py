"""Erasing a record: what is gone from the file, what an earlier copy still says, and what stays."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import settings
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.core.vault import SealBroken, unwrap_client_key
from caseapp.domain.audit.start import refuse_unsafe_start
from caseapp.domain.audit.stored_log_verification import verify_log
from caseapp.domain.audit.tombstones import (
    list_returned,
    list_tombstone_faults,
    read_tombstones,
)
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import CareTeamMember, Client
from caseapp.domain.erasure.models import Erasure
from caseapp.domain.erasure.operations import (
    erase_record,
    refuse_erasure,
    repeat_erasure,
    request_erasure,
    withdraw_erasure,
    write_tombstones,
)
from caseapp.domain.erasure.queries import (
    count_waiting,
    get_erasure,
    list_erasures,
    lock_erasure,
    lock_record,
)
from caseapp.domain.erasure.treatments import TREATMENTS, is_about
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.operations import rewrap_client_keys, rewrap_ring
from caseapp.domain.keys.queries import load_ring
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import lock_merge
from caseapp.domain.merges.schemas import NewMerge
from caseapp.domain.models import METADATA
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import lock_process_note
from caseapp.domain.reports.queries import count_cases
from caseapp.domain.reports.schemas import ReportFilter
from caseapp.domain.screening.marks import KINDS, Marked, add_marks, list_marks
from caseapp.domain.screening.models import ClientSafety
from caseapp.jobs.erasures import finish_erasures
from tests.support import builders, safety_plans, staff

pytestmark = pytest.mark.slow

CANARY = "Quetzalcoatl"
NEW_VAULT_KEY = bytes(range(50, 82))


@pytest.fixture
def folder(app, tmp_path):
    """Keep checkpoints and tombstones of this test apart."""
    before = settings.active()
    settings.use(replace(before, checkpoint_dir=tmp_path / "checkpoints"))
    yield tmp_path
    settings.use(before)


def make_record(coach):
    """Make a closed case whose client's record has the canary in every field that a person fills."""
    made = builders.case(
        coach,
        f"{CANARY} Blum",
        pronouns=CANARY,
        email=f"{CANARY}@example.test",
        phone="+44 1632 960123",
        partner_name=CANARY,
    )
    builders.screen(coach, made.client_id)
    builders.note(coach, made.case_id, {"data": CANARY, "assessment": CANARY, "plan": CANARY})
    builders.draft(coach, made.case_id, {"data": CANARY})
    builders.remember_devices(made.client_id, 1)
    safety_plans.write(coach, made.client_id)
    with transaction():
        save_process_note(coach, lock_process_note(coach, made.number), CANARY, 0)
    with transaction():
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    return made


def request(actor, made, ground="client"):
    with transaction():
        return request_erasure(actor, lock_record(actor, made.number), ground)


def decide(operation, actor, erasure_id, *more):
    with transaction():
        operation(actor, lock_erasure(actor, erasure_id), *more)


def refusal(call, *given):
    with pytest.raises(RuleBroken) as refused:
        call(*given)
    db.session.rollback()
    return [reason.code for reason in refused.value.reasons]


def bytes_on_disk():
    path = db.engine.url.database
    db.session.remove()
    found = b""
    for name in (path, f"{path}-wal"):
        with open(name, "rb") as file:  # noqa: PTH123 - a file that may be in use
            found += file.read()
    return found


def rows_about(client_id):
    """Count the rows about a client in each table that has some."""
    counts = {
        name: db.session.scalar(
            sa.select(sa.func.count())
            .select_from(METADATA.tables[name])
            .where(is_about(METADATA.tables[name], client_id))
        )
        for name, found in TREATMENTS.items()
        if found.how != "kept"
    }
    return {name: count for name, count in counts.items() if count}


@pytest.mark.both
def test_what_was_merged_into_a_record_is_erased_with_it(folder, team):
    """An earlier copy of the database may have it, from before the merge: it has a tombstone of its own."""
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach, "Zita Twice")
    gone = builders.client(coach, "Zita Twice", agreed=True)
    builders.screen(coach, gone)
    with transaction():
        merge = lock_merge(supervisor, gone, made.client_id)
        why = NewMerge("She called twice.", despite_decision=True)
        merge_clients(supervisor, merge, why, 1)
    with transaction() as session:
        waiting_id = new_id()
        asked = {"requested_at": now(), "requested_by": coach.id, "counts": {}, "vault_keys": []}
        values = {"id": waiting_id, "client_id": gone, "ground": "client", "state": "requested"}
        session.execute(sa.insert(Erasure).values(values | asked))
    # Nobody locks the merged record, so nothing is decided about it alone.
    with pytest.raises(NotFound), transaction():
        lock_erasure(team["admin"], waiting_id)
    with transaction() as session:
        session.execute(sa.delete(Erasure))
    with transaction():
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    decide(erase_record, supervisor, request(coach, made))
    assert db.session.scalars(sa.select(ClientKey.client_id)).all() == []
    assert {one["client"] for one in read_tombstones()} == {gone.hex, made.client_id.hex}


@pytest.mark.both
def test_two_people_erase_a_record_and_what_stays_says_nothing_of_the_person(folder, team):
    """The request and the decision are kept, the key is not (REC-28)."""
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    made, other = make_record(coach), builders.case(coach)
    builders.screen(coach, other.client_id)
    before = rows_about(other.client_id)
    with pytest.raises(Forbidden):
        request(admin, made)
    with pytest.raises(NotFound):
        request(team["coach2"], made)
    erasure_id = request(supervisor, made)
    assert refusal(request, coach, made) == ["already_requested"]
    assert refusal(decide, erase_record, supervisor, erasure_id) == ["same_person"]
    assert refusal(decide, withdraw_erasure, coach, erasure_id) == ["not_requested_by"]
    with pytest.raises(Forbidden):
        decide(erase_record, coach, erasure_id)
    decide(erase_record, admin, erasure_id)
    assert refusal(decide, refuse_erasure, admin, erasure_id, "law") == ["decided"]
    found = get_erasure(admin, erasure_id)
    assert (found.state, found.numbers, found.decided_by) == ("done", (made.number,), admin.id)
    assert found.counts.keys() >= {"identity", "notes"}
    assert all(found.counts[area] for area in ("identity", "access", "safety", "notes", "work"))
    left = rows_about(made.client_id)
    assert {TREATMENTS[name].how for name in left} == {"emptied", "sealed"}
    row = db.session.get_one(Client, made.client_id, populate_existing=True)
    emptied = TREATMENTS["client"].columns
    assert {name: getattr(row, name) for name in emptied} == emptied
    assert rows_about(other.client_id) == before
    db.session.rollback()
    assert count_cases(admin, ReportFilter()) == 2
    with pytest.raises(NotFound):
        lock_in_transaction(coach, made)
    assert [one.id for one in list_erasures(supervisor, None, 9).items] == [erasure_id]
    assert list_erasures(coach, None, 9).items == []
    [tombstone] = read_tombstones()
    assert (tombstone["erasure"], tombstone["sha256"]) == (erasure_id.hex, found.sha256)
    assert CANARY not in str(tombstone)
    db.session.rollback()
    assert verify_log({}).faults == []


def lock_in_transaction(actor, made):
    with transaction():
        lock_record(actor, made.number)


def test_decision_is_refused_while_something_is_open_and_whoever_does_not_see_it_is_not_told(
    folder, team
):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    made = make_record(coach)
    erasure_id = request(coach, made)
    with transaction():
        opened = {"status": "open", "closed_at": None}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(opened))
    assert refusal(decide, erase_record, supervisor, erasure_id) == ["open_case"]
    assert refusal(decide, erase_record, admin, erasure_id) == ["unfinished"]
    decide(refuse_erasure, admin, erasure_id, "claim")
    assert get_erasure(coach, erasure_id).refusal == "claim"
    assert refusal(request, coach, made) == ["legal_hold", "open_case"]
    assert rows_about(made.client_id)["client_key"] == 1


def test_request_that_is_older_than_something_recorded_since_is_made_anew(folder, team):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    made = make_record(coach)
    erasure_id = request(coach, made)
    assert not get_erasure(admin, erasure_id).is_outdated
    with at(now() + timedelta(hours=1)):
        builders.screen(coach, made.client_id)
        assert get_erasure(admin, erasure_id).is_outdated
        assert refusal(decide, erase_record, supervisor, erasure_id) == ["outdated"]
        assert refusal(decide, erase_record, admin, erasure_id) == ["outdated"]
        again = request(supervisor, made)
        ended = get_erasure(admin, erasure_id)
        assert (ended.state, ended.decided_by) == ("withdrawn", supervisor.id)
        decide(erase_record, admin, again)
    assert get_erasure(admin, again).state == "done"


def test_whoever_only_covers_neither_requests_nor_decides(folder, team):
    coach, coach2, admin = team["coach"], team["coach2"], team["admin"]
    covering = staff.add("supervisor2")
    made = make_record(coach)
    for colleague in (coach2, covering):
        with transaction():
            cover(made.client_id, colleague)
        assert refusal(request, colleague, made) == ["only_covers"]
    erasure_id = request(coach, made)
    assert not get_erasure(covering, erasure_id).may_decide
    assert refusal(decide, erase_record, covering, erasure_id) == ["only_covers"]
    assert refusal(decide, refuse_erasure, covering, erasure_id, "law") == ["only_covers"]
    assert get_erasure(admin, erasure_id).may_decide


def cover(client_id, colleague):
    """Let a colleague cover for a client's coach for two days."""
    days = {"starts_at": now(), "ends_at": now() + timedelta(days=2)}
    db.session.add(CareTeamMember(client_id=client_id, user_id=colleague.id, role="cover", **days))


def test_coaches_of_a_client_learn_of_a_request_that_waits(folder, team):
    coach, supervisor = team["coach"], team["supervisor"]
    made = make_record(coach)
    request(supervisor, made)
    waiting = {who: count_waiting(team[who]) for who in ("coach", "coach2", "supervisor")}
    assert waiting == {"coach": 1, "coach2": 0, "supervisor": 0}


def test_safety_state_that_does_not_open_keeps_nobody_from_being_erased(folder, team):
    coach, admin = team["coach"], team["admin"]
    made = make_record(coach)
    with transaction():
        add_marks([Marked(new_id(), "care", 202648)], made.client_id)
        db.session.execute(sa.update(ClientSafety).values(sealed=b"x" * 80))
    assert list_marks(coach.id, KINDS)
    decide(erase_record, admin, request(coach, made))
    for viewer in (coach, team["supervisor"]):
        assert list_marks(viewer.id, KINDS) == []


def test_nothing_of_an_erased_record_is_on_the_disk_and_yesterdays_copy_opens_with_no_key_of_today(
    folder, team
):
    coach, admin = team["coach"], team["admin"]
    made = make_record(coach)
    db.session.remove()
    copy = folder / "yesterday.db"
    with sqlite3.connect(db.engine.url.database) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    assert CANARY.encode() in bytes_on_disk()
    wrapped = sqlite3.connect(copy).execute("SELECT wrapped FROM client_key").fetchone()[0]
    erasure_id = request(coach, made)
    decide(erase_record, admin, erasure_id)
    data = bytes_on_disk()
    assert CANARY.encode() not in data
    assert CANARY.lower().encode() not in data
    assert wrapped not in data
    # Until the operator has replaced the vault key, a copy from before opens, and the certificate says so.
    assert unwrap_client_key(made.client_id, wrapped)
    finish_erasures()
    assert get_erasure(admin, erasure_id).keys_gone_at is None
    today = settings.active()
    settings.use(replace(today, vault_keys=(NEW_VAULT_KEY, *today.vault_keys)))
    with transaction():
        rewrap_ring()
        rewrap_client_keys(None)
    settings.use(replace(today, vault_keys=(NEW_VAULT_KEY,)))
    load_ring()
    finish_erasures()
    assert get_erasure(admin, erasure_id).keys_gone_at is not None
    with pytest.raises(SealBroken):
        unwrap_client_key(made.client_id, wrapped)
    # Whoever lists the old key again opens the copy again.
    settings.use(replace(today, vault_keys=(NEW_VAULT_KEY, *today.vault_keys)))
    finish_erasures()
    assert get_erasure(admin, erasure_id).keys_gone_at is None
    # What is sealed never stood in the copy in plain words: there are names only.
    with sqlite3.connect(copy) as old:
        for name, found in TREATMENTS.items():
            if found.how != "kept" and name not in {"client", "client_name_word", "form_draft"}:
                assert CANARY not in str(old.execute(f'SELECT * FROM "{name}"').fetchall()), name


def test_erased_record_that_comes_back_stops_the_start_until_it_is_erased_again(folder, team):
    coach, admin = team["coach"], team["admin"]
    made = make_record(coach)
    key = db.session.execute(
        sa.select(ClientKey.wrapped, ClientKey.wrapped_by).where(
            ClientKey.client_id == made.client_id
        )
    ).one()
    decide(erase_record, admin, request(coach, made))
    refuse_unsafe_start()
    with transaction():
        # As in a database of yesterday.
        db.session.add(ClientKey(client_id=made.client_id, **key._mapping))  # noqa: SLF001
    with pytest.raises(RuleBroken) as refused:
        refuse_unsafe_start()
    assert [reason.code for reason in refused.value.reasons] == ["erased_returned"]
    [tombstone] = list_returned()
    assert tombstone.client_id == made.client_id
    with transaction():
        repeat_erasure(admin, tombstone)
    refuse_unsafe_start()
    path = settings.active().checkpoint_dir / "erasures.jsonl"
    path.write_text(path.read_text().replace('"number": 1', '"number": 2'))
    assert [reason.code for reason in list_tombstone_faults()] == ["tombstone_broken"]


@pytest.mark.both
def test_repeated_erasure_leaves_the_certificate_that_the_tombstone_describes(folder, team):
    """The database of before the request knows nothing of it, or names a request that still waits."""
    coach, admin = team["coach"], team["admin"]
    made = make_record(coach)
    key = db.session.execute(
        sa.select(ClientKey.wrapped, ClientKey.wrapped_by).where(
            ClientKey.client_id == made.client_id
        )
    ).one()
    erasure_id = request(coach, made, "proxy")
    decide(erase_record, admin, erasure_id)
    first = get_erasure(admin, erasure_id)
    waits = {"state": "requested", "decided_at": None, "decided_by": None, "counts": {}}

    def repeat(*changes, tombstone=None):
        """Bring the key back, change the request as an earlier database has it, and erase again."""
        with transaction() as session:
            values = {"client_id": made.client_id, **key._mapping}  # noqa: SLF001
            session.execute(sa.insert(ClientKey).values(values))
            for change in changes:
                session.execute(change)
        [found] = list_returned()
        with transaction():
            repeat_erasure(operator(), tombstone or found)
        write_tombstones()
        assert list_returned() == []
        return get_erasure(admin, erasure_id), found

    for changes in (
        [sa.delete(Erasure)],
        [sa.update(Erasure).values(waits | {"vault_keys": []})],
        [sa.delete(Erasure), sa.insert(Erasure).values(other_request(made, coach))],
        [],
    ):
        again, tombstone = repeat(*changes)
        assert again.repeated_at
        assert (again.repeated_by, again.repeated_by_name) == (None, "")
        changed = {"repeated_at": None, "tombstone_sha256": None}
        assert replace(again, **changed) == replace(first, **changed)
    assert len(read_tombstones()) == 1
    # Somebody who came after the backup, and a line of an earlier release.
    stranger = {"decided": [tombstone.certificate["decided"][0], new_id().hex]}
    other = replace(tombstone, certificate={**tombstone.certificate, **stranger})
    again, _ = repeat(sa.delete(Erasure), tombstone=other)
    assert (again.decided_by, again.requested_by, again.sha256) == (None, coach.id, first.sha256)
    again, _ = repeat(sa.delete(Erasure), tombstone=replace(tombstone, certificate=None))
    assert (again.ground, again.requested_by, again.decided_by) == (None, None, None)
    assert (again.decided_at, again.sha256) == (again.requested_at, first.sha256)
    assert again.counts["identity"]


def other_request(made, coach):
    """Return another request about the same client that waits."""
    asked = {"requested_at": now(), "requested_by": coach.id, "counts": {}, "vault_keys": []}
    return {
        "id": new_id(),
        "client_id": made.client_id,
        "ground": "error",
        "state": "requested",
    } | asked
