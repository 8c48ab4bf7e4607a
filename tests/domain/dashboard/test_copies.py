"""A client's copy of their record: what it holds, how it may reach them, and that the disclosure log has it."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import pdf
from caseapp.core.database import db
from caseapp.core.errors import NotFound, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import reads_recorded
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.contacts.operations import record_contact
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.dashboard.copy_contents import WITHHELD
from caseapp.domain.dashboard.copy_operations import make_copy, record_copy
from caseapp.domain.dashboard.copy_rules import list_copy_blockers
from caseapp.domain.dashboard.copy_schemas import NewCopy, make_passphrase
from caseapp.domain.dashboard.timeline_filter import EVENT_KINDS, EVERYTHING, TimelineFilter
from caseapp.domain.disclosures.queries import list_disclosures
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import lock_process_note
from tests.domain.assignments.test_printing import assign
from tests.domain.notes.test_addenda import add
from tests.domain.notes.test_cosigning import COMMENT, send_back
from tests.domain.notes.test_moves import move
from tests.support import builders
from tests.support.contexts import NOW, client, context, safety

HARMLESS = TimelineFilter(frozenset(EVENT_KINDS) - {"screening", "hold", "plan", "followup"})
HIDDEN = SafeContact(("call",), "", "Chestnut")
CANARY = "I dread the heron in her kitchen."


def wanted(filters=EVERYTHING, channel="in_person", *, asked_alone=True):
    return NewCopy(filters, channel, asked_alone, make_passphrase())


@pytest.mark.parametrize(
    ("flags", "holds", "channels", "confirmed", "new", "codes"),
    [
        ((), (), (), False, wanted(), []),
        ((), (), (), False, wanted(asked_alone=False), ["copy_not_asked"]),
        ((), (), (), False, wanted(channel="email"), ["email_not_safe"]),
        ((), (), ("email",), False, wanted(channel="post"), ["post_not_safe"]),
        ((), (), ("email",), False, wanted(channel="email"), []),
        ((), ("care",), ("post",), False, wanted(channel="post"), []),
        ((), ("safety",), ("email",), False, wanted(channel="email"), ["copy_only_in_person"]),
        ((), ("safety",), ("email",), False, wanted(HARMLESS, "email"), ["copy_only_in_person"]),
        (("violence_flag",), (), (), False, wanted(), []),
        (("violence_flag",), (), (), False, wanted(channel="post"), ["copy_only_in_person"]),
        (
            ("unsafe_delivery",),
            (),
            ("email",),
            True,
            wanted(channel="email"),
            ["copy_only_in_person"],
        ),
    ],
)
def test_copy_goes_only_where_it_is_safe(flags, holds, channels, confirmed, new, codes):
    person = client(channels=channels, confirmed_at=NOW if confirmed else None)
    found = context(state=safety(flags=flags, holds=holds), person=person)
    assert [reason.code for reason in list_copy_blockers(found, new)] == codes


@pytest.fixture
def copied(monkeypatch):
    """Return the pages and the files of a copy instead of the encrypted PDF, once it is in the disclosure log."""
    given: dict[str, str] = {}

    def render(html, *, archive, **_more):
        given.update({each.name: each.content for each in archive.files}, html=html)
        return b"%PDF-2.0"

    monkeypatch.setattr(pdf, "render", render)

    def make(actor, made, new):
        db.session.rollback()
        with reads_recorded(actor):
            copy = make_copy(actor, made.number, new)
            with transaction():
                record_copy(actor, lock_case(actor, made.number), new, copy)
        return dict(given)

    return make


@pytest.mark.both
@pytest.mark.slow
def test_copy_holds_the_record_and_no_process_note_and_the_disclosure_log_has_it(team, copied):
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor", partner_name="Tom Okafor", safe=HIDDEN)
    with builders.supervised(coach):
        note = builders.note(coach, made.case_id, days_ago=3)
    send_back(team["supervisor"], note)
    add(coach, note, "correction", "Five trees.", "Lost count.")
    builders.draft(coach, made.case_id, {"data": "Only a thought.", "assessment": "", "plan": ""})
    builders.screen(coach, made.client_id, sleep="concern", comment="Wakes at four.")
    with transaction():
        save_process_note(coach, lock_process_note(coach, made.number), CANARY, 0)
    given = copied(coach, made, wanted())
    whole = " ".join(given.values())
    for words in (CANARY, "heron", "Only a thought.", "Tom Okafor", "Chestnut"):
        assert words not in whole
    record, manifest = json.loads(given["record.json"]), json.loads(given["manifest.json"])
    for words in ("Slept six hours.", "Five trees.", "Lost count.", COMMENT, "Wakes at four."):
        assert words in given["html"]
        assert words in given["record.json"]
    for what, why in WITHHELD:
        assert what in given["html"]
        assert why in given["html"]
    assert [each["what"] for each in manifest["withheld"]] == [what for what, _ in WITHHELD]
    (file,) = manifest["files"]
    assert file["sha256"] == hashlib.sha256(given["record.json"].encode()).hexdigest()
    assert manifest["entries"] == len(record["entries"]) == given["html"].count('class="entry"')
    (signed,) = [each["note"] for each in record["entries"] if "note" in each]
    assert [each["sha256"] for each in manifest["notes"]] == [signed["sha256"]]
    assert signed["addenda"][0]["kind"] == "correction"
    (entry,) = list_disclosures(coach, made.client_id, None, 5).items
    assert entry.recipient == "The client, in person"
    assert f"case {made.number} as an encrypted PDF" in entry.what
    assert "all days, all kinds" in entry.what
    event = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.action == Action.RECORD_EXPORT.value)
    ).one()
    assert event.details["format"] == "copy"
    # What was left out can't be told from what there never was.
    given = copied(coach, made, wanted(HARMLESS))
    whole = " ".join(given.values())
    assert "Wakes at four." not in whole
    assert "Only " not in given["html"].partition("What is not in this copy")[0]


@pytest.mark.both
@pytest.mark.slow
def test_copy_is_judged_again_when_it_is_recorded_and_needs_no_consent(team, copied):
    coach, reader = team["coach"], team["coach2"]
    made = builders.case(coach, safe=SafeContact(("email",)))
    by_mail = wanted(HARMLESS, "email")
    with pytest.raises(NotFound):
        copied(reader, made, wanted())
    builders.read_in_emergency(reader, made.number)
    with pytest.raises(NotFound):
        copied(reader, made, wanted())
    day = TimelineFilter(HARMLESS.kinds, since=NOW.date() - timedelta(days=400))
    copied(coach, made, wanted(day, "email"))
    with reads_recorded(coach):
        copy = make_copy(coach, made.number, by_mail)
    builders.screen(coach, made.client_id, fear_at_home="urgent")
    refuse_record(coach, made, by_mail, copy, "copy_only_in_person")
    assert len(list_disclosures(coach, made.client_id, None, 5).items) == 1


def refuse_record(actor, made, new, copy, code):
    """Check that a copy that was made is refused when it is to leave, and that the log has none that left."""
    db.session.rollback()
    exported = sa.select(sa.func.count()).where(
        AuditEvent.action == Action.RECORD_EXPORT.value, AuditEvent.outcome == "done"
    )
    before = db.session.scalars(exported).one()
    with reads_recorded(actor), transaction(), pytest.raises(RuleBroken) as refused:
        record_copy(actor, lock_case(actor, made.number), new, copy)
    assert [reason.code for reason in refused.value.reasons] == [code]
    db.session.rollback()
    assert db.session.scalars(exported).one() == before


@pytest.mark.both
@pytest.mark.slow
def test_copy_of_a_record_that_changed_meanwhile_does_not_leave(team, copied):
    coach = team["coach"]
    made, other = builders.case(coach, "Ines Okafor"), builders.case(coach, "Tom Reyes")
    moved, kept = (builders.note(coach, made.case_id, days_ago=days) for days in (3, 2))
    new = wanted()

    for change in (
        lambda: add(coach, kept, "correction", "Five trees.", "Lost count."),
        lambda: move(coach, moved, other),
    ):
        db.session.rollback()
        with reads_recorded(coach):
            copy = make_copy(coach, made.number, new)
        change()
        refuse_record(coach, made, new, copy, "copy_changed")
    copied(coach, made, new)
    assert len(list_disclosures(coach, made.client_id, None, 5).items) == 1


@pytest.mark.slow
def test_no_entry_of_a_copy_says_by_which_way_client_and_coach_were_in_touch(team, copied):
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor")
    builders.note(coach, made.case_id, days_ago=3)
    assign(coach, made)
    with transaction():
        called = NewContact("attempt", method="call", words="No answer.")
        record_contact(coach, lock_client(coach, made.client_id), called)
    given = copied(coach, made, wanted())
    for text in (given["html"], given["record.json"]):
        assert "No answer." in text
        assert "Handout assigned" in text
        for way in ("Phone call", "in the portal", "in person", "video", "modality"):
            assert way not in text
