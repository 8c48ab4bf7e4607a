from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from marshmallow import ValidationError

from caseapp.core.actor import Actor
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout, withdraw
from caseapp.domain.assignments.reading import get_reading_list_item
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.dashboard.queries import timeline
from caseapp.domain.handouts.labels import LABELS
from caseapp.domain.worksheets import operations
from caseapp.domain.worksheets.operations import (
    delete_upload,
    keep_upload,
    save_answers,
    send_upload,
    share_answers,
    stop_sharing,
)
from caseapp.domain.worksheets.queries import (
    get_client_worksheet,
    get_shared_answers,
    get_shared_summaries,
    get_shared_worksheet,
    get_upload_content,
)
from caseapp.domain.worksheets.schemas import FIELD_PREFIX, build_answers_schema
from tests.domain.worksheets import sample_files
from tests.support import builders
from tests.support.concurrency import together

pytestmark = pytest.mark.both

ANSWERS = {"what_happened": "Rang twice.", "body_signs": ["tight chest"]}
SCAN = b"%PDF-1.7 a scan"


@pytest.fixture
def given(team):
    """Give a client one sheet in the portal."""
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id)
    with transaction():
        row = assign_handout(
            coach, made.case_id, sample_files.PAUSE, message="", channel="portal", confirmed=True
        )
    return made, row


@pytest.fixture
def client(given):
    return Actor(given[0].client_id, Role.CLIENT, "Ines", "portal")


def do(change, *args):
    with transaction():
        return change(*args)


def paper(client):
    db.session.rollback()
    return get_client_worksheet(client, get_reading_list_item(client, 1))


def logged(what="answers"):
    db.session.rollback()
    log = sa.text(
        "SELECT details FROM audit_event WHERE action = 'portal.write' ORDER BY occurred_at, id"
    )
    return [str(row.details) for row in db.session.execute(log)]


def test_answers_are_kept_and_the_same_ones_are_not_saved_twice(client):
    assert paper(client).version == 0
    assert do(save_answers, client, 1, ANSWERS, 0) == 1
    assert do(save_answers, client, 1, ANSWERS, 0) == 1
    assert (paper(client).answers, paper(client).version) == (ANSWERS, 1)
    assert do(save_answers, client, 1, {}, 1) == 2
    assert paper(client).answers == {}
    assert len(logged()) == 2


def test_an_older_window_overwrites_nothing(client):
    do(save_answers, client, 1, ANSWERS, 0)
    with pytest.raises(Stale):
        do(save_answers, client, 1, {"what_happened": "From elsewhere."}, 0)
    with pytest.raises(Stale):
        do(share_answers, client, 1, {"what_happened": "From elsewhere."}, 0)
    assert paper(client).answers == ANSWERS
    assert paper(client).shared_at is None


def test_a_version_of_answers_that_never_were_is_stale(client):
    with pytest.raises(Stale):
        do(save_answers, client, 1, ANSWERS, 7)
    assert paper(client).version == 0


def test_first_words_from_two_devices_at_once_make_one_sheet(app, client):
    def save(number):
        with transaction():
            return save_answers(client, 1, {"what_happened": f"Device {number}"}, 0)

    db.session.remove()
    found = together(app, 3, save)
    assert [result for result in found if not isinstance(result, Stale)] == [1]
    assert paper(client).version == 1


def test_sharing_is_the_only_way_a_coach_sees_anything(team, given, client):
    coach, (made, row) = team["coach"], given
    do(save_answers, client, 1, ANSWERS, 0)
    assert get_shared_worksheet(coach, row).shared is None
    assert get_shared_summaries(coach, [row]) == {}
    with pytest.raises(NotFound):
        get_shared_answers(coach, row)
    do(share_answers, client, 1, ANSWERS, 1)
    found, _ = get_shared_answers(coach, row)
    told = {answer.id: (answer.text, answer.chosen) for answer in found.answers}
    assert told["what_happened"] == ("Rang twice.", ())
    assert told["body_signs"] == ("", ("tight chest",))
    assert [answer.id for answer in found.answers] == [
        field.id for field in sample_files.handout(sample_files.PAUSE).fields
    ]
    do(save_answers, client, 1, {"what_happened": "Later words."}, paper(client).version)
    assert paper(client).changed_since
    again, _ = get_shared_answers(coach, row)
    assert again == found
    do(stop_sharing, client, 1)
    do(stop_sharing, client, 1)
    with pytest.raises(NotFound):
        get_shared_answers(coach, row)
    assert paper(client).answers == {"what_happened": "Later words."}
    assert made.client_id == client.id


