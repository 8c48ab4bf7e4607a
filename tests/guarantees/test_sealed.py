"""What is told about a person is on no disk in plain words: canaries in every sealed field, then every byte.

`tests/support/inventory.py` says how each column is protected.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from caseapp.core import settings
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.core.vault import CODE_LENGTH
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.auth.passkeys import add_passkey, describe_adding
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.auth.schemas import NewPasskey
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.operations import move_case, update_case
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.cases.schemas import CaseDetails, StageMove
from caseapp.domain.cases.stages import criteria_between, next_stage
from caseapp.domain.clients.memberships import withdraw_offers
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.consent.operations import record_consent, withdraw_consent
from caseapp.domain.consent.schemas import ConsentWithdrawal, NewConsent
from caseapp.domain.contacts.operations import record_contact
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.disclosures.operations import record_disclosure
from caseapp.domain.disclosures.schemas import NewDisclosure
from caseapp.domain.followups.codes import PLAN_REVIEW
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.queries import list_client_followups, lock_followup
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.form_drafts.operations import save_form_draft
from caseapp.domain.intakes.operations import decide_intake
from caseapp.domain.intakes.queries import lock_intake
from caseapp.domain.keys.writing import keep_in_session
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import lock_merge
from caseapp.domain.merges.schemas import NewMerge
from caseapp.domain.models import METADATA
from caseapp.domain.notes.amendment_operations import decline_request, record_request
from caseapp.domain.notes.amendment_schemas import NewAmendmentRequest
from caseapp.domain.notes.cosign_operations import return_note
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import lock_note_move
from caseapp.domain.notes.operations import add_addendum, save_draft
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.notes.schemas import DraftChange, NewAddendum, NewNoteMove
from caseapp.domain.notes.snippet_operations import save_snippet
from caseapp.domain.notes.snippet_schemas import SnippetText
from caseapp.domain.practice.queries import today
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import lock_process_note
from caseapp.domain.safety_plans.operations import complete_task
from caseapp.domain.screening.circumstance_operations import end_circumstance
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.hold_operations import release_hold
from caseapp.domain.screening.operations import clear_flag
from caseapp.domain.screening.queries import list_flags, list_holds, lock_hold
from caseapp.domain.screening.schemas import CircumstanceEnd
from caseapp.domain.staffing.cover_operations import arrange_cover, write_line
from caseapp.domain.staffing.cover_queries import lock_caseload, lock_covered_client
from caseapp.domain.staffing.cover_schemas import NewCover
from caseapp.domain.staffing.denial_operations import deny_access, end_denial
from caseapp.domain.staffing.denials import lock_access, lock_denial
from caseapp.domain.staffing.emergencies import lock_reviewed_emergency
from caseapp.domain.staffing.emergency_operations import review_emergency_access
from caseapp.domain.staffing.schemas import NewDenial
from caseapp.domain.staffing.transfer_operations import offer_cases
from caseapp.domain.staffing.transfer_schemas import NewTransfer
from caseapp.domain.worksheets.operations import save_answers, share_answers, store_upload
from caseapp.domain.worksheets.queries import lock_worksheet
from tests.support import builders, intakes, inventory, portal_client, safety_plans, staff
from tests.support.authenticator import Authenticator
from tests.support.followups import result_for
from tests.support.inventory import CLIENT
from tests.support.seals import known_keys, watch
from tests.support.staff_pages import StaffBrowser

pytestmark = pytest.mark.both

# No other test uses it: their databases lie on the same server.
CANARY = "Xochiquetzal"
EMAIL = f"{CANARY}@example.test".lower()
PHONE = f"07700 900123 {CANARY}"[:30]
NAMES = ("Ines Okafor", "Zita Twice", f"Tomas {CANARY}")


def tell_of_an_end(coach, client_id):
    """Record a circumstance, and with the canary that it has ended, that the client did not come, and left."""
    builders.screen(coach, client_id, circumstances=["leaving"])
    with transaction():
        [(circumstance, mentioned_at)] = get_safety_state(client_id).circumstances.items()
        ended = CircumstanceEnd(circumstance, mentioned_at, CANARY)
        end_circumstance(coach, lock_client(coach, client_id), ended)
        missed = NewContact("no_show", words=CANARY)
        record_contact(coach, lock_client(coach, client_id), missed)
        told = ConsentWithdrawal(today(), "spoken", CANARY)
        withdraw_consent(coach, lock_client(coach, client_id), told)
        given = NewDisclosure(today(), CANARY, CANARY, CANARY)
        record_disclosure(coach, lock_client(coach, client_id), given)
    with transaction():
        again = NewConsent(today(), "written")
        record_consent(coach, lock_client(coach, client_id), again)


def add_people():
    """Add the sample staff, and a passkey of the coach."""
    team = staff.team()
    coach = team["coach"]
    answer = Authenticator().make(describe_adding(coach, staff.email_of(coach), CANARY))
    with transaction():
        add_passkey(coach, NewPasskey("Laptop", answer), CANARY)
    return team


def write_for_oneself(coach, made):
    """Write the canary into a coach's process note and a draft that is changed, and leave forms with it."""
    with at(now() - timedelta(minutes=5)):
        draft = builders.draft(coach, made.case_id, {"data": CANARY})
    with transaction():
        save_snippet(coach, SnippetText(CANARY, CANARY), 0)
        change = DraftChange(sections={"data": f"{CANARY} again"})
        save_draft(coach, lock_note(coach, draft), change, 1)
    with transaction():
        save_process_note(coach, lock_process_note(coach, made.number), CANARY, 0)
        for about in (made.client_id, None):
            save_form_draft(coach.id, "/case/new", f"/{about}", about, {"name": [CANARY]}, now())


