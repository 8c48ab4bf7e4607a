from __future__ import annotations

import io
from html import unescape

import pytest
import sqlalchemy as sa
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from caseapp.assignments.operations import assign, withdraw
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.forms import LARGEST_FILE
from caseapp.core.scanning import HARMFUL
from caseapp.core.transaction import transaction
from caseapp.http.pages import long_day
from caseapp.http.uploads import ROOM_FOR_THE_REST
from caseapp.worksheets.queries import desk_of
from caseapp.worksheets.schemas import KEPT_FOR
from tests import build, people
from tests.desk import Desk, _Reader
from tests.people import csrf
from tests.reader import BANNED, inside
from tests.together import together
from tests.worksheets import sheets

PAGE = "/portal/h/1"
CANARY = "Quetzalcoatl"


@pytest.fixture
def coach(app):
    return people.add("coach")


@pytest.fixture
def reader(app, coach):
    """Give a client inside the portal with one sheet to write in."""
    visitor, found = inside(app, coach, "Ines Okafor", partner_name="Paul Okafor")
    build.screen(coach, found.client_id)
    give(coach, found, sheets.PAUSE)
    return visitor, found


def give(coach, found, slug, language="en"):
    with transaction():
        return assign(
            coach,
            found.case_id,
            slug,
            line="",
            channel="portal",
            confirmed=True,
            language=language,
        )


def text(answer):
    return unescape(answer.get_data(as_text=True))


def form(page, action):
    """Read a form as it stands on a page, with what it would send untouched."""
    reader = _Reader(PAGE)
    reader.feed(page.get_data(as_text=True))
    [found] = [one for one in reader.forms if one.action == action]
    return found.fields


def write(visitor, action="save", *, start=None, **answers):
    """Send the sheet's form with some answers changed."""
    page = visitor.get(PAGE)
    fields = form(page, f"{PAGE}/save") | {f"answer_{k}": v for k, v in answers.items()}
    if start is not None:
        fields["version"] = str(start)
    return visitor.post(f"{PAGE}/{action}", data=fields)


def upload(visitor, data, *, path=PAGE, page=None, **more):
    fields = form(page or visitor.get(path), f"{path}/upload")
    fields = {name: values[0] for name, values in fields.items()} | more
    fields["file"] = FileStorage(io.BytesIO(data), "../../etc/passwd.pdf")
    # Encoded here, since the test client would leave a temporary file open.
    boundary, body = encode_multipart(fields)
    kind = f"multipart/form-data; boundary={boundary}"
    return visitor.post(f"{path}/upload", data=body, content_type=kind)


def the_assignment(place=1):
    db.session.rollback()
    query = sa.text("SELECT id FROM assignment WHERE place = :place")
    found = db.session.execute(query.columns(id=sa.Uuid()), {"place": place}).scalar_one()
    db.session.rollback()
    return found


