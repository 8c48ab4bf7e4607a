"""What a client wrote for nobody else: open with their PIN, closed to new codes, open again with the earlier PIN."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, RuleBroken, Unauthenticated
from caseapp.core.permissions import Action, Role
from caseapp.core.sessions import Session
from caseapp.core.transaction import transaction
from caseapp.core.vault import SealBroken, seal_bytes, seal_json, unseal_private
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.reading import get_own_assignment
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.auth.earlier_writing import check_earlier_pin, open_earlier_writing
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.portal_access import complete_first_visit
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.auth.sealing import read_pin
from caseapp.domain.auth.throttling import earlier_pin_limits, reset_attempts
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.form_drafts.operations import save_form_draft
from caseapp.domain.form_drafts.queries import list_form_drafts
from caseapp.domain.keys import writing as writing_keys
from caseapp.domain.keys.models import WritingKey
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.keys.writing import list_tries_left
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload
from caseapp.domain.worksheets.operations import (
    delete_answers,
    save_answers,
    send_upload,
    share_answers,
    store_upload,
)
from caseapp.domain.worksheets.queries import get_client_worksheet, get_upload_content
from caseapp.domain.worksheets.queries import lock_worksheet as lock
from tests.domain.clients.portal_visitor import choose_pin, enter_pin, redeem
from tests.support import builders
from tests.support.portal_client import CARD_ONLY, PIN, new_codes

pytestmark = pytest.mark.both

NEW_PIN = "739182"
WORDS = {"what_happened": "For nobody."}
DRAFT = {"answer_what_happened": ["Not even saved."]}
SCAN = b"%PDF-1.7 a scan"
PAGE, FORM = "/portal/h/1", "/portal/h/1/save"


def run(change, client, *args):
    with transaction():
        return change(client, lock(client, 1), *args)


def come_in(reference):
    """Read the first page if needed; return the actor of a session."""
    actor = find_client_session(reference).actor
    if actor.role is Role.SIGNING_IN:
        with transaction():
            complete_first_visit(actor)
        actor = find_client_session(reference).actor
    return actor


def sign_in(codes, pin=PIN):
    return come_in(choose_pin(redeem(codes.card_code), codes.start_code, pin))


def worksheet(client):
    db.session.rollback()
    return get_client_worksheet(client, get_own_assignment(client, 1))


def keep_draft(client_id):
    with transaction():
        assert save_form_draft(client_id, PAGE, FORM, client_id, DRAFT, now())


def drafts(client):
    return [found.words for found in list_form_drafts(client.id, PAGE, client.writing).values()]


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def made(coach):
    found = builders.case(coach, "Ines Okafor", safe=CARD_ONLY)
    builders.screen(coach, found.client_id)
    with transaction():
        found_id = assign_handout(
            coach,
            lock_case(coach, found.case_id),
            "first-days-pause",
            message="",
            channel="portal",
            confirmed=True,
        )
    return found, found_id


@pytest.fixture
def written(coach, made):
    """Sign a client in and let them write; return their codes and the actor of their session."""
    client_id = made[0].client_id
    codes = new_codes(coach, client_id)
    client = sign_in(codes)
    run(share_answers, client, {"what_happened": "For you."}, 0)
    run(save_answers, client, WORDS, 2)
    run(store_upload, client, SCAN, "no_form")
    keep_draft(client_id)
    return codes, client


@pytest.mark.slow
def test_new_codes_open_nothing_until_the_earlier_pin_is_entered(coach, made, written):
    client_id, before = made[0].client_id, written[1]
    codes = new_codes(coach, client_id)
    keep_draft(client_id)  # as a page does that was open when the session ended
    client = sign_in(codes, NEW_PIN)
    shown = worksheet(client)
    assert (shown.answers, shown.is_locked, shown.shared_at is None) == ({}, True, False)
    [file] = shown.uploads
    assert file.is_locked
    assert drafts(client) == []
    for change, *args in (
        (save_answers, {"what_happened": "Forged."}, shown.version),
        (share_answers, {"what_happened": "Forged."}, shown.version),
        (send_upload, file.id),
    ):
        with pytest.raises(RuleBroken, match="locked"):
            run(change, client, *args)
    # The vault key and the new PIN aren't enough.
    row = db.session.scalars(sa.select(WorksheetResponse)).one()
    with pytest.raises(SealBroken):
        unseal_private(
            "worksheet_response",
            "answers",
            row.id,
            row.answers,
            client.writing,
            get_client_key(client_id),
        )
    with pytest.raises(Invalid):
        check_earlier_pin(client, NEW_PIN)
    checked = check_earlier_pin(client, PIN)
    with transaction():
        open_earlier_writing(client, checked)
    shown = worksheet(client)
    assert (shown.answers, shown.is_locked, shown.changed_since) == (WORDS, False, True)
    assert drafts(client) == [DRAFT]
    run(send_upload, client, file.id)
    assert get_upload_content(coach, made[1], file.id) == SCAN
    assert list_tries_left(client_id) == []
    [left] = db.session.scalars(sa.select(WritingKey))
    assert left.closed_at is None
    assert before.writing.id != left.id
    run(save_answers, client, {"what_happened": "Later."}, shown.version)


@pytest.mark.slow
def test_words_of_an_old_page_open_with_the_pin_of_then(coach, made, written):
    client_id, opened_at = made[0].client_id, now()
    later = {"answer_what_happened": ["Typed in the old tab."]}

    def keep_later(opened):
        with transaction():
            take_client_lock(client_id)
            return save_form_draft(client_id, PAGE, FORM, client_id, later, opened)

    with at(opened_at + timedelta(minutes=5)):
        client = sign_in(new_codes(coach, client_id), NEW_PIN)
        assert keep_later(opened_at)
        assert drafts(client) == []
        checked = check_earlier_pin(client, PIN)
        with transaction():
            open_earlier_writing(client, checked)
        assert drafts(client) == [later]
        # The key of then is gone, so the words would be sealed to nobody who wrote them.
        assert not keep_later(opened_at)
        assert keep_later(now())


def test_earlier_pin_can_be_tried_a_hundred_times_in_all(coach, made, written, monkeypatch):
    client = sign_in(new_codes(coach, made[0].client_id), NEW_PIN)
    monkeypatch.setattr(writing_keys, "MAX_TRIES", 2)
    for _ in range(2):
        with pytest.raises(Invalid):
            check_earlier_pin(client, "000000")
        with transaction():
            reset_attempts(earlier_pin_limits(client.id))
    with pytest.raises(Invalid):
        check_earlier_pin(client, PIN)
    # What nobody can open any more can be deleted.
    run(delete_answers, client, worksheet(client).version)
    assert worksheet(client).version == 0
    run(save_answers, client, {"what_happened": "Anew."}, 0)


def test_only_a_session_that_began_with_the_pin_reads_and_writes(made, written):
    codes, client = written
    stranger = Actor(client.id, Role.CLIENT, "Ines", "portal")
    for call in (
        lambda: worksheet(stranger),
        lambda: run(save_answers, stranger, WORDS, 0),
    ):
        with pytest.raises(Unauthenticated):
            call()
    # The database never holds the key open: a wrap that another session gets opens nothing.
    reference = enter_pin(redeem(codes.card_code))
    wrapped = db.session.scalar(
        sa.select(Session.wrapped_writing_key).where(Session.id == client.session_id)
    )
    other = find_client_session(reference).actor
    assert worksheet(other).answers == WORDS
    with transaction() as session:
        session.execute(
            sa.update(Session)
            .where(Session.id == other.session_id)
            .values(wrapped_writing_key=wrapped)
        )
    with pytest.raises(SealBroken):
        find_client_session(reference)


def forget_writing_key(made):
    """Leave everything as a release before the writing keys did."""
    key = get_client_key(made[0].client_id)
    with transaction() as session:
        take_client_lock(made[0].client_id)
        [response] = session.scalars(sa.select(WorksheetResponse))
        [upload] = session.scalars(sa.select(WorksheetUpload))
        response.answers = seal_json(response, "answers", WORDS, key)
        upload.content = seal_bytes(upload, "content", SCAN, key)
        response.writing_key_id = upload.writing_key_id = None
        session.execute(sa.delete(FormDraft))
        session.execute(sa.update(Session).values(wrapped_writing_key=None))
        session.flush()
        session.execute(sa.delete(WritingKey))
    keep_draft(made[0].client_id)


@pytest.mark.slow
def test_words_of_an_earlier_release_are_sealed_when_the_pin_is_entered(made, written):
    codes, _client = written
    forget_writing_key(made)
    assert db.session.scalar(sa.select(FormDraft.writing_key_id)) is None
    # A session from before asks for the PIN once more.
    assert find_client_session(enter_pin(redeem(codes.card_code))).actor.role is Role.CLIENT
    client = find_client_session(enter_pin(redeem(codes.card_code))).actor
    assert (worksheet(client).answers, drafts(client)) == (WORDS, [DRAFT])
    tables = (WorksheetResponse, WorksheetUpload, FormDraft)
    assert {db.session.scalar(sa.select(table.writing_key_id)) for table in tables} == {
        client.writing.id
    }


@pytest.mark.slow
def test_words_of_an_earlier_release_are_closed_by_a_new_invitation(coach, made, written):
    forget_writing_key(made)
    client = sign_in(new_codes(coach, made[0].client_id), NEW_PIN)
    assert worksheet(client).is_locked
    assert drafts(client) == []
    checked = check_earlier_pin(client, PIN)
    with transaction():
        open_earlier_writing(client, checked)
    assert (worksheet(client).answers, drafts(client)) == (WORDS, [DRAFT])
    assert db.session.scalar(sa.select(PortalAccess.pin_hash)) is not None


@pytest.mark.slow
def test_new_codes_replace_a_damaged_pin_and_open_nothing_earlier(coach, made, written):
    client_id = made[0].client_id
    forget_writing_key(made)
    with transaction():
        take_client_lock(client_id)
        row = db.session.get_one(PortalAccess, client_id)
        salt = row.pin_hash.rpartition("$")[0]
        for row.pin_hash in ("damaged", f"{salt}$x.AAAA", f"{salt}$1.AAAA", f"{salt}$7.AAAA"):
            with pytest.raises(SealBroken):
                read_pin(client_id, row.pin_hash)
    client = sign_in(new_codes(coach, client_id), NEW_PIN)
    assert worksheet(client).is_locked
    assert drafts(client) == []
    for pin in (PIN, NEW_PIN):
        with pytest.raises(Invalid):
            check_earlier_pin(client, pin)
    admin = Actor(client_id, Role.ADMIN, "Ade", "web")
    logged = list_audit_events(admin, AuditFilter(client_id=client_id), None, 100).items
    codes = [event.details for event in logged if event.action == Action.PORTAL_INVITE]
    assert [details["pin"] for details in codes if "pin" in details] == ["damaged"]