def deny_and_end(supervisor, number, users):
    """Record that some people must not see a client, and end it, each for another reason."""
    for user, reason, end in zip(users, ("wish", "relative"), ("past", "error"), strict=True):
        with transaction():
            new = NewDenial(number, user.id, reason)
            denial_id = deny_access(supervisor, lock_access(supervisor, number), new)
        with transaction():
            end_denial(supervisor, lock_denial(supervisor, denial_id), end)


def ask_and_decide(coach, supervisor):
    """Put an intake with the canary to a supervisor, who decides."""
    intake_id = intakes.ask(coach, f"Ines {CANARY}", gender=CANARY)
    with transaction():
        intake = lock_intake(supervisor, intake_id)
        decide_intake(supervisor, intake, intakes.decision(intake))


def open_case(coach):
    """Open the case of a client about whom everything is the canary, who gets new codes for two reasons."""
    made = builders.case(
        coach,
        "Ines Okafor",
        {"gender": CANARY},
        email=EMAIL,
        phone=PHONE,
        partner_name=f"Tomas {CANARY}",
        birth_year=1984,
        safe=SafeContact(("call", "portal"), CANARY, CANARY, CANARY),
    )
    for reason in (None, "lost", "new_phone"):
        with transaction():
            invite_client(coach, lock_client(coach, made.client_id), reason)
    return made


def write_in_portal(client_id):
    """Let a client write, share and upload the canary, and leave a form with it."""
    client = portal_client.reader(client_id, "Ines Okafor")
    with transaction():
        keep_in_session(client.writing, client.id, begin_session("client", client.id))
        share_answers(client, lock_worksheet(client, 2), {"first_person": CANARY}, 0)
        save_answers(client, lock_worksheet(client, 2), {"first_person": f"{CANARY} again"}, 2)
        store_upload(client, lock_worksheet(client, 2), f"%PDF-{CANARY}".encode(), "no_form")
        save_form_draft(client.id, "/portal/h/2", "/own", client.id, {"name": [CANARY]}, now())


def read_in_emergency(reader, reviewer, numbers):
    """Read two records by emergency access, each for another reason, and review it."""
    for number, reason, outcome in zip(
        numbers, ("danger", "contact"), ("needed", "not_needed"), strict=True
    ):
        emergency_id = builders.read_in_emergency(reader, number, reason, f"{CANARY} rang me")
        with transaction():
            locked = lock_reviewed_emergency(reviewer, emergency_id)
            review_emergency_access(reviewer, locked, outcome)


