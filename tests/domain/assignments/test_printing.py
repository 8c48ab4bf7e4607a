"""A client's PDFs: discretion, sealed files and packets."""

from __future__ import annotations

import io
from dataclasses import replace
from uuid import UUID

import pikepdf
import pytest
import sqlalchemy as sa

from caseapp.core import pdf, settings
from caseapp.core.actor import Actor
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout, withdraw
from caseapp.domain.assignments.printing import (
    assignment_pdf,
    case_packet_pdf,
    client_packet_pdf,
    get_packet,
    list_client_packet,
    list_omissions,
)
from caseapp.domain.assignments.queries import (
    get_assignment_record,
    list_assignments,
    lock_assignment,
)
from caseapp.domain.assignments.reading import get_reading_list, get_reading_list_item
from caseapp.domain.assignments.rules import discretion_reasons
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.handouts.library import library
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.practice.operations import update_practice
from caseapp.domain.suitability.schemas import Situation
from tests.domain.practice.test_practice import current_settings
from tests.support import builders, staff
from tests.support.pdf_checks import extract_text, read_outline

CALM, PAUSE, HELP, NIGHTS = (
    "keep-the-day-running",
    "first-days-pause",
    "help-right-now",
    "better-nights",
)
PLAIN = library()[CALM, "en"]
QUIET = library()[HELP, "en"]
KNOWN = Situation(screened=True, safety_known=True)
SAFE = SafeContact(("call", "portal"))


@pytest.mark.parametrize(
    ("handouts", "situation", "safe", "codes"),
    [
        ([PLAIN], KNOWN, SAFE, []),
        ([PLAIN], KNOWN, SafeContact(("post",)), []),
        ([PLAIN], KNOWN, SafeContact(("email", "text")), []),
        ([QUIET], KNOWN, SAFE, ["neutral_title"]),
        ([PLAIN, QUIET], KNOWN, SAFE, ["neutral_title"]),
        ([PLAIN], replace(KNOWN, in_person_only=True), SAFE, ["by_hand_only"]),
        ([PLAIN], replace(KNOWN, flags=frozenset({"violence_flag"})), SAFE, ["by_hand_only"]),
        ([PLAIN], replace(KNOWN, flags=frozenset({"unsafe_delivery"})), SAFE, ["by_hand_only"]),
        ([PLAIN], replace(KNOWN, safety_known=False), SAFE, ["safety_screen_unknown"]),
        (
            [PLAIN],
            Situation(screened=False, safety_known=False),
            SAFE,
            ["safety_screen_unknown"],
        ),
        ([PLAIN], KNOWN, SafeContact(("call", "voicemail")), ["nothing_written"]),
        ([PLAIN], KNOWN, SafeContact(()), ["nothing_written"]),
        ([PLAIN], KNOWN, SafeContact(("in_person", "post")), ["nothing_written"]),
        (
            [QUIET],
            replace(KNOWN, in_person_only=True, safety_known=False),
            SafeContact(("in_person",)),
            ["neutral_title", "by_hand_only"],
        ),
    ],
)
def test_discretion_reasons_decide_whether_a_file_names_the_client(
    handouts, situation, safe, codes
):
    assert [reason.code for reason in discretion_reasons(handouts, situation, safe)] == codes


@pytest.fixture
def coach(app):
    return staff.add("coach")


@pytest.fixture
def made(coach):
    found = builders.case(coach, "Ana Okafor")
    builders.screen(coach, found.client_id)
    return found


def assign(coach, made, slug=CALM, message="Slowly, Ana.", **more):
    with transaction():
        channel = more.pop("channel", "portal")
        return assign_handout(
            coach,
            lock_case(coach, made.case_id),
            slug,
            message=message,
            channel=channel,
            confirmed=True,
            **more,
        )


def printed(coach, made, assignment_id, *, large=False):
    return assignment_pdf(get_assignment_record(coach, assignment_id), large=large, discreet=False)


def client(made):
    return Actor(made.client_id, Role.CLIENT, "Ana", "portal")