def test_a_sheet_is_a_form_that_works_without_scripts(reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    fields = form(page, f"{PAGE}/save")
    wanted = {
        f"answer_{one.id}"
        for one in sheets.handout(sheets.PAUSE).fields
        if one.type != "checkboxes"
    }
    assert wanted <= fields.keys()
    assert "Nothing written yet" in text(page)
    answer = write(
        visitor, what_happened=f"Two lines\r\n{sheets.ABROAD}", body_signs=["shaky", "numb"]
    )
    assert (answer.status_code, answer.location) == (303, PAGE)
    page = visitor.get(PAGE)
    assert "Saved, for you alone." in text(page)
    assert form(page, f"{PAGE}/save")["answer_what_happened"] == [f"Two lines\n{sheets.ABROAD}"]
    assert form(page, f"{PAGE}/save")["answer_body_signs"] == ["shaky", "numb"]


def test_the_page_says_that_nobody_watches_and_whom_to_ring(reader):
    visitor, _ = reader
    page = text(visitor.get(PAGE))
    before, _, _ = page.partition('<form id="sheet"')
    assert "Marta does not see this while you write." in before
    assert 'href="tel:999"' in before
    assert "Samaritans" in before
    assert "<title>Reading list</title>" in page
    assert 'autocomplete="off"' in page


def test_markup_in_an_answer_stays_text(reader):
    visitor, _ = reader
    write(visitor, what_happened="</textarea><script>alert(1)</script>", twenty_minutes='"><b>x')
    page = visitor.get(PAGE).get_data(as_text=True)
    assert "<script>alert(1)" not in page
    assert "<b>x" not in page
    assert "&lt;/textarea&gt;&lt;script&gt;" in page


def test_a_long_line_has_room_on_the_page_and_stays_one_line(reader):
    visitor, _ = reader
    lines = [one for one in sheets.handout(sheets.PAUSE).fields if one.type == "text"]
    roomy = next(one for one in lines if one.max_length > 100)
    page = text(visitor.get(PAGE))
    assert f'id="answer_{roomy.id}" name="answer_{roomy.id}" rows="2"' in page
    written = {roomy.id: " One call,\r\n\r\nthen tea. \u2028Then\tbed."}
    assert write(visitor, **written).status_code == 303
    saved = form(visitor.get(PAGE), f"{PAGE}/save")[f"answer_{roomy.id}"]
    assert saved == ["One call, then tea. Then\tbed."]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_line_from_a_pdf_stays_one_line_too(reader, end):
    visitor, _ = reader
    line = next(one for one in sheets.handout(sheets.PAUSE).fields if one.type == "text")
    broken = {line.id: f"One call,{end}then tea.", "what_happened": f"It rained.{end}We rowed."}
    data = sheets.filled(sheets.blank(sheets.PAUSE), broken)
    for _ in range(2):
        # The same file again contradicts nothing.
        assert upload(visitor, data).status_code == 303
    saved = form(visitor.get(PAGE), f"{PAGE}/save")
    assert saved[f"answer_{line.id}"] == ["One call, then tea."]
    assert saved["answer_what_happened"][0].splitlines()[-2:] == ["It rained.", "We rowed."]


def test_an_older_window_is_told_and_every_word_stays(reader):
    visitor, _ = reader
    write(visitor, what_happened="From the phone.")
    answer = write(visitor, start=0, what_happened="From the laptop.")
    assert answer.status_code == 412
    assert "saved in another window or on another device" in text(answer)
    assert form(answer, f"{PAGE}/save")["answer_what_happened"] == ["From the laptop."]
    assert form(visitor.get(PAGE), f"{PAGE}/save")["answer_what_happened"] == ["From the phone."]
    fields = form(answer, f"{PAGE}/save")
    assert visitor.post(f"{PAGE}/save", data=fields).status_code == 303
    assert form(visitor.get(PAGE), f"{PAGE}/save")["answer_what_happened"] == ["From the laptop."]


def test_autosave_answers_in_json(reader):
    visitor, _ = reader
    answer = write(visitor, "draft", what_happened="Rang.")
    assert answer.status_code == 200
    assert answer.json["version"] == 1
    assert set(answer.json) == {"version", "saved"}
    stale = write(visitor, "draft", start=0, what_happened="Older.")
    assert (stale.status_code, stale.json["code"], stale.json["version"]) == (409, "stale", 1)
    wrong = write(visitor, "draft", what_happened="x" * 4001)
    assert wrong.status_code == 422
    assert list(wrong.json["fields"]) == ["answer_what_happened"]
    assert "x" * 50 not in text(wrong)


def test_what_does_not_fit_is_named_beside_its_field(reader):
    visitor, _ = reader
    answer = write(visitor, twenty_minutes="x" * 4001, what_happened="This stays.")
    assert answer.status_code == 422
    assert 'href="#answer_twenty_minutes"' in text(answer)
    assert "This stays." in text(answer)
    assert write(visitor, no_such_field="x").status_code == 422
    assert write(visitor, start="often").status_code == 422


def test_a_spanish_sheet_says_in_spanish_what_does_not_fit(coach, reader):
    visitor, found = reader
    give(coach, found, "better-nights", "es")
    path = "/portal/h/2"
    fields = form(visitor.get(path), f"{path}/save")
    told = "Acorta este texto a 160 caracteres como máximo."
    answer = visitor.post(f"{path}/save", data=fields | {"answer_one_change": "x" * 161})
    assert answer.status_code == 422
    assert f'<ul><li><a href="#answer_one_change">{told}</a></li></ul>' in text(answer)
    assert f'<span class="visually-hidden">Error: </span>{told}</p>' in text(answer)
    assert "Shorten" not in text(answer)
    strange = visitor.post(f"{path}/save", data=fields | {"answer_one_change": "a\x00b"})
    assert "Quita los caracteres que no son letras." in text(strange)
    assert "Take out" not in text(strange)


def test_only_sharing_shows_the_coach_anything_anywhere(app, coach, reader):
    visitor, found = reader
    desk = Desk(app, coach)
    assignment_id = the_assignment()
    case = f"/case/{desk_number(found)}"
    pages = [
        "/today",
        case,
        f"{case}/handouts",
        f"{case}/handouts/{assignment_id}/answers",
        f"{case}/details",
        "/follow-ups",
    ]
    write(visitor, what_happened=CANARY)
    upload(visitor, b"%PDF-1.4\n" + CANARY.encode())
    assert not any(CANARY in desk.text(page) for page in pages)
    assert "Nothing shared" in desk.text(pages[3])
    assert "Shared with you" not in desk.text(pages[2])
    assert write(visitor, "share", what_happened=CANARY).status_code == 303
    assert [page for page in pages if CANARY in desk.text(page)] == [pages[3]]
    assert "Shared with you on" in desk.text(pages[2])
    write(visitor, what_happened="Written after that.")
    assert "Written after that." not in desk.text(pages[3])
    assert "What you changed since then is still yours alone." in text(visitor.get(PAGE))
    token = {"csrf_token": csrf(visitor.get(PAGE))}
    assert visitor.post(f"{PAGE}/unshare", data=token).status_code == 303
    assert not any(CANARY in desk.text(page) for page in pages)
    assert "Written after that." in text(visitor.get(PAGE))


def desk_number(found):
    db.session.rollback()
    number = db.session.execute(
        sa.text("SELECT number FROM coaching_case WHERE id = :id").bindparams(
            sa.bindparam("id", found.case_id, type_=sa.Uuid())
        )
    ).scalar_one()
    db.session.rollback()
    return number


def test_an_empty_sheet_is_not_shared(reader):
    visitor, _ = reader
    answer = write(visitor, "share")
    assert answer.status_code == 409
    assert "There is nothing to share yet." in text(answer)


def test_a_withdrawn_sheet_takes_nothing_and_says_so_neutrally(coach, reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    fields = form(page, f"{PAGE}/save") | {"answer_what_happened": CANARY}
    with transaction():
        withdraw(coach, the_assignment(), 1)
    for action in ("save", "share", "draft", "unshare"):
        answer = visitor.post(f"{PAGE}/{action}", data=fields)
        assert answer.status_code == 409
        assert "has taken this sheet back" in text(answer)
        assert CANARY not in text(answer)
    answer = upload(visitor, sheets.scan(), page=page)
    assert answer.status_code == 409
    assert desk_of(coach, the_assignment()).shared is None


def test_anothers_place_is_not_there(app, coach, reader):
    visitor, _ = reader
    other, theirs = inside(app, coach, "Jonas Weber")
    build.screen(coach, theirs.client_id)
    token = {"csrf_token": csrf(other.get("/portal")), "version": "0", "once": "x"}
    for action in ("save", "share", "draft", "unshare", "upload"):
        assert other.post(f"{PAGE}/{action}", data=token).status_code == 404
    kept = upload(visitor, sheets.scan())
    assert kept.status_code == 303
    [file_id] = kept_files(coach, sent=False)
    give(coach, theirs, sheets.PAUSE)
    for action in ("send", "remove"):
        answer = other.post(f"{PAGE}/files/{file_id}/{action}", data=token)
        assert answer.status_code == 404
    assert kept_files(coach, sent=False) == [file_id]


def kept_files(coach, *, sent):
    db.session.rollback()
    query = sa.text("SELECT id FROM returned_file WHERE (sent_at IS NOT NULL) = :sent")
    rows = db.session.scalars(query.columns(id=sa.Uuid()), {"sent": sent}).all()
    db.session.rollback()
    return rows


def test_a_filled_in_pdf_comes_back_as_answers(reader):
    visitor, _ = reader
    pdf = visitor.get(f"{PAGE}/reading-01.pdf").data
    data = sheets.filled(
        pdf, {"what_happened": sheets.ABROAD, "body_signs_1": True, "strongest_urge": "beg"}
    )
    answer = upload(visitor, data)
    assert (answer.status_code, answer.location) == (303, PAGE)
    page = visitor.get(PAGE)
    assert "Your answers were read from the file" in text(page)
    fields = form(page, f"{PAGE}/save")
    assert fields["answer_what_happened"] == [sheets.ABROAD]
    assert fields["answer_body_signs"] == ["tight chest"]
    assert fields["answer_strongest_urge"] == ["beg"]


def test_what_is_typed_here_is_never_overwritten_by_a_file(reader):
    visitor, _ = reader
    write(visitor, what_happened="Typed here.", twenty_minutes="Kept as it is.")
    pdf = visitor.get(f"{PAGE}/reading-01.pdf").data
    data = sheets.filled(pdf, {"what_happened": "From paper.", "strongest_urge": "beg"})
    answer = upload(visitor, data)
    assert answer.status_code == 409
    assert "This is what your file says. It is not saved yet." in text(answer)
    assert "Saved so far: <span>Typed here.</span>" in text(answer)
    fields = form(answer, f"{PAGE}/save")
    assert fields["answer_what_happened"] == ["From paper."]
    assert fields["answer_twenty_minutes"] == ["Kept as it is."]
    saved = form(visitor.get(PAGE), f"{PAGE}/save")
    assert saved["answer_what_happened"] == ["Typed here."]
    assert visitor.post(f"{PAGE}/save", data=fields).status_code == 303
    saved = form(visitor.get(PAGE), f"{PAGE}/save")
    assert saved["answer_what_happened"] == ["From paper."]


def test_what_a_file_says_too_long_is_named_and_nothing_is_saved(reader):
    visitor, _ = reader
    pdf = visitor.get(f"{PAGE}/reading-01.pdf").data
    answer = upload(visitor, sheets.filled(pdf, {"twenty_minutes": "x" * 4001}))
    assert answer.status_code == 422
    assert 'href="#answer_twenty_minutes"' in text(answer)
    assert "Nothing written yet" in text(visitor.get(PAGE))


def test_a_day_that_may_be_two_is_asked_for(coach, reader):
    visitor, found = reader
    give(coach, found, sheets.LIMITS)
    path = "/portal/h/2"
    data = sheets.filled(sheets.blank(sheets.LIMITS), {"look_again": "4/5/2030", "topic": "money"})
    answer = upload(visitor, data, path=path)
    assert answer.status_code == 422
    assert "Choose the day: “4/5/2030” cannot be read as just one." in text(answer)
    fields = form(answer, f"{path}/save")
    assert (fields["answer_look_again"], fields["answer_topic"]) == ([""], ["money"])


def test_another_sheets_file_is_named_by_its_outside_title(coach, reader):
    visitor, found = reader
    unknown = upload(visitor, sheets.blank(sheets.LIMITS))
    assert unknown.status_code == 303
    assert "not those of this sheet" in text(visitor.get(PAGE))
    give(coach, found, "help-right-now")
    answer = upload(visitor, sheets.blank("help-right-now"))
    assert answer.status_code == 422
    assert "This file belongs to “Numbers to keep”." in text(answer)
    assert len(kept_files(coach, sent=False)) == 1


def test_a_scan_goes_to_the_coach_only_when_the_client_sends_it(app, coach, reader):
    visitor, found = reader
    desk = Desk(app, coach)
    page = f"/case/{desk_number(found)}/handouts/{the_assignment()}"
    data = sheets.scan()
    assert upload(visitor, data).status_code == 303
    shown = visitor.get(PAGE)
    assert "There are no form fields in this file" in text(shown)
    assert "Nobody but you can see that it is here." in text(shown)
    assert f"It is kept until {long_day(now() + KEPT_FOR)} and then removed" in text(shown)
    assert "Sent back" not in desk.text(f"{page}/answers")
    [file_id] = kept_files(coach, sent=False)
    assert desk.get(f"{page}/files/{file_id}").status_code == 404
    token = {"csrf_token": csrf(shown)}
    assert visitor.post(f"{PAGE}/files/{file_id}/send", data=token).status_code == 303
    assert "Sent back" in desk.text(f"{page}/answers")
    answer = desk.get(f"{page}/files/{file_id}")
    assert answer.data == data
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="returned-01.pdf"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].endswith("; sandbox")
    assert answer.headers["Cache-Control"] == "no-store"
    assert visitor.post(f"{PAGE}/files/{file_id}/remove", data=token).status_code == 303
    assert desk.get(f"{page}/files/{file_id}").status_code == 404


def test_a_file_sent_twice_is_kept_once_and_there_is_an_end_of_room(coach, reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    for _ in range(2):
        assert upload(visitor, sheets.scan(), page=page).status_code == 303
    assert len(kept_files(coach, sent=False)) == 1
    for _ in range(4):
        assert upload(visitor, sheets.scan()).status_code == 303
    answer = upload(visitor, sheets.scan())
    assert answer.status_code == 409
    assert "There is room for 5 files" in text(answer)


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 422, "Choose a file first."),
        (b"\xff\xd8\xff a photo", 422, "This is not a PDF."),
        (b"%PDF-" + b"x" * LARGEST_FILE, 422, "larger than 5 MB"),
        (b"%PDF-" + b"x" * (LARGEST_FILE + ROOM_FOR_THE_REST), 413, "up to 5 MB"),
    ],
    ids=["nothing", "photo", "large", "enormous"],
)
def test_what_is_not_taken_says_why_and_is_not_kept(coach, reader, data, status, words):
    visitor, _ = reader
    answer = upload(visitor, data)
    assert answer.status_code == status
    assert words in text(answer)
    assert kept_files(coach, sent=False) == []


