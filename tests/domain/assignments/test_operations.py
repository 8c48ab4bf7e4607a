"""Assigning handouts: blocked, with caution, several at once and over the weeks."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_handouts
from caseapp.domain.assignments.queries import (
    get_assignment_record,
    list_assigned_together,
    list_assignments,
)
from caseapp.domain.assignments.reading import get_handout_choice, get_reading_list
from caseapp.domain.assignments.schemas import NewAssignments
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.handouts.library import library
from tests.domain.assignments.steps import assign, codes, flag, reader
from tests.support import builders


def test_assign_stores_version_message_and_position(team, made):
    coach = team["coach"]
    first = assign(coach, made, message="Try the worry note first.")
    assign(coach, made, "keep-the-day-running")
    newest, oldest = list_assignments(coach, get_case_context(coach, made.case_id))
    assert (oldest.id, oldest.position, newest.position) == (first, 1, 2)
    assert oldest.message == "Try the worry note first."
    assert (oldest.slug, oldest.handout_version, oldest.stage) == (
        "better-nights",
        library()["better-nights", "en"].version,
        "steady",
    )
    assert oldest.blockers == ()
    stored = db.session.get(Assignment, first)
    assert b"worry" not in stored.message


def test_assign_position_counts_per_client(team, made):
    other = builders.case(team["coach"], "Daniel Roth")
    builders.screen(team["coach"], other.client_id)
    assign(team["coach"], made)
    assign(team["coach"], other)
    assert [record.position for record in get_reading_list(reader(other))] == [1]


def test_assign_blocked_names_every_reason_and_changes_nothing(team, made):
    builders.screen(team["coach"], made.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused:
        assign(team["coach"], made, "reaching-out", confirmed=True)
    assert {"hold_open", "contact_block", "violence_flag"} <= set(codes(refused))
    assert db.session.scalar(sa.select(sa.func.count(Assignment.id))) == 0


def test_assign_caution_requires_confirmation(team, made):
    with pytest.raises(RuleBroken) as refused:
        assign(team["coach"], made, "my-limits")
    assert codes(refused) == ["confirmation_required", "later_stage"]
    assert assign(team["coach"], made, "my-limits", confirmed=True)


def test_assign_several_unconfirmed_assigns_none(team, made):
    coach = team["coach"]
    wanted = NewAssignments(
        ("better-nights", "my-limits"), "portal", "Both help.", "en", confirmed=False
    )
    with pytest.raises(RuleBroken) as refused, transaction():
        assign_handouts(coach, lock_case(coach, made.case_id), wanted)
    assert refused.value.reasons[0].message.startswith("My limits")
    assert get_reading_list(reader(made)) == []
    with transaction():
        assert (
            len(
                assign_handouts(
                    coach, lock_case(coach, made.case_id), replace(wanted, confirmed=True)
                )
            )
            == 2
        )
    assert [r.message for r in get_reading_list(reader(made))] == ["Both help.", "Both help."]


SATURDAY = datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_assign_several_spread_plans_weeks_and_skips_blocked(team):
    coach = team["coach"]
    with at(SATURDAY - timedelta(hours=1)):
        made = builders.case(coach, "Ines Okafor")
        builders.screen(coach, made.client_id, sleep="watch")
        assign(coach, made, "running-on-empty", channel="print")
    with at(SATURDAY):
        pack = NewAssignments(
            ("keep-the-day-running", "better-nights", "reaching-out", "hold-back-list", "first-thirty-days"),
            "portal", "In this order.", "en", confirmed=True, spread=True,
        )  # fmt: skip
        flag(coach, made, "contact_block")
        with transaction():
            ids = assign_handouts(coach, lock_case(coach, made.case_id), pack)
        context = get_case_context(coach, made.case_id)
        given = list_assigned_together(coach, context, ids[-1])
        assert [(r.slug, r.week) for r in given] == [
            ("keep-the-day-running", date(2026, 11, 30)),
            ("better-nights", None),
            ("hold-back-list", date(2026, 11, 30)),
            ("first-thirty-days", date(2026, 12, 7)),
        ]
        assert [r.position for r in given] == [2, 3, 4, 5]
        logged = db.session.scalars(
            sa.select(AuditEvent.details).where(AuditEvent.action == "assignment.create")
        ).all()
        weeks = [entry["due_on"] for entry in logged]
        assert (weeks.count("2026-11-30"), weeks.count("2026-12-07")) == (2, 1)
        assert get_handout_choice(coach, context).recommendation.plan.unread == 20, (
            "later weeks are not this week's reading"
        )
        with pytest.raises(RuleBroken) as refused, transaction():
            assign_handouts(
                coach,
                lock_case(coach, made.case_id),
                replace(pack, slugs=("reaching-out", "keep-the-day-running")),
            )
        assert set(codes(refused)) == {"contact_block", "already_assigned"}
    other = get_case_context(coach, builders.case(coach, "Daniel Roth").case_id)
    with pytest.raises(NotFound):
        list_assigned_together(coach, other, ids[0])


def test_assign_due_day_out_of_range_is_invalid(team, made):
    coach = team["coach"]
    with at(SATURDAY):
        for day in (date(2026, 11, 15), date(2027, 5, 23)):
            with pytest.raises(Invalid):
                assign(coach, made, due_on=day)
        given = assign(coach, made, due_on=date(2026, 11, 16))
        assert get_assignment_record(coach, given).week == date(2026, 11, 16)


def test_assign_same_handout_and_channel_twice_is_refused(team, made):
    assign(team["coach"], made)
    with pytest.raises(RuleBroken) as refused:
        assign(team["coach"], made)
    assert codes(refused) == ["already_assigned"]
    assert assign(team["coach"], made, channel="print")
    assert assign(team["coach"], made, language="es")


@pytest.mark.parametrize("channel", ["portal", "print"])
def test_assign_in_session_handout_by_other_channel_is_refused(team, made, channel):
    builders.screen(team["coach"], made.client_id, self_harm="watch")
    with pytest.raises(RuleBroken) as refused:
        assign(team["coach"], made, "my-safety-plan", channel=channel, confirmed=True)
    assert codes(refused) == ["in_session_only"]
    assert assign(team["coach"], made, "my-safety-plan", channel="in_person", confirmed=True)


def test_assign_in_person_only_client_is_refused_for_the_portal(team):
    made = builders.case(team["coach"], "Noor Haddad", safe=SafeContact(("in_person",)))
    builders.screen(team["coach"], made.client_id)
    with pytest.raises(RuleBroken) as refused:
        assign(team["coach"], made, confirmed=True)
    assert codes(refused) == ["by_hand_only"]
    assert assign(team["coach"], made, channel="print", confirmed=True)


def test_assign_closed_case_is_refused(team, made):
    from caseapp.domain.cases.operations import close_case
    from caseapp.domain.cases.schemas import CaseClosing

    with transaction():
        close_case(
            team["coach"],
            lock_case(team["coach"], made.case_id),
            CaseClosing(
                "other", "decision", "done", "", follow_up_consent=False, follow_up_on=None
            ),
            1,
        )
    with pytest.raises(RuleBroken) as refused:
        assign(team["coach"], made)
    assert codes(refused) == ["case_closed"]


def test_assign_where_no_service_is_listed_is_not_refused(team, made):
    """The United States have no checked line for eating disorders: the handout says to ask a doctor instead."""
    from caseapp.domain.practice.operations import update_practice
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
        update_practice(team["admin"], change, 1)
    assert assign(team["coach"], made, "enough-to-eat")