def kept():
    return {file.name: file for file in (settings.active().data_dir / "pdf").rglob("*.sealed")}


@pytest.mark.pdf
def test_pdf_names_client_and_coach_on_the_copy_of_staff_only(coach, made):
    shown = get_assignment_record(coach, assign(coach, made, message="Slowly, <b>now</b>."))
    text = extract_text(assignment_pdf(shown, large=False, discreet=False))
    assert "For Ana, from Marta Slowly, <b>now</b>." in text
    assert "Okafor" not in text
    assert "Lindqvist" not in text
    before = set(kept())
    record = get_reading_list_item(client(made), shown.position)
    text = extract_text(assignment_pdf(record, large=False, discreet=True))
    assert "Keeping the day running" in text
    assert [word for word in ("Ana", "Marta", "Slowly") if word in text] == []
    # Nothing in it is about the client, so it is the same file for everybody.
    assert set(kept()) == before


@pytest.mark.pdf
def test_list_omissions_tells_the_coach_what_a_pdf_leaves_out(coach, made):
    plain, quiet = assign(coach, made), assign(coach, made, HELP)
    strange = assign(coach, made, NIGHTS, "You can do it 🙂")
    context = get_case_context(coach, made.case_id)
    told = list_omissions(context, list_assignments(coach, context))
    assert {key: [reason.code for reason in reasons] for key, reasons in told.items()} == {
        plain: [],
        quiet: ["neutral_title"],
        strange: ["missing_glyphs"],
    }
    assert "🙂" in told[strange][0].message
    assert "For Ana" not in extract_text(printed(coach, made, quiet))
    text = extract_text(printed(coach, made, strange))
    assert "For Ana, from Marta" in text
    assert "You can do it" not in text


@pytest.mark.pdf
def test_pdf_leaves_out_an_unprintable_name(coach):
    made = builders.case(coach, "安娜 Weber", preferred_name="安娜")
    builders.screen(coach, made.client_id)
    given = assign(coach, made)
    text = extract_text(printed(coach, made, given))
    assert "Slowly, Ana." in text
    assert "from Marta" not in text


@pytest.mark.pdf
def test_personal_pdf_is_stored_sealed_under_a_neutral_name(coach, made, monkeypatch):
    given, before = assign(coach, made), set(kept())
    content = printed(coach, made, given)
    [name] = set(kept()) - before
    stored = kept()[name].read_bytes()
    assert len(name.partition(".")[0]) == 64
    assert b"%PDF-1.7" not in stored
    monkeypatch.setattr(pdf, "render", lambda *_args, **_more: pytest.fail("it was rendered again"))
    assert printed(coach, made, given) == content
    other = builders.case(coach, "Ana Weber")
    builders.screen(coach, other.client_id)
    monkeypatch.undo()
    printed(coach, other, assign(coach, other))
    assert len(set(kept()) - before) == 2


@pytest.mark.pdf
def test_personal_pdf_is_unreadable_after_the_key_is_destroyed(coach, made):
    given, before = assign(coach, made), set(kept())
    printed(coach, made, given)
    [name] = set(kept()) - before
    with transaction():
        db.session.execute(sa.delete(ClientKey).where(ClientKey.client_id == made.client_id))
    with pytest.raises(NotFound):
        get_reading_list(client(made))
    assert b"%PDF-1.7" not in kept()[name].read_bytes()


@pytest.mark.pdf
def test_anonymous_pdf_is_the_same_file_for_every_client(coach, made):
    before = set(kept())
    printed(coach, made, assign(coach, made, HELP))
    assert set(kept()) == before


@pytest.mark.pdf
def test_pdf_has_no_qr_code_when_the_portal_is_not_safe(coach, app):
    admin = staff.add("admin")
    with transaction():
        update_practice(admin, current_settings(paper_code=True), 1)
    for safe, there in ((SAFE, True), (SafeContact(("call", "post")), False)):
        made = builders.case(coach, safe=safe)
        builders.screen(coach, made.client_id)
        given = assign(coach, made, channel="print")
        assert ("More to read" in extract_text(printed(coach, made, given))) is there