def guard(team, number):
    """Record who must not see a client, and who has read a record by emergency access."""
    supervisor, reader = team["supervisor"], team["coach2"]
    deny_and_end(supervisor, number, (reader, team["admin"]))
    read_in_emergency(reader, supervisor, (number, builders.case(team["coach"]).number))


def tell_colleague(coach, colleague, client_id):
    """Let a colleague cover, tell them something about the client, and offer them the case."""
    wanted = NewCover(colleague.id, today(), today(), (client_id,), all=False)
    with transaction():
        cover_id = arrange_cover(coach, lock_caseload(coach, coach.id), wanted)
        write_line(coach, lock_covered_client(coach, cover_id, client_id), CANARY, 1)
    offer_twice(coach, colleague, client_id)


def offer_twice(coach, colleague, client_id):
    """Offer a client to a colleague, each time for another reason; the first offer is withdrawn."""
    for reason in ("wish", "experience"):
        with transaction():
            withdraw_offers(coach, client_id)
            wanted = NewTransfer(colleague.id, reason, (client_id,), all=False)
            offer_cases(coach, lock_caseload(coach, coach.id), wanted)


def move_a_note_here(coach, number):
    """Move a note that was filed under another client."""
    note_id = builders.note(coach, builders.case(coach).case_id)
    with transaction():
        new = NewNoteMove(f"{CANARY} is here")
        move_note(coach, lock_note_move(coach, note_id, number), new, 2)


def merge_two_records(coach, supervisor):
    """Merge the records of a client who was entered twice."""
    gone, stays = (builders.client(coach, "Zita Twice", agreed=True) for _ in range(2))
    with transaction():
        new = NewMerge(f"{CANARY} called twice", despite_decision=True)
        merge_clients(supervisor, lock_merge(supervisor, gone, stays), new, 1)


def sign_and_correct(coach, supervisor, made, words):
    """Sign a note that needs a co-signature, return it and correct it."""
    with builders.supervised(coach):
        note_id = builders.note(coach, made.case_id, words)
    with transaction():
        return_note(supervisor, lock_note(supervisor, note_id), f"{CANARY} is missing", 2)
    with transaction():
        add_addendum(
            coach,
            lock_note(coach, note_id),
            NewAddendum("correction", CANARY, f"{CANARY} is right"),
        )
    with transaction():
        asked = NewAmendmentRequest(today(), CANARY)
        record_request(coach, lock_note(coach, note_id), asked)
    with transaction():
        decline_request(coach, lock_note(coach, note_id), f"{CANARY} is what she said", 1)