def test_a_file_that_the_scanner_refuses_is_neither_read_nor_kept(coach, reader, scanner):
    visitor, _ = reader
    page = visitor.get(PAGE)
    scanner("false")
    for data in (sheets.scan(), sheets.filled(sheets.blank(sheets.PAUSE), {})):
        answer = upload(visitor, data, page=page)
        assert answer.status_code == 422
        assert HARMFUL in text(answer)
    assert kept_files(coach, sent=False) == []


def test_a_locked_file_is_not_kept(coach, reader):
    visitor, _ = reader
    answer = upload(visitor, sheets.locked(sheets.scan()))
    assert answer.status_code == 422
    assert "locked with a password" in text(answer)
    assert kept_files(coach, sent=False) == []


def test_very_many_parts_are_refused(reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    token = csrf(page)
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n\r\n' % number
        for number in range(60_000)
    )
    head = (
        b'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n%s\r\n' % token.encode()
    )
    answer = visitor.post(
        f"{PAGE}/upload",
        data=head + parts + b"--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )
    assert answer.status_code == 413
    assert visitor.get(PAGE).status_code == 200


def test_every_other_address_keeps_the_small_limit(app, reader):
    visitor, _ = reader
    large = b"csrf_token=x&answer_what_happened=" + b"x" * (3 * 2**20)
    kind = "application/x-www-form-urlencoded"
    assert visitor.post(f"{PAGE}/save", data=large, content_type=kind).status_code == 413
    stranger = app.test_client()
    assert stranger.post(f"{PAGE}/upload", data=large, content_type=kind).status_code == 413


def test_the_app_answers_while_a_bomb_is_taken_apart(app, reader):
    visitor, _ = reader
    bomb = sheets.bomb()
    page = visitor.get(PAGE)
    tasks = [
        lambda: upload(visitor, bomb, page=page),
        lambda: app.test_client().get("/livez"),
        lambda: app.test_client().get("/portal/safety"),
    ]
    found = together(app, len(tasks), lambda number: tasks[number]())
    assert found[0].status_code in {303, 422}
    assert [answer.status_code for answer in found[1:]] == [200, 200]
    assert visitor.get(PAGE).status_code == 200


def test_the_words_are_in_no_log_line_and_no_address(reader, logged):
    visitor, _ = reader
    write(visitor, what_happened=CANARY)
    write(visitor, "draft", what_happened=f"{CANARY} again")
    write(visitor, "share", what_happened=f"{CANARY} again")
    upload(visitor, b"%PDF-1.4\n" + CANARY.encode())
    assert "portal_writing.save_now" in logged()
    assert CANARY not in logged()


def test_headings_names_and_addresses_tell_a_stranger_nothing(reader):
    visitor, _ = reader
    page = visitor.get(PAGE)
    reader_ = _Reader(PAGE)
    reader_.feed(page.get_data(as_text=True))
    told = [one.action for one in reader_.forms] + [
        name for one in reader_.forms for name in one.fields
    ]
    assert any(action.endswith("/upload") for action in told)
    assert not BANNED.search(" ".join(told))
