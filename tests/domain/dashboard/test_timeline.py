from datetime import timedelta

import pytest

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.timeline import EVENT_KINDS, MAX_TEXT_LENGTH, list_timeline, shorten
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.schemas import NewFollowUp
from tests.domain.dashboard import bulk_rows
from tests.support import builders, followups
from tests.support.staff_pages import Statements

pytestmark = pytest.mark.both


def load_timeline(actor, made, kind=None, limit=4):
    context, found, cursor = get_case_context(actor, made.case_id), [], None
    while True:
        page = list_timeline(actor, context, kind=kind, cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def test_timeline_contains_all_event_kinds(team):
    coach = team["coach"]
    case = builders.case(coach)
    builders.note(coach, case.case_id, days_ago=1)
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
        "Screening",
        "Safety hold opened",
        "Ring on Tuesday",
    }
    by_kind = {item.kind: item for item in found}
    assert by_kind["session"].text == "Slept six hours."
    assert by_kind["session"].byline == f"{coach.name}, video, 50 min"
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


def test_timeline_pages_have_no_gaps_or_repeats(team):
    coach = team["coach"]
    case = builders.case(coach)
    bulk_rows.history(coach, case, 7)
    at_once = list_timeline(
        coach, get_case_context(coach, case.case_id), kind=None, cursor=None, limit=200
    )
    found = load_timeline(coach, case, limit=3)
    assert [(i.id, i.occurred_at) for i in found] == [(i.id, i.occurred_at) for i in at_once.items]
    assert len(found) == 7 * 8 + 1
    assert [i.occurred_at for i in found] == sorted((i.occurred_at for i in found), reverse=True)
    assert len({(i.id, i.title) for i in found}) == len(found)


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_timeline_filter_shows_one_kind(team, kind):
    coach = team["coach"]
    case = builders.case(coach)
    bulk_rows.history(coach, case, 3)
    found = load_timeline(coach, case, kind)
    assert {item.kind for item in found} == {kind}
    assert len(found) == (
        3 if kind in {"session", "screening", "followup"} else 4 if kind == "stage" else 6
    )


def test_timeline_with_an_unknown_kind_or_cursor_is_invalid(team):
    coach = team["coach"]
    context = get_case_context(coach, builders.case(coach).case_id)
    with pytest.raises(Invalid) as caught:
        list_timeline(coach, context, kind="gossip", cursor=None, limit=5)
    assert "kind" in caught.value.fields
    with pytest.raises(Invalid):
        list_timeline(coach, context, kind=None, cursor="made-up", limit=5)


def test_timeline_statements_do_not_grow_with_events(team):
    coach = team["coach"]
    few, many = builders.case(coach), builders.case(coach)
    bulk_rows.history(coach, few, 10)
    bulk_rows.history(coach, many, 1000)
    counts = []
    for case in (few, many):
        context = get_case_context(coach, case.case_id)
        with Statements() as statements:
            page = list_timeline(coach, context, kind=None, cursor=None, limit=25)
        assert len(page.items) == 25
        counts.append(len(statements.seen))
    assert counts[0] == counts[1] <= 9


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
