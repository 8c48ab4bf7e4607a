from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.transaction import transaction
from caseapp.domain.cases.evidence import Evidence, pick_evidence
from caseapp.domain.cases.queries import CaseEventRecord, get_case_context, lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.contacts.operations import record_contact
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.dashboard.schemas import MAX_TEXT_LENGTH, shorten
from caseapp.domain.dashboard.timeline import list_timeline
from caseapp.domain.dashboard.timeline_filter import EVENT_KINDS, EVERYTHING, TimelineFilter
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.practice.queries import local_day, today
from caseapp.domain.safety_plans.codes import EXIT, SAFETY
from caseapp.domain.safety_plans.operations import record_review
from caseapp.domain.safety_plans.queries import lock_plan
from caseapp.domain.safety_plans.schemas import NewReview
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.queries import lock_hold, lock_screening
from caseapp.domain.screening.schemas import NewException
from caseapp.domain.suitability.operations import allow_handout
from tests.domain.dashboard import bulk_rows
from tests.support import builders, followups, safety_plans, staff

pytestmark = pytest.mark.both
COACH = uuid4()


def load_timeline(actor, made, kind=None, limit=4, **days):
    context, found, cursor = get_case_context(actor, made.case_id), [], None
    filters = TimelineFilter(frozenset([kind] if kind else EVENT_KINDS), **days)
    while True:
        page = list_timeline(actor, context, filters, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def test_timeline_contains_all_event_kinds(team):
    coach = team["coach"]
    case = builders.case(coach)
    builders.note(coach, case.case_id, days_ago=1)
    with transaction():
        new = NewContact("cancelled", cancelled_by="client", words="She has a cold.")
        record_contact(coach, lock_client(coach, case.client_id), new)
    builders.screen(coach, case.client_id, fear_at_home=2, comment="Asked in the car.")
    with transaction():
        task = create_followup(
            coach, lock_client(coach, case.client_id), NewFollowUp("Ring on Tuesday", now())
        )
    followups.complete(coach, task, "reached", "She is well.")
    found = load_timeline(coach, case)
    assert {item.title for item in found} == {
        "Case opened",
        "Session",
        "Cancelled session",
        "Screening",
        "Safety hold opened",
        "Ring on Tuesday",
    }
    by_kind = {item.kind: item for item in found}
    assert by_kind["session"].text == "Slept six hours."
    assert by_kind["session"].byline == f"{coach.name}, video, 50 min"
    assert by_kind["contact"].text == "Cancelled by the client. She has a cold."
    assert by_kind["screening"].levels["fear_at_home"] == 2
    assert by_kind["screening"].text == "Asked in the car."
    assert by_kind["hold"].text == "Fear at home at concern."
    assert by_kind["followup"].text == "She is well."
    assert by_kind["followup"].badge == "Reached"
    assert by_kind["stage"].byline == coach.name


def test_draft_is_in_its_authors_timeline_only(team):
    coach = team["coach"]
    case = builders.case(coach)
    builders.draft(coach, case.case_id)
    [draft] = load_timeline(coach, case, "session")
    assert draft.badge == "Draft"
    assert load_timeline(team["supervisor"], case, "session") == []
    with pytest.raises(NotFound):
        load_timeline(team["coach2"], case)


@pytest.mark.slow
def test_timeline_pages_have_no_gaps_or_repeats(team):
    coach = team["coach"]
    case = builders.case(coach)
    bulk_rows.history(coach, case, 7)
    at_once = list_timeline(
        coach, get_case_context(coach, case.case_id), EVERYTHING, cursor=None, limit=200
    )
    found = load_timeline(coach, case, limit=3)
    assert [(i.id, i.occurred_at) for i in found] == [(i.id, i.occurred_at) for i in at_once.items]
    assert len(found) == 7 * 10 + 1
    assert [i.occurred_at for i in found] == sorted((i.occurred_at for i in found), reverse=True)
    assert len({(i.id, i.title) for i in found}) == len(found)


@pytest.mark.parametrize("kind", [*sorted({*EVENT_KINDS} - {"file", "coach"})])
def test_timeline_filter_shows_one_kind(team, kind):
    coach = team["coach"]
    case = builders.case(coach)
    bulk_rows.history(coach, case, 3)
    found = load_timeline(coach, case, kind)
    assert {item.kind for item in found} == {kind}
    assert len(found) == (
        3
        if kind in {"session", "contact", "screening", "plan", "followup"}
        else 4
        if kind == "stage"
        else 6
    )


def test_timeline_with_an_unknown_cursor_is_invalid(team):
    coach = team["coach"]
    context = get_case_context(coach, builders.case(coach).case_id)
    with pytest.raises(Invalid):
        list_timeline(coach, context, EVERYTHING, cursor="made-up", limit=5)


@pytest.mark.slow
def test_timeline_between_two_days_is_that_of_all_days_without_the_others(team):
    coach = team["coach"]
    case = builders.case(coach)
    for days in range(5):
        builders.note(coach, case.case_id, days_ago=days)
    builders.screen(coach, case.client_id, days_ago=2, sleep="concern")
    every = load_timeline(coach, case)
    first, last = today() - timedelta(days=3), today() - timedelta(days=1)
    for since, until in ((first, last), (first, None), (None, last), (last, last)):
        expected = [
            item
            for item in every
            if (since is None or local_day(item.occurred_at) >= since)
            and (until is None or local_day(item.occurred_at) <= until)
        ]
        assert load_timeline(coach, case, limit=2, since=since, until=until) == expected
        assert expected


def test_a_move_shows_the_evidence_that_was_given_with_it():
    moved = CaseEventRecord(
        uuid4(), "moved", "steady", "understand", now(), COACH, "", None, "", ""
    )
    given = Evidence("Sleeps.", "Six hours.", now(), COACH)
    others = [
        replace(given, attested_by=uuid4()),
        replace(given, attested_at=given.attested_at - timedelta(minutes=2)),
        replace(given, attested_at=given.attested_at + timedelta(minutes=2)),
    ]
    moved = replace(moved, occurred_at=given.attested_at + timedelta(seconds=1))
    assert pick_evidence(moved, [*others, given]) == (given,)
    assert pick_evidence(replace(moved, kind="closed"), [given]) == ()


def test_shorten_cuts_between_words():
    text = "word " * 100
    assert shorten("  two\n words ") == "two words"
    cut = shorten(text)
    assert len(cut) <= MAX_TEXT_LENGTH + 2
    assert cut.endswith("word …")


def test_timeline_keeps_the_session_time(team):
    coach = team["coach"]
    case = builders.case(coach)
    builders.note(coach, case.case_id, days_ago=3)
    [session] = load_timeline(coach, case, "session")
    assert abs(now() - timedelta(days=3, hours=1) - session.occurred_at) < timedelta(minutes=5)


def allow(actor, made, slug, reason):
    hold = next(hold for hold in get_safety_history(made.client_id).holds.values())
    with transaction():
        new = NewException(slug, made.case_id, reason)
        allow_handout(actor, lock_case(actor, made.case_id), hold.id, new, hold.version)


def test_timeline_shows_who_was_named_and_what_was_allowed_during_a_hold(team):
    coach, other = team["coach"], staff.add("supervisor2")
    case = builders.case(coach)
    builders.screen(coach, case.client_id, sleep="concern")
    hold_id = next(iter(get_safety_history(case.client_id).holds))
    allow(team["supervisor"], case, "my-reasons", "It keeps her from writing at night.")
    with transaction():
        name_second_person(coach, lock_hold(coach, hold_id), other.id, 2)
    for kind in (None, "hold"):
        found = {item.title: item for item in load_timeline(coach, case, kind)}
        named, allowed = (
            found["Care hold: second person named"],
            found["Care hold: one handout allowed"],
        )
        assert named.text == f"{other.name} was named to release it."
        assert named.byline == coach.name
        assert (
            allowed.text == "“What am I hoping for, and why?”: It keeps her from writing at night."
        )
        assert allowed.byline == team["supervisor"].name
        assert {named.link_id, allowed.link_id} == {hold_id}


def test_timeline_shows_the_versions_of_a_clients_plans(team):
    coach = team["coach"]
    case = builders.case(coach)
    safety_plans.write(coach, case.client_id)
    safety_plans.write(coach, case.client_id, EXIT)
    safety_plans.write(coach, case.client_id, note="Her sister has moved.")
    with transaction():
        plan = lock_plan(coach, case.client_id, SAFETY)
        record_review(coach, plan, NewReview("Nothing new."), 2)
    shown = [(item.title, item.text, item.badge) for item in load_timeline(coach, case, "plan")]
    assert shown == [
        ("Safety plan: reviewed with the client", "Nothing new.", "Version 3"),
        ("Safety plan: text changed", "Her sister has moved.", "Version 2"),
        ("Exit plan: first written", "", "Version 1"),
        ("Safety plan: first written", "", "Version 1"),
    ]
    assert [item for item in load_timeline(coach, case) if item.kind == "plan"]


def correct(actor, screening_id, reason="Wrong key: she was never asked"):
    with transaction():
        mark_in_error(actor, lock_screening(actor, screening_id), reason)
    db.session.rollback()


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 4, 50])
def test_correction_is_one_row_that_says_what_it_undid(team, limit):
    coach = team["coach"]
    case = builders.case(coach)
    with transaction():
        task = create_followup(
            coach, lock_client(coach, case.client_id), NewFollowUp("Ring on Tuesday", now())
        )
    followups.complete(coach, task, "reached", "She is well.")
    first = builders.screen(coach, case.client_id, self_harm="urgent")
    second = builders.screen(coach, case.client_id, self_harm="urgent")
    before = len(load_timeline(coach, case, limit=limit))
    correct(coach, first)
    correct(coach, second, "The same mistake again.")
    found = load_timeline(coach, case, limit=limit)
    assert len(found) == before + 2
    last, earlier = [item for item in found if item.title.endswith("recorded in error")]
    assert earlier.text.startswith("Wrong key: she was never asked. ")
    ended = [
        task.episode_id
        for task in list_client_followups(coach, case.client_id)
        if task.result == "in_error"
    ]
    assert earlier.text.endswith(f": {ended.count(first)} follow-ups.")
    assert last.text.endswith(
        f": the safety hold, one flag, {len(ended) - ended.count(first)} follow-ups."
    )
    [hold] = [item for item in found if item.kind == "hold"]
    assert (hold.title, hold.badge) == ("Safety hold opened", "Recorded in error")
    assert "Ring on Tuesday" in {item.title for item in found}
    by_kind = [item.title for item in load_timeline(coach, case, "followup", limit)]
    assert by_kind == ["Ring on Tuesday"]
    rows = load_timeline(coach, case, "screening", limit)
    assert [item.text for item in rows[:2]] == [last.text, earlier.text]