def write_everywhere(team):
    """Fill the record of a client with the canary."""
    coach, supervisor = team["coach"], team["supervisor"]
    start = now()
    with at(start - timedelta(days=20)):
        made = open_case(coach)
        builders.screen(coach, made.client_id, self_harm="concern", comment=CANARY)
    guard(team, made.number)
    merge_two_records(coach, supervisor)
    with at(start - timedelta(days=12)):
        safety_plans.write(coach, made.client_id, text=CANARY, note=CANARY)
    with at(start - timedelta(days=11)):
        tell_of_an_end(coach, made.client_id)
    with at(start - timedelta(days=10)), transaction():
        for task in list_client_followups(coach, made.client_id):
            if task.kind != PLAN_REVIEW:
                result = "done" if task.kind == "safety_plan" else None
                locked, new = lock_followup(coach, task.id), result_for(task.kind, result, CANARY)
                complete_task(coach, locked, replace(new, told=CANARY), task.version)
        create_followup(coach, lock_client(coach, made.client_id), NewFollowUp(CANARY, now()))
    for days in (9, 0):
        builders.screen(coach, made.client_id, days_ago=days, comment=CANARY)
    with transaction():
        hold = list_holds(supervisor, made.client_id)[0]
        release_hold(supervisor, lock_hold(supervisor, hold.id), f"{CANARY} is well", hold.version)
        clear_flag(
            supervisor,
            lock_client(supervisor, made.client_id),
            list_flags(supervisor, made.client_id)[0].id,
            CANARY,
        )
        assign_handout(
            coach,
            lock_case(coach, made.case_id),
            "help-right-now",
            message=CANARY,
            channel="in_person",
        )
        wish = NewBulkAssignment(None, "en", "print", CANARY, None, (made.case_id,), {})
        start_bulk_assignment(coach, "help-right-now", wish)
    with transaction():
        here = get_case_context(coach, made.case_id).stage
        asked = criteria_between(here, next_stage(here))
        evidence = {one.id: CANARY for one in asked if not one.check}
        move_case(coach, lock_case(coach, made.case_id), StageMove("understand", "", evidence), 1)
    with transaction():
        move_case(coach, lock_case(coach, made.case_id), StageMove("steady", CANARY, {}), 2)
    with transaction():
        update_case(
            coach,
            lock_case(coach, made.case_id),
            CaseDetails({"gender": CANARY}, "undecided", None),
            3,
        )
    words = {"data": CANARY, "assessment": CANARY, "plan": CANARY}
    sign_and_correct(coach, supervisor, made, words)
    move_a_note_here(coach, made.number)
    send_and_keep(team, made, words)
    return coach, made


def send_and_keep(team, made, words):
    """Give a client a handout to write on, and leave drafts, forms, an intake and a line for a colleague."""
    coach, supervisor = team["coach"], team["supervisor"]
    builders.screen(coach, made.client_id)
    with transaction():
        assign_handout(
            coach,
            lock_case(coach, made.case_id),
            "help-right-now",
            message=CANARY,
            channel="portal",
        )
    write_in_portal(made.client_id)
    builders.draft(coach, made.case_id, words, levels={"sleep": 1, "eating": None}, comment=CANARY)
    write_for_oneself(coach, made)
    builders.screen(coach, builders.client(coach, "Mara Lind"), sleep="concern", comment=CANARY)
    tell_colleague(coach, supervisor, made.client_id)
    ask_and_decide(coach, supervisor)


def look_around(app, coach, made):
    """Read pages that show the canary, look for it, and ask for a page that there isn't."""
    browser = StaffBrowser(app, coach)
    for path in ("", "/notes", "/timeline", "/plan"):
        assert CANARY in browser.text(f"/case/{made.number}{path}"), path
    found = browser.send(f"/case/{made.number}/notes/search", words=CANARY)
    assert f"<mark>{CANARY}</mark>" in found.get_data(as_text=True)
    browser.text(f"/case/{CANARY}", 404)


