"""Giving sheets: what is refused, what asks for care, several at once and over the weeks; on both databases."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.eligibility import advice_for
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_several
from caseapp.domain.assignments.queries import assignment_shown, assignments_of, given_together
from caseapp.domain.assignments.reading import reading_list
from caseapp.domain.assignments.schemas import NewAssignment
from caseapp.domain.audit.models import AuditEntry
from caseapp.domain.cases.queries import case_head
from caseapp.domain.clients.schemas import SafeContact
from tests.domain.assignments.steps import codes, flag, give, reader
from tests.support import builders

pytestmark = pytest.mark.both


def test_an_assignment_keeps_edition_line_levels_and_a_number_of_its_own(team, made):
    coach = team["coach"]
    builders.screen(coach, made.client_id, sleep="watch")
    first = give(coach, made, line="Try the worry note first.")
    give(coach, made, "keep-the-day-running")
    newest, oldest = assignments_of(coach, case_head(coach, made.case_id))
    assert (oldest.id, oldest.place, newest.place) == (first, 1, 2)
    assert oldest.line == "Try the worry note first."
    assert oldest.levels["sleep"] == 1
    assert (oldest.slug, oldest.edition, oldest.stage) == ("better-nights", 1, "steady")
    assert oldest.stopped == ()
    stored = db.session.get(Assignment, first)
    assert b"worry" not in stored.line


def test_places_count_for_each_client_alone(team, made):
    other = builders.case(team["coach"], "Daniel Roth")
    builders.screen(team["coach"], other.client_id)
    give(team["coach"], made)
    give(team["coach"], other)
    assert [record.place for record in reading_list(reader(other))] == [1]


def test_a_refusal_names_every_reason_and_changes_nothing(team, made):
    builders.screen(team["coach"], made.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, "reaching-out", confirmed=True)
    assert {"hold_open", "contact_block", "violence_flag"} <= set(codes(refused))
    assert db.session.scalar(sa.select(sa.func.count(Assignment.id))) == 0


def test_care_asks_for_a_confirmation(team, made):
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, "my-limits")
    assert codes(refused) == ["confirm_needed", "later_stage"]
    assert give(team["coach"], made, "my-limits", confirmed=True)


def test_several_are_given_all_or_none(team, made):
    coach = team["coach"]
    wanted = NewAssignment(
        ("better-nights", "my-limits"), "portal", "Both help.", "en", confirmed=False
    )
    with pytest.raises(RuleBroken) as refused, transaction():
        assign_several(coach, made.case_id, wanted)
    assert refused.value.reasons[0].message.startswith("My limits")
    assert reading_list(reader(made)) == []
    with transaction():
        assert len(assign_several(coach, made.case_id, replace(wanted, confirmed=True))) == 2
    assert [r.line for r in reading_list(reader(made))] == ["Both help.", "Both help."]


SATURDAY = datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_a_pack_is_spread_over_the_weeks_and_leaves_out_what_does_not_suit(team):
    coach = team["coach"]
    with at(SATURDAY - timedelta(hours=1)):
        made = builders.case(coach, "Ines Okafor")
        builders.screen(coach, made.client_id, sleep="watch")
        give(coach, made, "running-on-empty", channel="print")
    with at(SATURDAY):
        pack = NewAssignment(
            ("my-reasons", "better-nights", "reaching-out", "hold-back-list", "first-days-pause"),
            "portal", "In this order.", "en", confirmed=True, spread=True,
        )  # fmt: skip
        flag(coach, made, "contact_block")
        with transaction():
            ids = assign_several(coach, made.case_id, pack)
        head = case_head(coach, made.case_id)
        given = given_together(coach, head, ids[-1])
        assert [(r.slug, r.week) for r in given] == [
            ("my-reasons", date(2026, 11, 30)),
            ("better-nights", None),
            ("hold-back-list", date(2026, 12, 7)),
            ("first-days-pause", date(2026, 12, 7)),
        ]
        assert [r.place for r in given] == [2, 3, 4, 5]
        logged = db.session.scalars(
            sa.select(AuditEntry.details).where(AuditEntry.action == "assignment.make")
        ).all()
        assert [entry["due_on"] for entry in logged].count("2026-12-07") == 2
        assert advice_for(coach, head).reading.open == 20, "later weeks are not this week's reading"
        with pytest.raises(RuleBroken) as refused, transaction():
            assign_several(coach, made.case_id, replace(pack, slugs=("reaching-out", "my-reasons")))
        assert set(codes(refused)) == {"contact_block", "already_given"}
    other = case_head(coach, builders.case(coach, "Daniel Roth").case_id)
    with pytest.raises(NotFound):
        given_together(coach, other, ids[0])


def test_a_day_is_within_reach(team, made):
    coach = team["coach"]
    with at(SATURDAY):
        for day in (date(2026, 11, 15), date(2027, 5, 23)):
            with pytest.raises(Invalid):
                give(coach, made, due_on=day)
        given = give(coach, made, due_on=date(2026, 11, 16))
        assert assignment_shown(coach, given).week == date(2026, 11, 16)


def test_the_same_sheet_is_not_given_twice_in_the_same_way(team, made):
    give(team["coach"], made)
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made)
    assert codes(refused) == ["already_given"]
    assert give(team["coach"], made, channel="print")
    assert give(team["coach"], made, language="es")


@pytest.mark.parametrize("channel", ["portal", "print"])
def test_in_session_sheets_do_not_leave_the_room(team, made, channel):
    builders.screen(team["coach"], made.client_id, self_harm="watch")
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, "my-safety-plan", channel=channel, confirmed=True)
    assert codes(refused) == ["in_session_only"]
    assert give(team["coach"], made, "my-safety-plan", channel="in_person", confirmed=True)


def test_a_client_to_be_met_only_in_person_gets_nothing_through_the_portal(team):
    made = builders.case(team["coach"], "Noor Haddad", safe=SafeContact(("in_person",)))
    builders.screen(team["coach"], made.client_id)
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, confirmed=True)
    assert codes(refused) == ["by_hand_only"]
    assert give(team["coach"], made, channel="print", confirmed=True)


def test_a_closed_case_gets_nothing_new(team, made):
    from caseapp.domain.cases.operations import close_case
    from caseapp.domain.cases.schemas import Closing

    with transaction():
        close_case(
            team["coach"],
            made.case_id,
            Closing("other", "decision", "done", "", follow_up_consent=False, follow_up_on=None),
            1,
        )
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made)
    assert codes(refused) == ["case_closed"]


def test_a_sheet_whose_help_lines_are_missing_is_refused(team, made):
    from caseapp.domain.practice.operations import change_practice
    from caseapp.domain.practice.schemas import PracticeChange

    change = PracticeChange(
        name="Our practice",
        tagline="",
        contact="",
        country="US",
        region=None,
        zone="Europe/London",
        paper="A4",
        paper_code=False,
        exit_url="https://example.org/",
    )
    with transaction():
        change_practice(team["admin"], change, 1)
    with pytest.raises(RuleBroken) as refused:
        give(team["coach"], made, "enough-to-eat")
    assert codes(refused) == ["help_lines_empty"]
    assert "eating disorder" in refused.value.message
