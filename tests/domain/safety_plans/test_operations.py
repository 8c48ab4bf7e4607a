"""Safety plans on both databases: versions, the review that is due, the required action, and what the portal shows."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Stale
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.operations import confirm_contact
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.followups.operations import complete_followup
from caseapp.domain.followups.queries import list_client_followups, lock_followup
from caseapp.domain.practice.queries import today
from caseapp.domain.safety_plans.codes import EXIT, SAFETY
from caseapp.domain.safety_plans.models import SafetyPlan
from caseapp.domain.safety_plans.operations import (
    record_review,
    remove_from_portal,
    show_in_portal,
    write_plan,
)
from caseapp.domain.safety_plans.queries import (
    find_own_plan,
    get_plan_id,
    list_plan_versions,
    lock_plan,
)
from caseapp.domain.safety_plans.schemas import NewPlan, NewReview
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.queries import list_release_blockers
from tests.domain.screening.hold_helpers import START, only_hold
from tests.support import builders, followups, safety_plans

DAY = timedelta(days=1)


@pytest.fixture
def ines(team):
    with at(START):
        return builders.client(team["coach"], "Ines Okafor")


@pytest.fixture(autouse=True)
def _moment():
    with at(START):
        yield


def versions(team, client_id, kind=SAFETY):
    db.session.rollback()
    found = list_plan_versions(team["coach"], client_id)
    return [version for version in found if version.kind == kind]


def codes(error):
    return [reason.code for reason in error.value.reasons]


def reviews(team, client_id):
    db.session.rollback()
    tasks = list_client_followups(team["coach"], client_id, open_only=True)
    return [task for task in tasks if task.kind == "plan_review"]


def review(actor, client_id, kind=SAFETY, **given):
    with transaction():
        plan = lock_plan(actor, client_id, kind)
        return record_review(actor, plan, NewReview(**given), plan.version)


def shown(client_id):
    db.session.rollback()
    return find_own_plan(Actor(client_id, Role.CLIENT, "A client", "portal"))[1]


def test_plan_is_written_replaced_and_reviewed_as_versions(team, ines):
    coach = team["coach"]
    safety_plans.write(coach, ines)
    with at(START + DAY):
        safety_plans.write(team["supervisor"], ines, text="Ring Ben.", note="Anne has moved")
        review(coach, ines, note="Still right")
    newest, second, first = versions(team, ines)
    assert [one.number for one in (first, second, newest)] == [1, 2, 3]
    assert [one.change for one in (first, second, newest)] == ["written", "changed", "reviewed"]
    assert first.answers == safety_plans.answers()
    assert newest.answers == second.answers == safety_plans.answers(text="Ring Ben.")
    assert (second.note, newest.note) == ("Anne has moved", "Still right")
    assert second.created_by_name == team["supervisor"].name


def test_both_kinds_of_plan_count_their_own_versions(team, ines):
    for kind in (SAFETY, EXIT, SAFETY):
        safety_plans.write(team["coach"], ines, kind)
    assert [one.number for one in versions(team, ines)] == [2, 1]
    assert [one.number for one in versions(team, ines, EXIT)] == [1]
    assert len({one.plan_id for one in list_plan_versions(team["coach"], ines)}) == 2


def test_newer_version_is_not_overwritten(team, ines):
    coach = team["coach"]
    safety_plans.write(coach, ines)
    for replaces in (0, 2):
        with pytest.raises(Stale), transaction():
            plan = lock_plan(coach, ines, SAFETY)
            write_plan(coach, plan, NewPlan(safety_plans.answers()), replaces)
    assert len(versions(team, ines)) == 1


def test_plan_without_its_required_steps_is_refused(team, ines):
    coach = team["coach"]
    with pytest.raises(Invalid) as error, transaction():
        write_plan(coach, lock_plan(coach, ines, SAFETY), NewPlan({"matters": "The cat"}), 0)
    assert {*error.value.fields} == {
        "warning_signs",
        "on_my_own",
        "people",
        "surroundings",
        "copies",
    }
    assert versions(team, ines) == []


def test_plan_that_does_not_exist_is_neither_reviewed_shown_nor_removed(team, ines):
    coach = team["coach"]
    for change in (
        lambda plan: record_review(coach, plan, NewReview(), 0),
        lambda plan: show_in_portal(coach, plan, 0),
        lambda plan: remove_from_portal(coach, plan, 0),
    ):
        with pytest.raises(RuleBroken) as error, transaction():
            change(lock_plan(coach, ines, SAFETY))
        assert codes(error) == ["no_plan_yet"]


def test_other_people_neither_see_nor_write_a_plan(team, ines):
    safety_plans.write(team["coach"], ines)
    with pytest.raises(NotFound):
        list_plan_versions(team["coach2"], ines)
    with pytest.raises(NotFound), transaction():
        lock_plan(team["coach2"], ines, SAFETY)
    for ask in (list_plan_versions, lambda who, client: lock_plan(who, client, SAFETY)):
        with pytest.raises(Forbidden), transaction():
            ask(team["admin"], ines)


def test_plan_id_belongs_to_one_client_and_kind(team, ines):
    coach = team["coach"]
    other = builders.client(coach)
    with transaction():
        keys = [lock_client(coach, one).key for one in (ines, other)]
        ids = {get_plan_id(kind, key) for kind in (SAFETY, EXIT) for key in keys}
    assert len(ids) == 4
    with pytest.raises(NotFound), transaction():
        lock_plan(coach, ines, get_plan_id(SAFETY, keys[1]))
    with transaction():
        assert lock_plan(coach, ines, get_plan_id(EXIT, keys[0])).kind == EXIT


def test_version_is_never_changed_or_deleted(team, ines):
    safety_plans.write(team["coach"], ines)
    for statement in (
        "UPDATE safety_plan SET seq = 2",
        "DELETE FROM safety_plan",
    ):
        with (
            pytest.raises(sa.exc.DBAPIError, match=r"never change|append.only|refuse"),
            transaction(),
        ):
            db.session.execute(sa.text(statement))
    assert len(versions(team, ines)) == 1


def test_database_and_log_do_not_tell_which_plan_it_is(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines)
    safety_plans.write(coach, ines)
    safety_plans.show(coach, ines)
    safety_plans.write(coach, ines, EXIT)
    db.session.rollback()
    lengths = {len(row.content) for row in db.session.scalars(sa.select(SafetyPlan))}
    assert len(lengths) == 1
    events = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "plan.write"))
    assert [(event.object_kind, event.details) for event in events] == [("safety_plan", {})] * 3


def test_review_is_due_after_seven_days_unless_another_day_is_chosen(team, ines):
    coach = team["coach"]
    safety_plans.write(coach, ines)
    [task] = reviews(team, ines)
    assert task.due_at.date() == today() + 7 * DAY
    assert task.assigned_to == coach.id
    day = date(2026, 6, 3)
    safety_plans.write(coach, ines, review_on=day)
    [moved] = reviews(team, ines)
    assert (moved.id, moved.due_at.date()) == (task.id, day)


def test_one_review_is_due_for_both_plans_on_the_earlier_day(team, ines):
    coach = team["coach"]
    safety_plans.write(coach, ines, review_on=date(2026, 6, 3))
    safety_plans.write(coach, ines, EXIT, review_on=date(2026, 5, 20))
    [task] = reviews(team, ines)
    assert task.due_at.date() == date(2026, 5, 20)
    review(coach, ines, EXIT, review_on=date(2026, 8, 1))
    assert reviews(team, ines)[0].due_at.date() == date(2026, 6, 3)


def test_review_that_was_not_reached_is_tried_again_and_moved_by_the_next_version(team, ines):
    coach = team["coach"]
    safety_plans.write(coach, ines)
    followups.complete(coach, reviews(team, ines)[0].id, "not_reached", "")
    [again] = reviews(team, ines)
    assert again.attempt == 2
    review(coach, ines)
    [moved] = reviews(team, ines)
    assert (moved.id, moved.attempt) == (again.id, 1)


@pytest.mark.parametrize("review_on", [date(2026, 5, 13), date(2028, 1, 1)])
def test_day_of_the_next_review_is_neither_past_nor_far_away(team, ines, review_on):
    with pytest.raises(Invalid) as error:
        safety_plans.write(team["coach"], ines, review_on=review_on)
    assert [*error.value.fields] == ["review_on"]


def plan_task(team, client_id):
    db.session.rollback()
    [task] = [
        task
        for task in list_client_followups(team["coach"], client_id, open_only=True)
        if task.kind == "safety_plan"
    ]
    return task


def done(team, client_id):
    followups.complete(team["coach"], plan_task(team, client_id).id, "done")


def test_required_action_is_done_only_with_a_plan_on_file(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines, self_harm="concern")
    with pytest.raises(RuleBroken) as error:
        done(team, ines)
    assert codes(error) == ["no_plan"]
    assert list_release_blockers(only_hold(ines), coach)
    safety_plans.write(coach, ines)
    done(team, ines)


def test_required_action_can_be_declined_without_a_plan(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines, self_harm="concern")
    declined = plan_task(team, ines).id
    followups.complete(coach, declined, "declined")
    tasks = {task.id: task for task in list_client_followups(coach, ines)}
    assert tasks[declined].result == "declined"
    assert "declined_decision" in {task.kind for task in tasks.values()}


def test_package_of_followups_alone_refuses_to_complete_it(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines, self_harm="concern")
    safety_plans.write(coach, ines)
    with pytest.raises(RuleBroken) as error, transaction():
        task = lock_followup(coach, plan_task(team, ines).id)
        new = followups.result_for("safety_plan", "done")
        complete_followup(coach, task, new, task.row.version)
    assert codes(error) == ["no_plan"]


def test_fear_asks_for_an_exit_plan(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines, fear_at_home="concern")
    safety_plans.write(coach, ines, SAFETY)
    with pytest.raises(RuleBroken) as error:
        done(team, ines)
    assert "exit plan" in error.value.message
    safety_plans.write(coach, ines, EXIT)
    done(team, ines)


def test_self_harm_and_fear_ask_for_both(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines, fear_at_home="concern", self_harm="urgent")
    safety_plans.write(coach, ines, EXIT)
    with pytest.raises(RuleBroken, match="safety plan"):
        done(team, ines)
    safety_plans.write(coach, ines, SAFETY)
    done(team, ines)


def test_plan_from_before_a_later_episode_counts_once_it_was_reviewed(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines, self_harm="concern")
    safety_plans.write(coach, ines)
    done(team, ines)
    with at(START + 2 * DAY):
        builders.screen(coach, ines, self_harm="urgent")
        with pytest.raises(RuleBroken) as error:
            done(team, ines)
        assert codes(error) == ["no_plan"]
        review(coach, ines)
        done(team, ines)


def test_plan_made_for_self_harm_does_not_count_for_a_later_episode_of_fear(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines, self_harm="concern")
    safety_plans.write(coach, ines)
    with at(START + DAY):
        builders.screen(coach, ines, fear_at_home="concern")
        safety_plans.write(coach, ines)
        tasks = list_client_followups(coach, ines, open_only=True)
        newest = max((t for t in tasks if t.kind == "safety_plan"), key=lambda t: t.created_at)
        with pytest.raises(RuleBroken, match="exit plan"):
            followups.complete(coach, newest.id, "done")


def test_portal_shows_a_plan_only_when_the_client_wants_it(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines)
    safety_plans.write(coach, ines)
    assert shown(ines) is None
    safety_plans.show(coach, ines)
    assert shown(ines).shown_on == today()
    safety_plans.write(coach, ines, text="Ring Ben.")
    assert shown(ines).answers == safety_plans.answers(text="Ring Ben.")
    with transaction():
        remove_from_portal(coach, lock_plan(coach, ines, SAFETY), 3)
    assert shown(ines) is None
    with pytest.raises(RuleBroken) as error, transaction():
        remove_from_portal(coach, lock_plan(coach, ines, SAFETY), 4)
    assert codes(error) == ["not_shown"]


def test_exit_plan_is_never_shown_in_the_portal(team, ines):
    coach = team["coach"]
    builders.screen(coach, ines)
    safety_plans.write(coach, ines, EXIT)
    with pytest.raises(RuleBroken) as error, transaction():
        show_in_portal(coach, lock_plan(coach, ines, EXIT), 1)
    assert codes(error) == ["exit_plan"]
    assert shown(ines) is None


@pytest.mark.parametrize(
    "record",
    [
        {"fear_at_home": "watch"},
        {"fear_at_home": "urgent"},
        "unsafe_delivery",
    ],
    ids=str,
)
def test_plan_leaves_the_portal_when_it_is_not_safe_there(team, ines, record):
    coach = team["coach"]
    builders.screen(coach, ines)
    safety_plans.write(coach, ines)
    safety_plans.show(coach, ines)
    if isinstance(record, dict):
        builders.screen(coach, ines, **record)
    else:
        with transaction():
            set_manual_flag(coach, lock_client(coach, ines), record)
            client = get_client_record(coach, ines)
            confirm_contact(coach, lock_client(coach, ines), client.version)
    assert shown(ines) is None
    with pytest.raises(RuleBroken), transaction():
        show_in_portal(coach, lock_plan(coach, ines, SAFETY), 2)


def test_plan_is_not_shown_before_the_client_was_screened(team, ines):
    coach = team["coach"]
    safety_plans.write(coach, ines)
    with pytest.raises(RuleBroken) as error:
        safety_plans.show(coach, ines)
    assert codes(error) == ["fear_not_excluded"]


def test_showing_a_plan_does_not_make_its_text_newer(team, ines):
    builders.screen(team["coach"], ines)
    safety_plans.write(team["coach"], ines)
    written_at = now()
    with at(START + DAY):
        safety_plans.show(team["coach"], ines)
        newest = versions(team, ines)[0]
    assert (newest.created_at, newest.worked_on_at) == (START + DAY, written_at)
