"""What a client wrote can be read, saved as a file, unshared and deleted, also when the handout has left their list."""

from __future__ import annotations

import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.assignments.rules import NOT_AVAILABLE
from caseapp.domain.worksheets.queries import get_shared_worksheet
from tests.domain.worksheets import sample_files
from tests.portal.portal_handout import (
    CANARY,
    PAGE,
    assign,
    assignment_id_at,
    form,
    text,
    upload,
    upload_ids,
    write,
)
from tests.support import builders

FILE = f"{PAGE}/answers-01.txt"
WRITTEN = "/portal/written"


def withdrawn(coach, _found):
    with transaction():
        withdraw(coach, lock_assignment(coach, assignment_id_at()), 1)


def suspended(coach, found):
    builders.screen(coach, found.client_id, fear_at_home="urgent")


leaves = pytest.mark.parametrize("leave", [withdrawn, suspended])


@pytest.mark.slow
@leaves
def test_answers_in_a_handout_that_has_left_are_read_saved_unshared_and_deleted(
    coach, reader, leave
):
    visitor, found = reader
    write(visitor, "share", what_happened=CANARY)
    leave(coach, found)
    assert CANARY in text(visitor.get(PAGE))
    assert visitor.get(FILE).status_code == 200
    assert PAGE in text(visitor.get(WRITTEN))
    page = visitor.get(PAGE)
    assert visitor.post(f"{PAGE}/unshare", data=form(page, f"{PAGE}/unshare")).status_code == 303
    assert get_shared_worksheet(coach, assignment_id_at()).shared is None
    page = visitor.get(PAGE)
    answer = visitor.post(f"{PAGE}/delete", data=form(page, f"{PAGE}/delete"))
    assert (answer.status_code, answer.location) == (303, WRITTEN)
    assert "Deleted." in text(visitor.get(WRITTEN))
    assert visitor.get(PAGE).status_code == 409
    assert visitor.get(FILE).status_code == 404
    assert PAGE not in text(visitor.get(WRITTEN))


@pytest.mark.slow
@leaves
@pytest.mark.parametrize("action", ["save", "share", "draft"])
def test_words_typed_while_the_handout_leaves_are_saved(coach, reader, leave, action):
    visitor, found = reader
    fields = form(visitor.get(PAGE), f"{PAGE}/save") | {"answer_what_happened": CANARY}
    leave(coach, found)
    answer = visitor.post(f"{PAGE}/{action}", data=fields)
    assert answer.status_code == (200 if action == "draft" else 303)
    page = text(visitor.get(PAGE))
    assert CANARY in page
    assert NOT_AVAILABLE.message in page


@pytest.mark.slow
@leaves
def test_page_of_a_handout_that_has_left_has_nothing_of_it_but_what_was_written(
    coach, reader, leave
):
    visitor, found = reader
    before = text(visitor.get(PAGE))
    write(visitor, what_happened=CANARY)
    leave(coach, found)
    page = text(visitor.get(PAGE))
    handout = sample_files.handout(sample_files.PAUSE)
    answered = [field.id for field in handout.fields if f'name="answer_{field.id}"' in page]
    assert answered == ["what_happened"]
    for gone in ("<h2>", "I have read this", "reading-01.pdf", f"{PAGE}/upload"):
        assert gone in before
        assert gone not in page.partition('<section class="card-calm')[0]
    assert visitor.get(f"{PAGE}/reading-01.pdf").status_code == 409
    assert visitor.post(f"{PAGE}/read", data={}).status_code == 400


@pytest.mark.slow
@leaves
def test_conflict_in_a_handout_that_has_left_shows_both_texts(coach, reader, leave):
    visitor, found = reader
    fields = form(visitor.get(PAGE), f"{PAGE}/save") | {"answer_what_happened": CANARY}
    write(visitor, what_happened="In another window.")
    leave(coach, found)
    answer = visitor.post(f"{PAGE}/save", data=fields)
    assert answer.status_code == 412
    assert CANARY in text(answer)
    assert "In another window." in text(answer)