@pytest.fixture
def temporary_files(tmp_path, monkeypatch):
    """Let this process keep its temporary files in a folder of the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def canaries(app, named_site, monkeypatch):
    """Write the canary into every field whose words are sealed, through the operations."""
    seals = watch(monkeypatch)
    team = add_people()
    coach, made = write_everywhere(team)
    look_around(app, coach, made)
    db.session.remove()
    return coach, made, seals


def stored(name):
    """List what a column holds, each with the id of the client whom its row is about."""
    table, _, column = name.partition(".")
    found = METADATA.tables[table].c
    about = {"client": found.get("id"), "client_merge": found.get("into_id")}.get(
        table, found.get("client_id", sa.null())
    )
    values = sa.select(found[column], about).where(found[column].is_not(None))
    return [(bytes(value), client_id) for value, client_id in db.session.execute(values)]


def check_seals(seals):
    """Each column holds what the inventory says under such a key; a new one has to be filled by the fixture above."""
    keys, faults = known_keys(), []
    for allowed, names in inventory.SEALED.items():
        # What the template of the test's database has brought along.
        for name in names - {"key_ring.wrapped"}:
            found, words = [], []
            for value, client_id in stored(name):
                seal = seals.find(value)
                if seal is None:
                    faults.append(f"{name}: not sealed")
                    continue
                kind, owner = keys.get(seals.origin(seal[0]), ("another key", None))
                found.append(kind)
                words.append(seal[1])
                if kind == CLIENT and owner != client_id:
                    faults.append(f"{name}: under the key of another client")
            if set(found) != allowed:
                faults.append(f"{name}: {sorted(set(found))}")
            is_there = any(CANARY.lower().encode() in text.lower() for text in words)
            if is_there == (name in inventory.NO_WORDS):
                faults.append(f"{name}: {'words' if is_there else 'no words'}")
            lengths = {len(text) for text in words}
            if name in inventory.CODES and (
                len(words) < 2 or len(lengths) > 1 or min(lengths) % CODE_LENGTH
            ):
                faults.append(f"{name}: lengths {lengths}")
    assert sorted(faults) == []
    assert all(stored(name) for name in inventory.AUTHENTICATED)


def check_coach_reads_it(coach, made):
    client = get_client_record(coach, made.client_id)
    assert (client.email, client.safe.code_word) == (EMAIL, CANARY)
    assert get_case_context(coach, made.case_id).facts == {"gender": CANARY}
    assert {task.note for task in list_client_followups(coach, made.client_id)} == {CANARY, None}


def digests():
    """Return what hashes without a key would make of what somebody could guess."""
    texts = {EMAIL, PHONE, "+447700900123", "07700900123", CANARY, *NAMES}
    texts |= {text.lower() for text in texts}
    return {
        hashlib.new(name, text.encode()).hexdigest()
        for name in ("md5", "sha1", "sha256", "sha512", "blake2b")
        for text in texts
    }


def list_plain():
    """List the columns of every table that hold the canary, or a hash of it that needs no key."""
    found, hashes = set(), digests()
    for table in METADATA.sorted_tables:
        for row in db.session.execute(sa.select(table)).mappings():
            for name, value in row.items():
                text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                is_hash = text.lower() in hashes or (
                    isinstance(value, bytes) and value.hex() in hashes
                )
                if CANARY.lower() in text.lower() or is_hash:
                    found.add(f"{table.name}.{name}")
    return found


def database_files(url, templates, began_at):
    """List the files of the database, with those of the write-ahead log that were written since the test began."""
    if url.get_backend_name() == "sqlite":
        files = [*Path(url.database).parent.glob("test.db*")]
        assert any(file.name.endswith("-wal") for file in files)
        return files
    with templates.server().connect() as connection:
        connection.exec_driver_sql("CHECKPOINT")
        folder = connection.exec_driver_sql("SHOW data_directory").scalar_one()
        name = sa.text("SELECT oid FROM pg_database WHERE datname = :name")
        oid = connection.execute(name, {"name": url.database}).scalar_one()
    logged = [*Path(folder, "pg_wal").iterdir(), *Path(folder).glob("*log*")]
    recent = [file for file in logged if file.is_file() and file.stat().st_mtime >= began_at]
    assert recent
    return [*Path(folder, "base", str(oid)).iterdir(), *recent]


@pytest.mark.pdf
def test_canary_in_every_sealed_column_is_in_no_plain_column_file_or_line_of_the_log(
    logged, caplog, temporary_files, tmp_path, canaries, database_url, templates
):
    """SEC-49: all at once, since the canaries take long to write."""
    coach, made, seals = canaries
    check_seals(seals)
    check_coach_reads_it(coach, made)
    assert list_plain() == set()
    files = database_files(database_url, templates, tmp_path.stat().st_ctime - 1)
    content = {file.name: file.read_bytes().lower() for file in files if file.is_file()}
    canary = CANARY.lower().encode()
    assert {name for name, found in content.items() if canary in found} == set()
    # Names are plain: the files are those that the words would be in.
    assert any(b"okafor" in found for found in content.values())
    folders = (temporary_files, settings.active().data_dir, settings.active().checkpoint_dir)
    others = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert [file for file in others if canary in file.read_bytes().lower()] == []
    lines = logged() + caplog.text
    assert "endpoint=" in lines
    assert CANARY.lower() not in lines.lower()
