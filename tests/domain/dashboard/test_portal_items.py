"""What comes from the portal leads Today until a person has opened it: shared answers, files, wrong PINs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard import portal_items, queries
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.worksheets.operations import (
    delete_answers,
    delete_upload,
    mark_answers_opened,
    mark_upload_opened,
    send_upload,
    share_answers,
    stop_sharing,
    store_upload,
)
from caseapp.domain.worksheets.queries import get_shared_answers, lock_worksheet
from tests.domain.clients.portal_visitor import choose_pin, enter_pin, redeem
from tests.domain.worksheets import sample_files
from tests.support import builders, portal_client

pytestmark = pytest.mark.both

ANSWERS = {"what_happened": "I cannot go on. I have the pills."}


def assign(coach, made):
    builders.screen(coach, made.client_id)
    with transaction():
        return assign_handout(
            coach,
            lock_case(coach, made.case_id),
            sample_files.PAUSE,
            message="",
            channel="portal",
            confirmed=True,
        )


@pytest.fixture
def made(team):
    return builders.case(team["coach"], "Ines Okafor")


@pytest.fixture
def assignment_id(team, made):
    return assign(team["coach"], made)


@pytest.fixture
def client(made):
    return portal_client.reader(made.client_id, "Ines")


def run(change, client, *args):
    with transaction():
        return change(client, lock_worksheet(client, 1), *args)


def items(actor):
    db.session.rollback()
    return [
        (item.kind, item.client, item.number, item.assignment_id)
        for item in get_today(actor).portal_items
    ]


@pytest.mark.slow
def test_shared_answers_are_on_today_until_somebody_has_opened_them(
    team, made, assignment_id, client
):
    coach, expected = team["coach"], [("shared", "Ines Okafor", made.number, assignment_id)]
    assert items(coach) == []
    run(share_answers, client, ANSWERS, 0)
    assert items(coach) == expected
    assert items(team["supervisor"]) == expected
    assert items(team["coach2"]) == []
    shared = get_shared_answers(coach, assignment_id)
    assert items(coach) == expected
    mark_answers_opened(coach, shared)
    assert items(coach) == items(team["supervisor"]) == []


@pytest.mark.slow
def test_answers_that_are_shared_again_are_unread_again(team, made, assignment_id, client):
    coach = team["coach"]
    with at(now() - timedelta(minutes=2)):
        run(share_answers, client, {"what_happened": "Rang."}, 0)
    first = get_shared_answers(coach, assignment_id)
    run(share_answers, client, ANSWERS, 2)
    mark_answers_opened(coach, first)
    assert len(items(coach)) == 1
    mark_answers_opened(coach, get_shared_answers(coach, assignment_id))
    assert items(coach) == []
    with at(now() + timedelta(minutes=2)):
        run(share_answers, client, ANSWERS, 3)
    assert len(items(coach)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("end", [stop_sharing, delete_answers])
def test_answers_that_are_no_longer_shared_leave_today(team, assignment_id, client, end):
    run(share_answers, client, ANSWERS, 0)
    run(end, client, *([2] if end is delete_answers else []))
    assert items(team["coach"]) == []


@pytest.mark.slow
def test_sent_file_is_on_today_until_somebody_has_opened_it(team, made, assignment_id, client):
    coach = team["coach"]
    kept = [run(store_upload, client, b"%PDF-1.7 a scan", "no_form") for _ in range(2)]
    assert items(coach) == []
    for upload_id in kept:
        run(send_upload, client, upload_id)
    run(share_answers, client, ANSWERS, 0)
    # One line for each worksheet, which somebody who reads the record by emergency access doesn't open for the coach.
    expected, reader = [("shared", "Ines Okafor", made.number, assignment_id)], team["coach2"]
    assert items(coach) == expected
    builders.read_in_emergency(reader, made.number)
    mark_answers_opened(reader, get_shared_answers(reader, assignment_id))
    mark_upload_opened(reader, kept[0])
    assert items(coach) == expected
    mark_answers_opened(coach, get_shared_answers(coach, assignment_id))
    mark_upload_opened(coach, kept[0])
    assert len(items(coach)) == 1
    mark_upload_opened(coach, kept[1])
    assert items(coach) == []
    run(delete_upload, client, kept[0])
    assert items(coach) == []


@pytest.mark.slow
@pytest.mark.parametrize("invited_again", [True, False])
def test_many_wrong_pins_are_on_today_for_a_week_or_until_new_codes_are_made(team, invited_again):
    coach = team["coach"]
    with at(now() - timedelta(minutes=1)):
        found = portal_client.invited(coach, "Ines Okafor")
    choose_pin(redeem(found.card_code), found.start_code)
    for attempt in range(5):
        assert items(coach) == [], attempt
        with pytest.raises(Invalid):
            enter_pin(redeem(found.card_code), "000000")
    assert [item[:2] for item in items(coach)] == [("guessed", "Ines Okafor")]
    assert items(team["coach2"]) == []
    if invited_again:
        with transaction():
            invite_client(coach, lock_client(coach, found.client_id), "lost")
        assert items(coach) == []
    with at(now() + timedelta(days=7)):
        assert items(coach) == []


@pytest.mark.slow
def test_portal_items_are_the_oldest_first_whatever_they_say(team, monkeypatch):
    coach = team["coach"]
    with at(now() - timedelta(days=1)):
        for number, name in enumerate(("Ines Okafor", "Jonas Weber", "Daniel Roth")):
            made = builders.case(coach, name)
            assign(coach, made)
            client = portal_client.reader(made.client_id, "")
            with at(now() + timedelta(hours=number)):
                words = ANSWERS if number == 2 else {"what_happened": "A good day."}
                run(share_answers, client, words, 0)
    assert [item[1] for item in items(coach)] == ["Ines Okafor", "Jonas Weber", "Daniel Roth"]
    for module in (portal_items, queries):
        monkeypatch.setattr(module, "MAX_PORTAL_ITEMS", 2)
    today = get_today(coach)
    assert (len(today.portal_items), today.more_portal_items) == (2, True)
