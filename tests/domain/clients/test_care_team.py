"""Memberships of a care team over time: what has ended is kept, and opens nothing from then on."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import CaseFilter, get_case_context, list_cases
from caseapp.domain.clients.care_team import list_care_team
from caseapp.domain.clients.codes import COACH, SECOND_PERSON
from caseapp.domain.clients.memberships import join_for, leave_for
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import find_coach_id, get_client_record, lock_client
from caseapp.domain.clients.search import list_clients
from caseapp.domain.staffing.operations import hand_over
from tests.support import builders
from tests.support.staff_pages import StaffBrowser

DAY = timedelta(days=1)


def seen_by(actor, made):
    """Tell in four ways whether somebody sees a client, who all agree."""
    found = {
        is_found(lambda: get_client_record(actor, made.client_id)),
        is_found(lambda: get_case_context(actor, made.case_id)),
        bool(list_cases(actor, CaseFilter(), None, 9).items),
        bool(list_clients(actor, "Okafor", None, 9).items),
    }
    (answer,) = found
    return answer


def is_found(read):
    try:
        return read() is not None
    except NotFound:
        return False


@pytest.mark.both
def test_membership_opens_the_client_until_before_its_end(team):
    begin = now()
    with at(begin):
        made = builders.case(team["coach"], "Ines Okafor")
    with transaction():
        runs = CareTeamMember.client_id == made.client_id
        db.session.execute(sa.update(CareTeamMember).where(runs).values(ends_at=begin + DAY))
    for moment, is_seen in ((DAY - timedelta(seconds=1), True), (DAY, False)):
        with at(begin + moment):
            for who in ("coach", "supervisor"):
                assert seen_by(team[who], made) is is_seen, (who, moment)
            assert (find_coach_id(made.client_id) is not None) is is_seen


def roles(actor, made):
    return [
        (one.name, one.role, one.reason, one.given_by, one.is_running)
        for one in list_care_team(actor, made.client_id)
    ]


def test_history_names_who_was_responsible_until_when_and_who_changed_it(app, team):
    first, supervisor = team["coach"], team["supervisor"]
    begin = now()
    with at(begin):
        made = builders.case(first, "Ines Okafor")
    for day, (leaver, heir) in enumerate(((first, supervisor), (supervisor, first)), 1):
        with at(begin + day * DAY), transaction():
            locked = lock_client(supervisor, made.client_id)
            hand_over(supervisor, locked, leaver.id, heir.id)
    with at(begin + 3 * DAY):
        assert roles(first, made) == [
            (first.name, COACH, "opened", first.name, False),
            (supervisor.name, COACH, "handed_over", supervisor.name, False),
            (first.name, COACH, "handed_over", supervisor.name, True),
        ]
        ends = [one.ends_at for one in list_care_team(first, made.client_id)]
        assert ends == [begin + DAY, begin + 2 * DAY, None]
        with pytest.raises(NotFound):
            list_care_team(team["coach2"], made.client_id)
        page = StaffBrowser(app, first).text(f"/case/{made.number}/details")
        assert page.count("Responsible coach since") == 3
        assert f"Handed over by {supervisor.name}" in page


def test_role_begins_again_after_its_end_and_goes_on_while_it_runs(team):
    coach, helper = team["coach"], team["supervisor"]
    begin = now()
    with at(begin):
        made = builders.case(coach)
        for _ in range(2):
            with transaction():
                lock_client(coach, made.client_id)
                join_for(made.client_id, helper.id, SECOND_PERSON, coach.id)
                # What begins and ends at one moment leaves no trace.
                leave_for(made.client_id, helper.id, SECOND_PERSON)
                join_for(made.client_id, helper.id, SECOND_PERSON, coach.id)
                join_for(made.client_id, helper.id, SECOND_PERSON, coach.id)
    named = (helper.name, SECOND_PERSON, "", coach.name)
    opened = (coach.name, COACH, "opened", coach.name, True)
    with at(begin + DAY), transaction():
        assert sorted(roles(coach, made)) == sorted([opened, (*named, True)])
        leave_for(made.client_id, helper.id, SECOND_PERSON)
        join_for(made.client_id, helper.id, SECOND_PERSON, coach.id)
        assert sorted(roles(coach, made)) == sorted([opened, (*named, False), (*named, True)])