@pytest.mark.slow
@leaves
def test_first_words_that_are_refused_after_the_handout_left_are_shown_again(coach, reader, leave):
    visitor, found = reader
    fields = form(visitor.get(PAGE), f"{PAGE}/save") | {
        "answer_what_happened": CANARY,
        "answer_body_signs": "No such option",
    }
    leave(coach, found)
    answer = visitor.post(f"{PAGE}/save", data=fields)
    assert answer.status_code == 422
    assert CANARY in text(answer)


@leaves
@pytest.mark.pdf
def test_file_in_a_handout_that_has_left_is_deleted_by_its_client(coach, reader, leave):
    visitor, found = reader
    upload(visitor, sample_files.scan())
    [file_id] = upload_ids(coach, sent=False)
    leave(coach, found)
    assert PAGE in text(visitor.get(WRITTEN))
    page = visitor.get(PAGE)
    remove = f"{PAGE}/files/{file_id}/remove"
    assert visitor.post(remove, data=form(page, remove)).status_code == 303
    assert upload_ids(coach, sent=False) == []
    assert visitor.get(PAGE).status_code == 409


@leaves
@pytest.mark.pdf
def test_filled_in_pdf_is_read_after_the_handout_left(coach, reader, leave):
    visitor, found = reader
    page = visitor.get(PAGE)
    blank = visitor.get(f"{PAGE}/reading-01.pdf").data
    leave(coach, found)
    data = sample_files.filled(blank, {"what_happened": CANARY})
    assert upload(visitor, data, page=page).status_code == 303
    assert CANARY in text(visitor.get(PAGE))


@pytest.mark.slow
@leaves
def test_unsent_words_lead_back_to_a_handout_that_has_left(coach, reader, leave):
    visitor, found = reader
    fields = form(visitor.get(PAGE), f"{PAGE}/save") | {"answer_what_happened": CANARY}
    assert visitor.post("/portal/drafts", data=fields).status_code == 204
    leave(coach, found)
    assert PAGE in text(visitor.get("/portal"))
    assert CANARY in text(visitor.get(PAGE))


@pytest.mark.slow
def test_saved_copy_is_a_neutral_text_file_with_every_answer(coach, reader):
    visitor, found = reader
    assign(coach, found, sample_files.LIMITS)
    write(visitor, what_happened=f"{CANARY}\n<b>twice</b>", body_signs=["tight chest"])
    answer = visitor.get(FILE)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="answers-01.txt"'
    assert answer.mimetype == "text/plain"
    content = answer.get_data(as_text=True)
    handout = sample_files.handout(sample_files.PAUSE)
    labels = {field.id: field.label for field in handout.fields}
    assert content.startswith(handout.neutral_title)
    assert f"{labels['what_happened']}\n{CANARY}\n<b>twice</b>\n" in content.replace("\r\n", "\n")
    assert "- tight chest" in content
    assert len([label for label in labels.values() if label in content]) == 2
    assert "Marta" not in content
    assert visitor.get(f"{PAGE}/answers-1.txt").status_code == 404
    assert visitor.get("/portal/h/2/answers-02.txt").status_code == 404
    assert visitor.get("/portal/h/9/answers-09.txt").status_code == 404


@pytest.mark.slow
def test_what_you_wrote_is_linked_from_every_page_and_says_what_is_shared(reader):
    visitor, _ = reader
    assert f'href="{WRITTEN}"' in text(visitor.get("/portal"))
    assert "Nothing yet." in text(visitor.get(WRITTEN))
    write(visitor, what_happened=CANARY)
    page = text(visitor.get(WRITTEN))
    assert "Only you can see it" in page
    assert CANARY not in page
    write(visitor, "share", what_happened=CANARY)
    assert "Shared with Marta on" in text(visitor.get(WRITTEN))


@pytest.mark.slow
def test_delete_after_a_newer_save_deletes_nothing(reader):
    visitor, _ = reader
    write(visitor, what_happened=CANARY)
    fields = form(visitor.get(PAGE), f"{PAGE}/delete")
    write(visitor, what_happened="Written since.")
    answer = visitor.post(f"{PAGE}/delete", data=fields)
    assert answer.status_code == 412
    assert "Written since." in text(answer)
    assert "isn’t saved yet" not in text(answer).partition("data-conflict")[0]
    assert "Written since." in text(visitor.get(PAGE))
