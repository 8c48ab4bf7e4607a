"""What a client's PDFs say about them: the rule of discretion, the sealed files, several sheets as one."""

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
from caseapp.domain.assignments.operations import assign, withdraw
from caseapp.domain.assignments.printing import (
    assignment_pdf,
    case_pack_pdf,
    discretion,
    own_pack,
    own_pack_pdf,
    pack_of,
    unsaid_on,
)
from caseapp.domain.assignments.queries import assignment_shown, assignments_of
from caseapp.domain.assignments.reading import reading, reading_list
from caseapp.domain.assignments.suitability import Situation
from caseapp.domain.cases.queries import case_head
from caseapp.domain.clients.models import ClientKey
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.handouts.library import library
from caseapp.domain.practice.operations import change_practice
from tests.domain.practice.test_practice import settings_now
from tests.support import builders, staff
from tests.support.pdf_checks import outline_of, text_of

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
    ("sheets", "situation", "safe", "codes"),
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
        ([PLAIN], Situation(screened=False, safety_known=False), SAFE, ["safety_screen_unknown"]),
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
def test_a_file_names_somebody_only_where_nothing_speaks_against_it(sheets, situation, safe, codes):
    assert [reason.code for reason in discretion(sheets, situation, safe)] == codes


@pytest.fixture
def coach(app):
    return staff.add("coach")


@pytest.fixture
def made(coach):
    found = builders.case(coach, "Ana Okafor")
    builders.screen(coach, found.client_id)
    return found


def give(coach, made, slug=CALM, line="Slowly, Ana.", **more):
    with transaction():
        channel = more.pop("channel", "portal")
        return assign(coach, made.case_id, slug, line=line, channel=channel, confirmed=True, **more)


def printed(coach, made, assignment_id, *, large=False):
    return assignment_pdf(assignment_shown(coach, assignment_id), large=large, code=True)


def client(made):
    return Actor(made.client_id, Role.CLIENT, "Ana", "portal")


def kept():
    return {file.name: file for file in (settings.active().data_dir / "pdf").rglob("*.sealed")}


@pytest.mark.pdf
def test_staff_and_client_read_for_whom_and_from_whom_it_is(coach, made):
    shown = assignment_shown(coach, give(coach, made))
    for record in (shown, reading(client(made), shown.place)):
        text = text_of(assignment_pdf(record, large=False, code=False))
        assert "For Ana, from Marta Slowly, Ana." in text
        assert "Okafor" not in text
        assert "Lindqvist" not in text


@pytest.mark.pdf
def test_what_is_left_out_is_told_to_the_coach(coach, made):
    plain, quiet = give(coach, made), give(coach, made, HELP)
    strange = give(coach, made, NIGHTS, "You can do it 🙂")
    head = case_head(coach, made.case_id)
    told = unsaid_on(head, assignments_of(coach, head))
    assert {key: [reason.code for reason in reasons] for key, reasons in told.items()} == {
        plain: [],
        quiet: ["neutral_title"],
        strange: ["missing_glyphs"],
    }
    assert "🙂" in told[strange][0].message
    assert "For Ana" not in text_of(printed(coach, made, quiet))
    text = text_of(printed(coach, made, strange))
    assert "For Ana, from Marta" in text
    assert "You can do it" not in text


@pytest.mark.pdf
def test_a_name_that_cannot_be_printed_is_left_out(coach):
    made = builders.case(coach, "安娜 Weber", called="安娜")
    builders.screen(coach, made.client_id)
    given = give(coach, made)
    text = text_of(printed(coach, made, given))
    assert "Slowly, Ana." in text
    assert "from Marta" not in text


@pytest.mark.pdf
def test_a_personal_pdf_is_kept_sealed_under_a_name_that_tells_nothing(coach, made, monkeypatch):
    given, before = give(coach, made), set(kept())
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
    printed(coach, other, give(coach, other))
    assert len(set(kept()) - before) == 2


@pytest.mark.pdf
def test_a_destroyed_key_leaves_a_file_that_nobody_can_read(coach, made):
    given, before = give(coach, made), set(kept())
    printed(coach, made, given)
    [name] = set(kept()) - before
    with transaction():
        db.session.execute(sa.delete(ClientKey).where(ClientKey.client_id == made.client_id))
    with pytest.raises(NotFound):
        reading_list(client(made))
    assert b"%PDF-1.7" not in kept()[name].read_bytes()


@pytest.mark.pdf
def test_a_sheet_without_anything_personal_is_the_same_file_for_everybody(coach, made):
    before = set(kept())
    printed(coach, made, give(coach, made, HELP))
    assert set(kept()) == before