def test_only_those_who_may_see_the_client_read_what_is_shared(team, given, client):
    do(share_answers, client, 1, ANSWERS, 0)
    row = given[1]
    assert get_shared_answers(team["supervisor"], row)[0].answers
    with pytest.raises(NotFound):
        get_shared_answers(team["coach2"], row)
    with pytest.raises(Forbidden):
        get_shared_answers(team["admin"], row)
    with pytest.raises(Forbidden):
        do(save_answers, team["coach"], 1, ANSWERS, 0)


def test_nothing_to_share_is_said(client):
    with pytest.raises(RuleBroken) as found:
        do(share_answers, client, 1, {}, 0)
    assert found.value.reasons[0].code == "nothing_to_share"


def test_the_log_tells_that_something_happened_and_nothing_more(given, client):
    do(share_answers, client, 1, ANSWERS, 0)
    do(stop_sharing, client, 1)
    kept = do(keep_upload, client, 1, SCAN, "no_form")
    do(send_upload, client, 1, kept)
    do(delete_upload, client, 1, kept)
    found = logged()
    for word in ("saved", "shared", "unshared", "upload_kept", "upload_sent", "upload_deleted"):
        assert sum(f"'{word}'" in row or f'"{word}"' in row for row in found) == 1
    assert not any("Rang" in row or "what_happened" in row for row in found)


@pytest.mark.parametrize("end", ["withdrawn", "suspended"])
def test_what_stops_reading_stops_writing_too(team, given, client, end):
    coach, (made, row) = team["coach"], given
    do(share_answers, client, 1, ANSWERS, 0)
    kept = do(keep_upload, client, 1, SCAN, "no_form")
    if end == "withdrawn":
        with transaction():
            version = db.session.execute(sa.text("SELECT version FROM assignment")).scalar_one()
            withdraw(coach, row, version)
    else:
        builders.screen(coach, made.client_id, fear_at_home="concern")
        assert get_case_context(coach, made.case_id).safety.hold == "safety"
    change: tuple
    for change in (
        (save_answers, client, 1, {}, 2),
        (share_answers, client, 1, {"what_happened": "More."}, 2),
        (stop_sharing, client, 1),
        (keep_upload, client, 1, SCAN, "no_form"),
        (send_upload, client, 1, kept),
        (delete_upload, client, 1, kept),
    ):
        with pytest.raises(RuleBroken) as found:
            do(*change)
        assert [reason.code for reason in found.value.reasons] == [end]
    assert get_shared_answers(coach, row)[0].answers


def test_a_place_that_is_not_there_is_not_found(team, client):
    other = builders.client(team["coach"], "Jonas Weber")
    stranger = Actor(other, Role.CLIENT, "Jonas", "portal")
    with pytest.raises(NotFound):
        do(save_answers, stranger, 1, ANSWERS, 0)
    with pytest.raises(NotFound):
        do(save_answers, client, 2, ANSWERS, 0)


def test_a_file_is_the_clients_until_it_is_sent(team, given, client):
    coach, row = team["coach"], given[1]
    kept = do(keep_upload, client, 1, SCAN, "no_form")
    assert get_shared_worksheet(coach, row).uploads == ()
    with pytest.raises(NotFound):
        get_upload_content(coach, row, kept)
    do(send_upload, client, 1, kept)
    assert get_upload_content(coach, row, kept) == SCAN
    assert get_shared_summaries(coach, [row])[row].upload_count == 1
    with pytest.raises(NotFound):
        get_upload_content(team["coach2"], row, kept)
    do(delete_upload, client, 1, kept)
    with pytest.raises(NotFound):
        get_upload_content(coach, row, kept)
    with pytest.raises(NotFound):
        do(delete_upload, client, 1, kept)


