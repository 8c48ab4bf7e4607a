"""One handout that a supervisor allows in spite of a care hold."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Stale
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout, assign_handouts
from caseapp.domain.assignments.queries import get_assignment_record, list_assignments
from caseapp.domain.assignments.reading import list_own_assignments
from caseapp.domain.assignments.schemas import NewAssignments
from caseapp.domain.bulk_assignments.models import BulkAssignmentItem
from caseapp.domain.bulk_assignments.operations import process_item, start_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.operations import close_case, open_case
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.cases.schemas import CaseClosing, CaseDetails
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.timeline import list_timeline
from caseapp.domain.dashboard.timeline_filter import TimelineFilter
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.queries import list_holds
from caseapp.domain.screening.schemas import NewException
from caseapp.domain.suitability.operations import allow_handout
from tests.support import builders, staff

# Barred by any hold, and by nothing else for a client of whom no flag is set.
SLUG, OTHER = "my-reasons", "hold-back-list"
WHY = "It keeps her from writing to him at night."


@pytest.fixture
def made(team):
    with at(now() - timedelta(hours=1)):
        found = builders.case(team["coach"])
        builders.screen(team["coach"], found.client_id, sleep="concern")
    return found


def holds(made):
    db.session.rollback()
    return {hold.kind: hold for hold in get_safety_state(made.client_id).holds}


def allow(actor, made, slug=SLUG, *, case_id=None, kind="care", version=None):
    hold = holds(made)[kind]
    with transaction():
        case = lock_case(actor, case_id or made.case_id)
        new = NewException(slug, case.case.id, WHY)
        allow_handout(actor, case, hold.id, new, version or hold.version)


def assign(actor, made, slug=SLUG, case_id=None):
    with transaction():
        case = lock_case(actor, case_id or made.case_id)
        return assign_handout(actor, case, slug, message="", channel="portal", confirmed=True)


def refused(action, *given, **named):
    with pytest.raises(RuleBroken) as found:
        action(*given, **named)
    db.session.rollback()
    return [reason.code for reason in found.value.reasons]


def suspended(team, assignment_id):
    db.session.rollback()
    return [reason.code for reason in get_assignment_record(team["coach"], assignment_id).blockers]


def test_allowed_handout_is_assigned_and_read_while_the_care_hold_is_open(team, made):
    assert refused(assign, team["coach"], made) == ["hold_open"]
    allow(team["supervisor"], made)
    assert holds(made)["care"].allowed_handout == SLUG
    given = assign(team["coach"], made)
    assert suspended(team, given) == []
    assert refused(assign, team["coach"], made, OTHER) == ["hold_open"]


def test_another_handout_takes_its_place(team, made):
    allow(team["supervisor"], made)
    given = assign(team["coach"], made)
    allow(team["supervisor"], made, OTHER)
    assert suspended(team, given) == ["hold_open"]
    assign(team["coach"], made, OTHER)


def test_safety_hold_ends_it_for_good(team, made):
    allow(team["supervisor"], made)
    given = assign(team["coach"], made)
    builders.screen(team["coach"], made.client_id, self_harm="concern")
    assert "hold_open" in suspended(team, given)
    assert holds(made)["care"].allowed_handout == ""
    assert refused(allow, team["supervisor"], made) == ["safety_hold_open"]
    assert refused(allow, team["supervisor"], made, kind="safety") == ["safety_hold_open"]


def test_screening_that_renews_the_hold_ends_it_until_it_is_allowed_again(team, made):
    allow(team["supervisor"], made)
    given = assign(team["coach"], made)
    builders.screen(team["coach"], made.client_id, sleep="watch")
    assert suspended(team, given) == []
    version = holds(made)["care"].version
    builders.screen(team["coach"], made.client_id, sleep="concern")
    assert suspended(team, given) == ["hold_open"]
    [hold] = list_holds(team["coach"], made.client_id)
    assert hold == holds(made)["care"]
    assert (hold.allowed_handout, hold.allowed_by, hold.allowed_reason) == ("", None, "")
    # States that were stored before a renewal ended it have the same versions as the events.
    assert hold.version == version + 1
    allow(team["supervisor"], made)
    assert suspended(team, given) == []


def listed(team, made):
    db.session.rollback()
    context = get_case_context(team["coach"], made.case_id)
    page = list_timeline(
        team["coach"], context, TimelineFilter(frozenset({"hold"})), cursor=None, limit=25
    )
    return [(event.title, event.text) for event in reversed(page.items)]


def test_timeline_says_when_it_was_allowed_and_when_that_ended(team, made):
    for days, levels in ((0, {"sleep": "concern"}), (1, {"self_harm": "concern"})):
        with at(now() + timedelta(days=days)):
            allow(team["supervisor"], made)
        with at(now() + timedelta(days=days, hours=1)):
            builders.screen(team["coach"], made.client_id, **levels)
    title = "“What am I hoping for, and why?”"
    allowed = ("Care hold: one handout allowed", f"{title}: {WHY}")
    ended = "Care hold: handout no longer allowed"
    found = listed(team, made)
    assert found[0][0] == "Care hold opened"
    assert found[1:4] == [allowed, (ended, f"{title}: the hold was renewed."), allowed]
    assert {*found[4:]} == {
        (ended, f"{title}: a safety hold opened."),
        ("Safety hold opened", "Self-harm at concern."),
    }
    assert len(found) == len({*found[4:]}) + 4


def test_flag_keeps_an_allowed_handout_from_the_client(team, made):
    allow(team["supervisor"], made)
    given = assign(team["coach"], made)
    with transaction():
        set_manual_flag(team["coach"], lock_client(team["coach"], made.client_id), "violence_flag")
    assert suspended(team, given) == ["violence_flag"]


def test_handout_that_something_else_bars_is_not_allowed(team, made):
    with transaction():
        set_manual_flag(team["coach"], lock_client(team["coach"], made.client_id), "contact_block")
    assert refused(allow, team["supervisor"], made, "reaching-out") == ["contact_block"]
    assert refused(allow, team["supervisor"], made, "help-right-now") == ["not_barred"]


def test_it_holds_for_one_case_only(team, made):
    allow(team["supervisor"], made)
    coach, supervisor = team["coach"], team["supervisor"]
    closing = CaseClosing(
        "other", "decision", "not_possible", "Moved.", follow_up_consent=False, follow_up_on=None
    )
    with transaction():
        close_case(supervisor, lock_case(supervisor, made.case_id), closing, 1)
    assert refused(allow, supervisor, made, OTHER) == ["case_closed"]
    with transaction():
        details = CaseDetails({}, "undecided", None)
        other = open_case(coach, lock_client(coach, made.client_id), details, coach_id=coach.id)
    assert refused(assign, coach, made, case_id=other) == ["hold_open"]
    allow(supervisor, made, case_id=other)
    assign(coach, made, case_id=other)


def test_only_a_supervisor_of_the_client_allows_a_handout_of_the_library(team, made):
    stranger = staff.add("supervisor2", role="supervisor")
    with pytest.raises(Forbidden):
        allow(team["coach"], made)
    db.session.rollback()
    with pytest.raises(NotFound):
        allow(stranger, made)
    db.session.rollback()
    with pytest.raises(Invalid):
        allow(team["supervisor"], made, "no-such-sheet")
    db.session.rollback()
    with pytest.raises(Stale):
        allow(team["supervisor"], made, version=99)
    db.session.rollback()
    [hold] = list_holds(team["coach"], made.client_id)
    assert hold.allowed_handout == ""
    assert WHY not in repr(hold)


def test_portal_shows_it_until_a_safety_hold_opens(team, made):
    allow(team["supervisor"], made)
    assign(team["coach"], made)
    client = Actor(made.client_id, Role.CLIENT, "Ines", "portal")

    def blocked():
        db.session.rollback()
        [record] = list_own_assignments(client)
        return [reason.code for reason in record.blockers]

    assert blocked() == []
    builders.screen(team["coach"], made.client_id, self_harm="concern")
    assert blocked() == ["hold_open"]


def test_several_and_bulk_assignments_give_it_too(team, made):
    allow(team["supervisor"], made)
    coach, wish = team["coach"], NewAssignments((SLUG, OTHER), "print", "", "en", confirmed=True)
    with transaction():
        assert len(assign_handouts(coach, lock_case(coach, made.case_id), wish)) == 1
    allow(team["supervisor"], made, OTHER)
    bulk = NewBulkAssignment(
        None,
        "en",
        "print",
        "",
        None,
        (made.case_id,),
        {made.case_id: frozenset({"allowed_in_hold"})},
    )
    with transaction():
        start_bulk_assignment(coach, OTHER, bulk)
    item_id = db.session.scalars(sa.select(BulkAssignmentItem.id)).one()
    with transaction():
        process_item(item_id)
    # The first one is suspended, since the second took its place.
    assert sorted(suspended(team, one.id) for one in list_given(team, made)) == [[], ["hold_open"]]


def list_given(team, made):
    db.session.rollback()
    return list_assignments(team["coach"], get_case_context(team["coach"], made.case_id))