@pytest.mark.pdf
def test_a_code_is_left_out_where_the_portal_is_not_safe(coach, app):
    admin = staff.add("admin")
    with transaction():
        change_practice(admin, settings_now(paper_code=True), 1)
    for safe, there in ((SAFE, True), (SafeContact(("call", "post")), False)):
        made = builders.case(coach, safe=safe)
        builders.screen(coach, made.client_id)
        given = give(coach, made, channel="print")
        assert ("More to read" in text_of(printed(coach, made, given))) is there
    without = assignment_pdf(assignment_shown(coach, given), large=False, code=False)
    assert "More to read" not in text_of(without)


@pytest.mark.pdf
def test_several_sheets_are_one_pdf_in_the_order_in_which_they_were_given(coach, made):
    first, second = give(coach, made), give(coach, made, NIGHTS, "And this.")
    head = case_head(coach, made.case_id)
    pack = pack_of(coach, head, [second, first, second])
    assert [record.id for record in pack.records] == [first, second]
    assert (pack.left_out, pack.unsaid) == ((), ())
    content = case_pack_pdf(coach, head, [second, first], large=False)
    assert [title for title, _ in outline_of(content)] == [
        "Your reading",
        "Keeping the day running",
        "When sleep will not come",
    ]
    text = text_of(content)
    assert "For Ana, from Marta" in text
    assert text.index("Slowly, Ana.") < text.index("And this.")


def test_what_may_not_go_out_is_left_out_and_said_and_refused_to_who_did_not_look(coach, made):
    plain, calm = give(coach, made), give(coach, made, HELP)
    gone = give(coach, made, NIGHTS)
    with transaction():
        withdraw(coach, gone, 1)
    builders.screen(coach, made.client_id, self_harm="concern")
    head = case_head(coach, made.case_id)
    pack = pack_of(coach, head, [plain, calm, gone])
    assert [record.id for record in pack.records] == [calm]
    assert {record.id: why[0].code for record, why in pack.left_out} == {
        plain: "hold_open",
        gone: "already_withdrawn",
    }
    assert [reason.code for reason in pack.unsaid] == ["neutral_title"]
    with pytest.raises(RuleBroken) as refused:
        case_pack_pdf(coach, head, [plain, calm], large=False)
    assert refused.value.reasons[0].code == "hold_open"
    with pytest.raises(RuleBroken) as refused:
        case_pack_pdf(coach, head, [], large=False)
    assert refused.value.reasons[0].code == "nothing_chosen"


@pytest.mark.pdf
def test_one_sensitive_sheet_makes_the_whole_pack_nameless(coach, made):
    plain, quiet = give(coach, made), give(coach, made, HELP)
    head = case_head(coach, made.case_id)
    text = text_of(case_pack_pdf(coach, head, [plain, quiet], large=False))
    assert "Ana" not in text
    assert "Marta" not in text
    assert QUIET.title not in text


def test_a_pack_holds_nothing_of_another_case(coach, made):
    other = builders.case(coach)
    builders.screen(coach, other.client_id)
    theirs, ours = give(coach, other), give(coach, made)
    head = case_head(coach, made.case_id)
    for wanted in ([theirs], [ours, theirs], [made.client_id]):
        with pytest.raises(NotFound):
            pack_of(coach, head, wanted)
    with pytest.raises(Forbidden):
        pack_of(client(made), head, [ours])


def test_a_pack_has_its_limit(coach, made):
    head = case_head(coach, made.case_id)
    with pytest.raises(Invalid):
        pack_of(coach, head, [UUID(int=n) for n in range(13)])


@pytest.mark.pdf
def test_a_client_has_all_that_may_be_read_now_as_one_pdf(coach, made):
    give(coach, made)
    reader = client(made)
    with pytest.raises(NotFound):
        own_pack(reader)
    give(coach, made, NIGHTS)
    give(coach, made, PAUSE, channel="print")
    records = own_pack(reader)
    assert [record.slug for record in records] == [CALM, NIGHTS]
    content = own_pack_pdf(reader, records)
    assert "For Ana, from Marta" in text_of(content)
    assert content == own_pack_pdf(reader, records)
    with pikepdf.open(io.BytesIO(content)) as document:
        assert str(document.docinfo["/Title"]) == "Your reading"
    builders.screen(coach, made.client_id, self_harm="concern")
    assert [record.slug for record in reading_list(reader)] == [NIGHTS]
    with pytest.raises(NotFound):
        own_pack(reader)
