"""Worksheet responses and uploads: save, share, send, delete, and what the coach sees."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from marshmallow import ValidationError

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.i18n import in_language
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout, withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.assignments.reading import get_reading_list_item
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.dashboard.timeline import list_timeline
from caseapp.domain.dashboard.timeline_filter import TimelineFilter
from caseapp.domain.worksheets import rules
from caseapp.domain.worksheets.operations import (
    delete_answers,
    delete_upload,
    save_answers,
    send_upload,
    share_answers,
    stop_sharing,
    store_upload,
)
from caseapp.domain.worksheets.queries import (
    get_client_worksheet,
    get_shared_answers,
    get_shared_summaries,
    get_shared_worksheet,
    get_upload_content,
    list_own_worksheets,
    lock_worksheet,
)
from caseapp.domain.worksheets.schemas import FIELD_PREFIX, build_answers_schema
from caseapp.http.request_parsing import flatten_errors
from tests.domain.worksheets import sample_files
from tests.support import builders, portal_client
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

ANSWERS = {"what_happened": "Rang twice.", "body_signs": [1]}
SCAN = b"%PDF-1.7 a scan"


def run(change, client, position, *args):
    with transaction():
        return change(client, lock_worksheet(client, position), *args)


def load_worksheet(client):
    db.session.rollback()
    return get_client_worksheet(client, get_reading_list_item(client, 1))


def audit_details(what="answers"):
    db.session.rollback()
    log = sa.text(
        "SELECT details FROM audit_event WHERE action = 'portal.write' ORDER BY occurred_at, id"
    )
    return [str(row.details) for row in db.session.execute(log)]


def test_save_of_unchanged_answers_keeps_the_version(client):
    assert load_worksheet(client).version == 0
    assert run(save_answers, client, 1, ANSWERS, 0) == 1
    assert run(save_answers, client, 1, ANSWERS, 0) == 1
    assert (load_worksheet(client).answers, load_worksheet(client).version) == (ANSWERS, 1)
    assert run(save_answers, client, 1, {}, 1) == 2
    assert load_worksheet(client).answers == {}
    assert len(audit_details()) == 2


def test_save_or_share_with_an_old_version_is_stale(client):
    run(save_answers, client, 1, ANSWERS, 0)
    with pytest.raises(Stale):
        run(save_answers, client, 1, {"what_happened": "From elsewhere."}, 0)
    with pytest.raises(Stale):
        run(share_answers, client, 1, {"what_happened": "From elsewhere."}, 0)
    assert load_worksheet(client).answers == ANSWERS
    assert load_worksheet(client).shared_at is None


def test_first_save_with_a_version_is_stale(client):
    with pytest.raises(Stale):
        run(save_answers, client, 1, ANSWERS, 7)
    assert load_worksheet(client).version == 0


def test_first_save_from_several_devices_at_once_creates_one_response(app, client):
    def save(number):
        with transaction():
            return save_answers(
                client, lock_worksheet(client, 1), {"what_happened": f"Device {number}"}, 0
            )

    db.session.remove()
    found = run_concurrently(app, 3, save)
    assert [result for result in found if not isinstance(result, Stale)] == [1]
    assert load_worksheet(client).version == 1


def test_shared_answers_are_a_copy_and_end_with_stop_sharing(team, assigned, client):
    coach, (made, row) = team["coach"], assigned
    run(save_answers, client, 1, ANSWERS, 0)
    assert get_shared_worksheet(coach, row).shared is None
    assert get_shared_summaries(coach, [row]) == {}
    with pytest.raises(NotFound):
        get_shared_answers(coach, row)
    run(share_answers, client, 1, ANSWERS, 1)
    found = get_shared_answers(coach, row)
    by_id = {answer.id: (answer.text, answer.chosen) for answer in found.answers}
    assert by_id["what_happened"] == ("Rang twice.", ())
    assert by_id["body_signs"] == ("", ("tight chest",))
    assert [answer.id for answer in found.answers] == [
        field.id for field in sample_files.handout(sample_files.PAUSE).fields
    ]
    run(save_answers, client, 1, {"what_happened": "Later words."}, load_worksheet(client).version)
    assert load_worksheet(client).changed_since
    again = get_shared_answers(coach, row)
    assert again == found
    run(stop_sharing, client, 1)
    run(stop_sharing, client, 1)
    with pytest.raises(NotFound):
        get_shared_answers(coach, row)
    assert load_worksheet(client).answers == {"what_happened": "Later words."}
    assert made.client_id == client.id


def test_shared_answers_are_readable_only_by_those_who_see_the_client(team, assigned, client):
    run(share_answers, client, 1, ANSWERS, 0)
    row = assigned[1]
    assert get_shared_answers(team["supervisor"], row).answers
    with pytest.raises(NotFound):
        get_shared_answers(team["coach2"], row)
    with pytest.raises(Forbidden):
        get_shared_answers(team["admin"], row)
    with pytest.raises(Forbidden):
        run(save_answers, team["coach"], 1, ANSWERS, 0)


def test_share_without_answers_is_rejected(client):
    with pytest.raises(RuleBroken) as found:
        run(share_answers, client, 1, {}, 0)
    assert found.value.reasons[0].code == "nothing_to_share"


def test_audit_of_worksheet_changes_has_no_content(assigned, client):
    run(share_answers, client, 1, ANSWERS, 0)
    run(stop_sharing, client, 1)
    kept = run(store_upload, client, 1, SCAN, "no_form")
    run(send_upload, client, 1, kept)
    run(delete_upload, client, 1, kept)
    found = audit_details()
    for word in ("saved", "shared", "unshared", "upload_kept", "upload_sent", "upload_deleted"):
        assert sum(f"'{word}'" in row or f'"{word}"' in row for row in found) == 1
    assert not any("Rang" in row or "what_happened" in row for row in found)


@pytest.mark.parametrize("end", ["withdrawn", "suspended"])
def test_answers_of_a_withdrawn_or_suspended_worksheet_stay_their_clients(
    team, assigned, client, end
):
    coach, (made, row) = team["coach"], assigned
    run(save_answers, client, 1, ANSWERS, 0)
    kept = run(store_upload, client, 1, SCAN, "no_form")
    if end == "withdrawn":
        with transaction():
            version = db.session.execute(sa.text("SELECT version FROM assignment")).scalar_one()
            withdraw(coach, lock_assignment(coach, row), version)
    else:
        builders.screen(coach, made.client_id, fear_at_home="concern")
        assert get_case_context(coach, made.case_id).safety.hold == "safety"
    more = ANSWERS | {"what_happened": "More."}
    assert run(save_answers, client, 1, more, 1) == 2
    [(_, written)] = list_own_worksheets(client)
    assert (written.answers, len(written.uploads)) == (more, 1)
    run(share_answers, client, 1, more, 2)
    assert get_shared_answers(coach, row).answers
    run(stop_sharing, client, 1)
    assert get_shared_worksheet(coach, row).shared is None
    run(store_upload, client, 1, SCAN, "no_form")
    run(send_upload, client, 1, kept)
    run(delete_upload, client, 1, kept)
    run(delete_answers, client, 1, 4)
    [(_, left)] = list_own_worksheets(client)
    assert (left.answers, len(left.uploads)) == ({}, 1)


def test_delete_answers_removes_the_shared_copy_too(team, assigned, client):
    run(share_answers, client, 1, ANSWERS, 0)
    version = load_worksheet(client).version
    with pytest.raises(Stale):
        run(delete_answers, client, 1, version - 1)
    assert load_worksheet(client).answers == ANSWERS
    run(delete_answers, client, 1, version)
    run(delete_answers, client, 1, version)
    assert load_worksheet(client).version == 0
    assert get_shared_worksheet(team["coach"], assigned[1]).shared is None
    assert sum("deleted" in row for row in audit_details()) == 1
    with pytest.raises(Stale):
        run(save_answers, client, 1, ANSWERS, version)


def test_own_worksheets_are_those_with_answers_or_files_newest_first(team, assigned, client):
    coach, (made, _) = team["coach"], assigned
    for slug in (sample_files.LIMITS, sample_files.REASONS, "better-nights"):
        with transaction():
            assign_handout(
                coach, lock_case(coach, made.case_id), slug, message="", channel="portal", confirmed=True
            )  # fmt: skip
    with at(now() - timedelta(hours=2)):
        run(save_answers, client, 1, ANSWERS, 0)
        run(save_answers, client, 2, {"a": "b"}, 0)
    run(save_answers, client, 2, {}, 1)
    with at(now() - timedelta(hours=1)):
        run(store_upload, client, 3, SCAN, "no_form")
    assert [record.position for record, _ in list_own_worksheets(client)] == [3, 1]
    other = builders.case(coach, "Jonas Weber")
    assert list_own_worksheets(portal_client.reader(other.client_id, "Jonas")) == []


def test_save_at_an_unknown_position_is_not_found(team, client):
    other = builders.client(team["coach"], "Jonas Weber")
    stranger = portal_client.reader(other, "Jonas")
    with pytest.raises(NotFound):
        run(save_answers, stranger, 1, ANSWERS, 0)
    with pytest.raises(NotFound):
        run(save_answers, client, 2, ANSWERS, 0)


def test_upload_content_is_readable_only_between_sending_and_deletion(team, assigned, client):
    coach, row = team["coach"], assigned[1]
    kept = run(store_upload, client, 1, SCAN, "no_form")
    assert get_shared_worksheet(coach, row).uploads == ()
    with pytest.raises(NotFound):
        get_upload_content(coach, row, kept)
    run(send_upload, client, 1, kept)
    assert get_upload_content(coach, row, kept) == SCAN
    assert get_shared_summaries(coach, [row])[row].upload_count == 1
    with pytest.raises(NotFound):
        get_upload_content(team["coach2"], row, kept)
    run(delete_upload, client, 1, kept)
    with pytest.raises(NotFound):
        get_upload_content(coach, row, kept)
    with pytest.raises(NotFound):
        run(delete_upload, client, 1, kept)


def test_keep_upload_beyond_the_limits_is_rejected(client, monkeypatch):
    for _ in range(rules.MAX_UPLOADS_PER_WORKSHEET):
        run(store_upload, client, 1, SCAN, "no_form")
    with pytest.raises(RuleBroken) as found:
        run(store_upload, client, 1, SCAN, "no_form")
    assert found.value.reasons[0].code == "no_room"
    run(delete_upload, client, 1, load_worksheet(client).uploads[0].id)
    monkeypatch.setattr(rules, "MAX_UPLOAD_BYTES_PER_CLIENT", len(SCAN) * 5 - 1)
    with pytest.raises(RuleBroken):
        run(store_upload, client, 1, SCAN, "no_form")
    assert len(load_worksheet(client).uploads) == 4


def test_timeline_shows_only_shared_answers_and_sent_uploads(team, assigned, client):
    coach, (made, row) = team["coach"], assigned

    def timeline_titles():
        db.session.rollback()
        context, kinds = get_case_context(coach, made.case_id), frozenset({"handout", "file"})
        page = list_timeline(coach, context, TimelineFilter(kinds), cursor=None, limit=50)
        return [(item.title, item.link_kind) for item in page.items]

    run(save_answers, client, 1, ANSWERS, 0)
    kept = run(store_upload, client, 1, SCAN, "no_form")
    assert timeline_titles() == [("Handout assigned", "assignment")]
    run(share_answers, client, 1, ANSWERS, 1)
    run(send_upload, client, 1, kept)
    assert timeline_titles() == [
        ("PDF sent back", "answers"),
        ("Worksheet shared", "answers"),
        ("Handout assigned", "assignment"),
    ]
    run(stop_sharing, client, 1)
    assert ("Worksheet shared", "answers") not in timeline_titles()
    assert row is not None


@pytest.mark.parametrize(
    ("slug", "sent"),
    [
        (sample_files.PAUSE, {"what_happened": "x" * 4001}),
        (sample_files.PAUSE, {"body_signs": ["something else"]}),
        (sample_files.LIMITS, {"topic": "something else"}),
        (sample_files.LIMITS, {"topic": [0]}),
        (sample_files.LIMITS, {"no_such_field": "x"}),
    ],
)
def test_answers_schema_with_invalid_answer_names_the_field(slug, sent):
    [(name, value)] = sent.items()
    with pytest.raises(ValidationError) as found:
        build_answers_schema(sample_files.handout(slug)).load({f"{FIELD_PREFIX}{name}": value})
    assert list(found.value.messages) == [f"{FIELD_PREFIX}{name}"]


@pytest.mark.parametrize(
    ("language", "messages"),
    [
        (
            "en-GB",
            {
                "topic": "Choose one of the options.",
                "my_limit": "Shorten this to {most} characters.",
            },
        ),
        (
            "es",
            {
                "topic": "Elige entre las opciones que aparecen aquí.",
                "my_limit": "Acorta este texto a {most} caracteres como máximo.",
            },
        ),
    ],
)
def test_answers_schema_errors_are_in_the_readers_language(language, messages):
    handout = sample_files.handout(sample_files.LIMITS)
    most = next(field.longest for field in handout.fields if field.id == "my_limit")
    sent = {"topic": ["another"], "my_limit": "x" * (most + 1)}
    with pytest.raises(ValidationError) as found:
        build_answers_schema(handout).load(
            {f"{FIELD_PREFIX}{name}": value for name, value in sent.items()}
        )
    with in_language(language):
        assert flatten_errors(found.value.messages) == {
            f"{FIELD_PREFIX}{name}": [text.format(most=most)] for name, text in messages.items()
        }


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("en-GB", "Choose one of the options."),
        ("es", "Elige entre las opciones que aparecen aquí."),
    ],
)
def test_answers_schema_with_too_many_ticks_fails_in_the_readers_language(language, message):
    handout = sample_files.handout(sample_files.PAUSE)
    field = next(field for field in handout.fields if field.kind == "ticks")
    with pytest.raises(ValidationError) as found:
        build_answers_schema(handout).load(
            {f"{FIELD_PREFIX}{field.id}": [*range(1, len(field.items) + 1), 1]}
        )
    with in_language(language):
        assert flatten_errors(found.value.messages) == {f"{FIELD_PREFIX}{field.id}": [message]}


def test_answers_schema_drops_blanks_and_normalizes_line_endings():
    loaded = build_answers_schema(sample_files.handout(sample_files.LIMITS)).load(
        {
            f"{FIELD_PREFIX}my_limit": " One\r\ntwo\rthree ",
            f"{FIELD_PREFIX}if_crossed": "  ",
            f"{FIELD_PREFIX}look_again": "2030-05-14",
        }
    )
    assert loaded == {"my_limit": "One\ntwo\nthree", "look_again": "2030-05-14"}
