"""Which records are due, and that only those are erased for that ground."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.disclosures.operations import record_disclosure
from caseapp.domain.disclosures.schemas import NewDisclosure
from caseapp.domain.erasure.operations import erase_record, request_erasure
from caseapp.domain.erasure.queries import get_erasure, lock_erasure, lock_record
from caseapp.domain.legal_holds.operations import place_legal_hold
from caseapp.domain.legal_holds.queries import lock_legal_holds
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import lock_merge
from caseapp.domain.merges.schemas import NewMerge
from caseapp.domain.practice.operations import update_retention
from caseapp.domain.practice.queries import get_practice, today
from caseapp.domain.practice.retention import RetentionChange
from caseapp.domain.retention.queries import find_term_of, list_due
from caseapp.domain.safety_plans.codes import SAFETY
from caseapp.domain.safety_plans.operations import write_plan
from caseapp.domain.safety_plans.queries import lock_plan
from caseapp.domain.safety_plans.schemas import NewPlan
from caseapp.domain.screening.models import ClientSafety
from tests.support import builders, safety_plans

pytestmark = pytest.mark.slow

YEAR = timedelta(days=365.25)


def choose(admin, profile="us", **years):
    with transaction():
        change = RetentionChange(
            profile, years, f"As our lawyer has advised us for {profile}, {years}."
        )
        update_retention(admin, change, get_practice().version)


def closed_case(coach, years_ago, *, screened=False, session=False, **given):
    """Make a case that was opened, worked on and closed on one day years ago."""
    with at(now() - years_ago * YEAR):
        made = builders.case(coach, **given)
        if screened:
            builders.screen(
                coach, made.client_id, **(screened if isinstance(screened, dict) else {})
            )
        if session:
            builders.note(coach, made.case_id)
        close(made)
    return made


def close(made):
    with transaction():
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))


def due(actor, shown="all", limit=20):
    found, cursor = [], None
    while True:
        page = list_due(actor, shown, cursor, limit)
        found += page.items
        cursor = page.next
        if cursor is None:
            db.session.rollback()
            return found


def numbers(found):
    assert len({one.client_id for one in found}) == len(found)
    return {one.numbers[0] for one in found}


def refusal(call, *given):
    with pytest.raises(RuleBroken) as refused:
        call(*given)
    db.session.rollback()
    return [reason.code for reason in refused.value.reasons]


def request(actor, made, ground="retention"):
    with transaction():
        return request_erasure(actor, lock_record(actor, made.number), ground)


def erase(actor, erasure_id):
    with transaction():
        erase_record(actor, lock_erasure(actor, erasure_id))


def test_draft_of_a_note_or_a_safety_plan_keeps_a_record_as_long_as_a_session(team):
    coach, admin = team["coach"], team["admin"]
    with at(now() - 3 * YEAR):
        made = builders.case(coach)
        builders.draft(coach, made.case_id)
        close(made)
        planned = builders.case(coach)
        with transaction():
            plan = lock_plan(coach, planned.client_id, SAFETY)
            write_plan(coach, plan, NewPlan(safety_plans.answers()), 0)
        close(planned)
    choose(admin)
    for client_id in (made.client_id, planned.client_id):
        assert find_term_of(client_id).period == "client"
    db.session.rollback()
    assert due(admin) == []
    assert refusal(request, coach, made) == ["not_due"]


def test_year_of_birth_that_does_not_open_keeps_that_record_longer_and_lists_the_others(team):
    coach, admin = team["coach"], team["admin"]
    made = closed_case(coach, 8, session=True)
    broken = closed_case(coach, 8, session=True, birth_year=1980)
    choose(admin)
    with transaction():
        where = Client.id == broken.client_id
        db.session.execute(sa.update(Client).where(where).values(birth_year=b"x" * 60))
    assert numbers(due(admin)) == {made.number}
    assert find_term_of(broken.client_id).period == "minor"


def test_year_of_birth_from_before_a_merge_counts(team):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    with at(now() - 2 * YEAR):
        made = builders.case(coach, "Zita Twice")
        builders.note(coach, made.case_id)
        young = {"agreed": True, "birth_year": today().year - 13}
        gone = builders.client(coach, "Zita Twice", **young)
        with transaction():
            why = NewMerge("She called twice.", despite_decision=True)
            merge_clients(supervisor, lock_merge(supervisor, gone, made.client_id), why, 1)
        close(made)
    choose(admin)
    assert find_term_of(made.client_id).period == "minor"


@pytest.mark.both
def test_records_are_due_by_what_happened_last_and_others_are_not_erased_for_that_ground(team):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    old = closed_case(coach, 8, session=True)
    at_risk = closed_case(coach, 8, screened={"circumstances": ["children_at_risk"]})
    enquiry = closed_case(coach, 2)
    young = closed_case(coach, 8, session=True, birth_year=today().year - 20)
    recent = closed_case(coach, 5, session=True)
    foreign = closed_case(team["coach2"], 8, session=True)
    opened = closed_case(coach, 9, session=True)
    with transaction():
        reopened = {"status": "open", "closed_at": None}
        db.session.execute(sa.update(Case).where(Case.id == opened.case_id).values(reopened))
    disclosed = closed_case(coach, 8, session=True)
    with transaction():
        entry = NewDisclosure(today(), "The client", "Two notes.", "She asked.")
        record_disclosure(coach, lock_client(coach, disclosed.client_id), entry)
    # Without a profile nothing is due.
    assert due(admin) == []
    assert refusal(request, coach, old) == ["no_retention_profile"]
    choose(admin)
    with pytest.raises(Forbidden):
        list_due(coach, "all", None, 9)
    assert numbers(due(admin)) == {old.number, foreign.number, enquiry.number}
    assert numbers(due(supervisor)) == {old.number, enquiry.number}
    # An admin isn't told by which period, nor since when: that would tell something about safety.
    assert {(one.period, one.due_on) for one in due(admin)} == {(None, None)}
    assert {one.period for one in due(supervisor)} == {"client", "enquiry"}
    assert numbers(due(admin, limit=1)) == {old.number, foreign.number, enquiry.number}
    assert find_term_of(at_risk.client_id).period == "children"
    db.session.rollback()
    for made in (young, recent, disclosed):
        assert refusal(request, coach, made) == ["not_due"]
    assert refusal(request, coach, opened) == ["open_case"]
    # For another ground nobody asks how old it is.
    assert request(coach, recent, "client")
    # A state that doesn't open keeps the record for longer, not from being erased for another ground.
    broken = closed_case(coach, 8, screened=True, session=True)
    assert broken.number in numbers(due(supervisor))
    with transaction():
        where = ClientSafety.client_id == broken.client_id
        db.session.execute(sa.update(ClientSafety).where(where).values(tag=b"x" * 16))
    assert find_term_of(broken.client_id).period == "children"
    db.session.rollback()
    assert numbers(due(supervisor)) == {old.number, enquiry.number}


def test_due_record_is_erased_by_two_people_unless_it_is_held_or_no_longer_due(team):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    made, kept = closed_case(coach, 8, session=True), closed_case(coach, 8, session=True)
    choose(admin)
    assert [one.has_legal_hold for one in due(admin)] == [False, False]
    with transaction():
        holds = lock_legal_holds(admin, kept.number)
        place_legal_hold(admin, holds, "claim", today() + timedelta(days=9))
    assert numbers(due(admin, "held")) == {kept.number}
    assert numbers(due(admin, "free")) == {made.number}
    assert refusal(request, coach, kept) == ["legal_hold"]
    erasure_id = request(coach, made)
    assert {one.client_id for one in due(supervisor) if one.is_requested} == {made.client_id}
    choose(admin, client=9)
    assert refusal(erase, supervisor, erasure_id) == ["not_due"]
    assert due(admin) == []
    choose(admin)
    erase(supervisor, erasure_id)
    assert get_erasure(admin, erasure_id).state == "done"
    db.session.rollback()
    assert numbers(due(admin)) == {kept.number}