@pytest.mark.pdf
def test_packet_contains_handouts_in_order_of_assignment(coach, made):
    first, second = assign(coach, made), assign(coach, made, NIGHTS, "And this.")
    context = get_case_context(coach, made.case_id)
    pack = get_packet(coach, context, [second, first, second])
    assert [record.id for record in pack.records] == [first, second]
    assert (pack.left_out, pack.omissions) == ((), ())
    content = case_packet_pdf(coach, context, [second, first], large=False)
    assert [title for title, _ in read_outline(content)] == [
        "Your reading",
        "Keeping the day running",
        "When sleep won’t come",
    ]
    text = extract_text(content)
    assert "For Ana, from Marta" in text
    assert text.index("Slowly, Ana.") < text.index("And this.")


def test_packet_lists_blocked_handouts_and_its_pdf_is_refused(coach, made):
    plain, calm = assign(coach, made), assign(coach, made, HELP)
    gone = assign(coach, made, NIGHTS)
    with transaction():
        withdraw(coach, lock_assignment(coach, gone), 1)
    builders.screen(coach, made.client_id, self_harm="concern")
    context = get_case_context(coach, made.case_id)
    pack = get_packet(coach, context, [plain, calm, gone])
    assert [record.id for record in pack.records] == [calm]
    assert {record.id: why[0].code for record, why in pack.left_out} == {
        plain: "hold_open",
        gone: "already_withdrawn",
    }
    assert [reason.code for reason in pack.omissions] == ["neutral_title"]
    with pytest.raises(RuleBroken) as refused:
        case_packet_pdf(coach, context, [plain, calm], large=False)
    assert refused.value.reasons[0].code == "hold_open"
    with pytest.raises(RuleBroken) as refused:
        case_packet_pdf(coach, context, [], large=False)
    assert refused.value.reasons[0].code == "nothing_chosen"


@pytest.mark.pdf
def test_packet_with_a_sensitive_handout_is_anonymous(coach, made):
    plain, quiet = assign(coach, made), assign(coach, made, HELP)
    context = get_case_context(coach, made.case_id)
    text = extract_text(case_packet_pdf(coach, context, [plain, quiet], large=False))
    assert "Ana" not in text
    assert "Marta" not in text
    assert QUIET.title not in text


def test_packet_with_an_assignment_of_another_case_is_not_found(coach, made):
    other = builders.case(coach)
    builders.screen(coach, other.client_id)
    theirs, ours = assign(coach, other), assign(coach, made)
    context = get_case_context(coach, made.case_id)
    for wanted in ([theirs], [ours, theirs], [made.client_id]):
        with pytest.raises(NotFound):
            get_packet(coach, context, wanted)
    with pytest.raises(Forbidden):
        get_packet(client(made), context, [ours])


def test_packet_with_too_many_handouts_is_invalid(coach, made):
    context = get_case_context(coach, made.case_id)
    with pytest.raises(Invalid):
        get_packet(coach, context, [UUID(int=n) for n in range(13)])


@pytest.mark.pdf
def test_client_packet_contains_the_reading_list(coach, made):
    assign(coach, made)
    reader = client(made)
    with pytest.raises(NotFound):
        list_client_packet(reader)
    assign(coach, made, NIGHTS)
    assign(coach, made, PAUSE, channel="print")
    records = list_client_packet(reader)
    assert [record.slug for record in records] == [CALM, NIGHTS]
    content = client_packet_pdf(reader, records)
    text = extract_text(content)
    assert [word for word in ("Ana", "Marta", "Slowly") if word in text] == []
    assert content == client_packet_pdf(reader, records)
    with pikepdf.open(io.BytesIO(content)) as document:
        assert str(document.docinfo["/Title"]) == "Your reading"
    builders.screen(coach, made.client_id, self_harm="concern")
    assert [record.slug for record in get_reading_list(reader)] == [NIGHTS]
    with pytest.raises(NotFound):
        list_client_packet(reader)