def test_there_is_room_for_five_files_and_for_so_many_bytes(client, monkeypatch):
    for _ in range(operations.MAX_UPLOADS_PER_WORKSHEET):
        do(keep_upload, client, 1, SCAN, "no_form")
    with pytest.raises(RuleBroken) as found:
        do(keep_upload, client, 1, SCAN, "no_form")
    assert found.value.reasons[0].code == "no_room"
    do(delete_upload, client, 1, paper(client).uploads[0].id)
    monkeypatch.setattr(operations, "MAX_UPLOAD_BYTES_PER_CLIENT", len(SCAN) * 5 - 1)
    with pytest.raises(RuleBroken):
        do(keep_upload, client, 1, SCAN, "no_form")
    assert len(paper(client).uploads) == 4


def test_the_timeline_tells_what_was_shared_and_sent_and_nothing_of_the_rest(team, given, client):
    coach, (made, row) = team["coach"], given

    def told():
        db.session.rollback()
        page = timeline(
            coach, get_case_context(coach, made.case_id), kind="handout", cursor=None, limit=50
        )
        return [(item.title, item.link_kind) for item in page.items]

    do(save_answers, client, 1, ANSWERS, 0)
    kept = do(keep_upload, client, 1, SCAN, "no_form")
    assert told() == [("Handout given", "assignment")]
    do(share_answers, client, 1, ANSWERS, 1)
    do(send_upload, client, 1, kept)
    assert told() == [
        ("Sent back a PDF", "answers"),
        ("Shared a sheet with you", "answers"),
        ("Handout given", "assignment"),
    ]
    do(stop_sharing, client, 1)
    assert ("Shared a sheet with you", "answers") not in told()
    assert row is not None


@pytest.mark.parametrize(
    ("slug", "sent"),
    [
        (sample_files.PAUSE, {"what_happened": "x" * 4001}),
        (sample_files.PAUSE, {"body_signs": ["something else"]}),
        (sample_files.LIMITS, {"topic": "something else"}),
        (sample_files.LIMITS, {"look_again": "soon"}),
        (sample_files.LIMITS, {"no_such_field": "x"}),
    ],
)
def test_what_a_field_does_not_take_is_named_by_the_field(slug, sent):
    [(name, value)] = sent.items()
    with pytest.raises(ValidationError) as found:
        build_answers_schema(sample_files.handout(slug)).load({f"{FIELD_PREFIX}{name}": value})
    assert list(found.value.messages) == [f"{FIELD_PREFIX}{name}"]


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            "en",
            {
                "topic": "Choose from what stands there.",
                "look_again": "Choose the day: “4/5” cannot be read as just one.",
                "my_limit": "Shorten this to {most} characters.",
            },
        ),
        (
            "es",
            {
                "topic": "Elige entre las opciones que aparecen aquí.",
                "look_again": "Elige el día: “4/5” no se entiende como una sola fecha.",
                "my_limit": "Acorta este texto a {most} caracteres como máximo.",
            },
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_sheets_language(language, told):
    handout = replace(sample_files.handout(sample_files.LIMITS), language=language)
    most = next(field.max_length for field in handout.fields if field.id == "my_limit")
    sent = {"topic": "another", "look_again": "4/5", "my_limit": "x" * (most + 1)}
    with pytest.raises(ValidationError) as found:
        build_answers_schema(handout).load(
            {f"{FIELD_PREFIX}{name}": value for name, value in sent.items()}
        )
    assert found.value.messages == {
        f"{FIELD_PREFIX}{name}": [words.format(most=most)] for name, words in told.items()
    }


@pytest.mark.parametrize("language", ["en", "es"])
def test_too_many_ticks_are_told_in_the_sheets_language_too(language):
    handout = replace(sample_files.handout(sample_files.PAUSE), language=language)
    field = next(field for field in handout.fields if field.type == "checkboxes")
    with pytest.raises(ValidationError) as found:
        build_answers_schema(handout).load(
            {f"{FIELD_PREFIX}{field.id}": [*field.options, field.options[0]]}
        )
    assert found.value.messages == {f"{FIELD_PREFIX}{field.id}": [LABELS[language].choose]}


def test_blanks_are_no_answers_and_line_ends_are_one_kind():
    loaded = build_answers_schema(sample_files.handout(sample_files.LIMITS)).load(
        {
            f"{FIELD_PREFIX}my_limit": " One\r\ntwo\rthree ",
            f"{FIELD_PREFIX}if_crossed": "  ",
            f"{FIELD_PREFIX}look_again": "2030-05-14",
        }
    )
    assert loaded == {"my_limit": "One\ntwo\nthree", "look_again": "2030-05-14"}
