from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEntry
from caseapp.domain.cases.facts import APART, FACTS, OUTCOMES
from caseapp.domain.cases.models import Case, CaseCounter
from caseapp.domain.cases.operations import change_case, close_case, open_case, reopen_case
from caseapp.domain.cases.queries import CaseFilter, case_by_number, case_head, list_cases, steps_of
from caseapp.domain.cases.schemas import CaseDetails, Closing, ClosingSchema, DetailsSchema
from caseapp.domain.followups.queries import followups_of
from tests.support import builders, staff
from tests.support.concurrency import together

pytestmark = pytest.mark.both

TODAY = datetime(2026, 5, 14, 12, tzinfo=UTC)
NOTHING = CaseDetails({}, "undecided", None)
TOGETHER = Closing("reunited", "decision", "done", "", follow_up_consent=False, follow_up_on=None)


def day(number):
    return at(TODAY + timedelta(days=number))


@pytest.fixture
def team(app):
    with day(-60):
        return staff.team()


@pytest.fixture
def made(team):
    with day(-30):
        return builders.case(team["coach"])


def row(made):
    db.session.rollback()
    return db.session.get(Case, made.case_id, populate_existing=True)


def close(actor, made, closing=TOGETHER, version=None):
    with day(0):
        version = version or row(made).version
        with transaction():
            close_case(actor, made.case_id, closing, version)


def reopen(actor, made, version=None):
    with day(1):
        version = version or row(made).version
        with transaction():
            reopen_case(actor, made.case_id, "She rang.", version)


def code(call):
    with pytest.raises(RuleBroken) as broken:
        call()
    return broken.value.reasons[0].code


def test_a_case_opens_in_the_first_stage(team, made):
    head = case_by_number(team["coach"], made.number)
    assert (head.case.id, head.stage.id, head.coach) == (made.case_id, "steady", "Marta Lindqvist")
    assert [step.kind for step in steps_of(head)] == ["opened"]


def test_numbers_count_on_within_the_year(team):
    with day(0):
        first = [builders.case(team["coach"]).number for _ in range(3)]
    with at(datetime(2027, 1, 1, 12, tzinfo=UTC)):
        next_year = builders.case(team["coach"]).number
    assert first == ["C-2026-0001", "C-2026-0002", "C-2026-0003"]
    assert next_year == "C-2027-0001"


def test_a_rollback_leaves_no_gap(team):
    client_id = builders.client(team["coach"])
    with day(0):
        with pytest.raises(Forbidden), transaction():
            open_case(team["coach"], client_id, NOTHING, coach_id=team["coach"].id)
            open_case(team["admin"], client_id, NOTHING, coach_id=team["coach"].id)
        assert builders.case(team["coach"]).number == "C-2026-0001"
    assert db.session.scalar(sa.select(CaseCounter.last)) == 1


def test_cases_opened_at_once_get_numbers_of_their_own(team, app):
    with day(-1):
        clients = [builders.client(team["coach"]) for _ in range(8)]

    def one(number):
        with day(0), transaction():
            case_id = open_case(team["coach"], clients[number], NOTHING, coach_id=team["coach"].id)
            return case_head(team["coach"], case_id).case.number

    assert sorted(together(app, 8, one)) == [f"C-2026-000{n}" for n in range(1, 9)]


def test_a_client_has_one_open_case_however_many_ask_at_once(team, app):
    client_id = builders.client(team["coach"])

    def one(_number):
        with transaction():
            return open_case(team["coach"], client_id, NOTHING, coach_id=team["coach"].id)

    answers = together(app, 6, one)
    assert sum(isinstance(answer, UUID) for answer in answers) == 1
    assert sum(isinstance(answer, RuleBroken) for answer in answers) == 5, answers
    assert code(lambda: one(0)) == "case_open"


def test_the_database_itself_refuses_a_second_open_case(team, made):
    first = dict(db.session.execute(sa.select(Case.__table__)).mappings().one())
    other = first | {"id": UUID(int=1), "number": "C-2026-9999"}
    second = sa.insert(Case.__table__).values(other)  # type: ignore[arg-type]
    with pytest.raises(sa.exc.IntegrityError), transaction() as session:
        session.execute(second)


def test_a_foreign_case_looks_like_none_at_all(team, made):
    for case_id, number in ((made.case_id, made.number), (UUID(int=1), "C-1999-0001")):
        for call in (
            lambda case_id, _: case_head(team["coach2"], case_id),
            lambda _, number: case_by_number(team["coach2"], number),
            lambda case_id, _: change_case(team["coach2"], case_id, NOTHING, 1),
            lambda case_id, _: close_case(team["coach2"], case_id, TOGETHER, 1),
            lambda case_id, _: reopen_case(team["coach2"], case_id, "why", 1),
        ):
            with pytest.raises(NotFound, match="nothing here"):
                call(case_id, number)
    for attempt in (
        lambda: case_head(team["admin"], made.case_id),
        lambda: list_cases(team["admin"], CaseFilter(), None, 10),
        lambda: close_case(team["admin"], made.case_id, TOGETHER, 1),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_facts_are_sealed_and_their_words_stay_out_of_the_log(team, made):
    details = CaseDetails({"gender": "a rare word", "order": "none"}, "together", None)
    with day(0), transaction():
        change_case(team["coach"], made.case_id, details, 1)
    head = case_head(team["coach"], made.case_id)
    assert head.facts == {"gender": "a rare word", "order": "none"}
    assert head.case.goal_chosen_on == date(2026, 5, 14)
    assert b"rare" not in head.case.facts
    entry = db.session.scalar(sa.select(AuditEntry).where(AuditEntry.action == "case.edit"))
    assert entry.details == {"fields": ["gender", "order"]}


def test_two_who_save_at_once_do_not_overwrite_each_other(team, made, app):
    def save(number):
        with transaction():
            change_case(
                team["coach"], made.case_id, CaseDetails({"children": number}, "other", None), 1
            )

    answers = together(app, 4, save)
    assert answers.count(None) == 1
    assert sum(isinstance(answer, Stale) for answer in answers) == 3, answers
    db.session.rollback()
    assert case_head(team["coach"], made.case_id).facts == {"children": answers.index(None)}


def test_every_fact_has_a_label_and_choices_that_the_schema_takes():
    for fact in FACTS:
        assert fact.label
        if fact.options:
            value = next(iter(fact.options))
            raw = {fact.name: [value] if fact.kind == "several" else value}
            assert not DetailsSchema().validate(raw), fact.name
            assert DetailsSchema().validate({fact.name: "made up"}), fact.name


# Closing


def screen(team, made, number=-1, **levels):
    with day(number):
        builders.screen(team["coach"], made.client_id, **levels)


def test_a_case_closes_after_a_final_screening(team, made):
    screen(team, made)
    close(team["coach"], made)
    found = row(made)
    assert (found.status, found.stage, found.outcome) == ("closed", "close", "reunited")
    assert found.closed_at == TODAY
    assert followups_of(team["coach"], made.client_id) == []
    assert code(lambda: close(team["coach"], made)) == "case_closed"


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_after_a_parting_the_client_is_screened_again_within_a_week(team, made, outcome):
    screen(team, made)
    close(team["coach"], made, replace(TOGETHER, outcome=outcome))
    tasks = {task.kind: task for task in followups_of(team["coach"], made.client_id)}
    assert ("close_screening" in tasks) == (outcome in APART)
    if outcome in APART:
        assert tasks["close_screening"].due_at == TODAY + timedelta(days=7)
        assert tasks["close_screening"].assigned_to == team["coach"].id


def test_a_check_in_follows_only_with_consent(team, made):
    screen(team, made)
    on = date(2026, 6, 20)
    close(team["coach"], made, replace(TOGETHER, follow_up_on=on))
    assert row(made).follow_up_on is None
    reopen(team["coach"], made)
    close(team["coach"], made, replace(TOGETHER, follow_up_on=on, follow_up_consent=True))
    assert row(made).follow_up_on == on
    [task] = followups_of(team["coach"], made.client_id)
    assert (task.kind, task.due_at.date()) == ("close_check_in", on)


@pytest.mark.parametrize("who", ["coach", "supervisor"])
@pytest.mark.parametrize("final", ["done", "not_possible"])
def test_nobody_closes_a_case_under_a_safety_hold(team, made, who, final):
    screen(team, made, self_harm="concern")
    closing = replace(TOGETHER, final_screening=final)
    assert code(lambda: close(team[who], made, closing)) == "hold_open"


@pytest.mark.parametrize(
    "screenings",
    [[], [(-15, {})], [(-1, {"sleep": None})], [(-20, {}), (-1, {"fear_at_home": None})]],
)
def test_done_means_a_full_screening_of_the_last_two_weeks(team, made, screenings):
    for number, levels in screenings:
        screen(team, made, number, **levels)
    assert code(lambda: close(team["coach"], made)) == "final_screening"
    assert row(made).status == "open"


@pytest.mark.parametrize(
    ("levels", "closes"),
    [(None, True), ({}, True), ({"sleep": "watch"}, True), ({"sleep": "concern"}, False)],
)
def test_without_a_final_screening_the_last_level_decides_who_may_close(team, made, levels, closes):
    if levels is not None:
        screen(team, made, **levels)
    closing = replace(TOGETHER, final_screening="not_possible", why_not_screened="Moved away.")
    if closes:
        close(team["coach"], made, closing)
        assert steps_of(case_head(team["coach"], made.case_id))[0].reason == "Moved away."
    else:
        assert code(lambda: close(team["coach"], made, closing)) == "supervisor_needed"
        close(team["supervisor"], made, closing)
        assert case_head(team["coach"], made.case_id).safety.hold == "care"


def test_a_case_that_changed_meanwhile_is_not_closed(team, made):
    screen(team, made)
    with pytest.raises(Stale):
        close(team["coach"], made, version=9)
    assert row(made).status == "open"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"outcome": "won"}, "outcome"),
        ({"reason": ""}, "reason"),
        ({"final_screening": "later"}, "final_screening"),
        ({"final_screening": "not_possible"}, "why_not_screened"),
        ({"follow_up_consent": True}, "follow_up_on"),
        ({"follow_up_on": "soon"}, "follow_up_on"),
    ],
)
def test_a_closing_that_makes_no_sense_is_refused_by_name(changed, field):
    whole = {"outcome": "reunited", "reason": "decision", "final_screening": "done"}
    assert not ClosingSchema().validate(whole)
    assert list(ClosingSchema().validate({**whole, **changed})) == [field]


# Reopening


def test_a_reopened_case_starts_steady_and_brings_its_holds_and_flags_back(team, made):
    screen(team, made, sleep="concern", self_harm="watch")
    closing = replace(TOGETHER, final_screening="not_possible", why_not_screened="Gone.")
    close(team["supervisor"], made, closing)
    reopen(team["coach"], made)
    head = case_head(team["coach"], made.case_id)
    assert (head.case.status, head.case.stage) == ("open", "steady")
    assert (head.case.closed_at, head.case.outcome, head.case.close_reason) == (None, None, None)
    assert (head.safety.hold, set(head.safety.flags)) == ("care", {"self_harm_flag"})
    assert [step.kind for step in steps_of(head)] == ["reopened", "closed", "opened"]
    assert code(lambda: reopen(team["coach"], made)) == "case_open"


def test_not_beside_another_open_case(team, made):
    screen(team, made)
    close(team["coach"], made)
    with day(0), transaction():
        open_case(team["coach"], made.client_id, NOTHING, coach_id=team["coach"].id)
    assert code(lambda: reopen(team["coach"], made)) == "case_open"


def test_a_stale_reopening_changes_nothing(team, made):
    screen(team, made)
    close(team["coach"], made)
    with pytest.raises(Stale):
        reopen(team["coach"], made, version=1)
    assert row(made).status == "closed"


# Lists


def numbers(actor, limit=50, **wanted):
    return [item.number for item in list_cases(actor, CaseFilter(**wanted), None, limit).items]


def test_the_caseload_is_narrowed_and_newest_first(team):
    with day(-3):
        old = builders.case(team["coach"], "Zoë Müller")
    with day(-2):
        theirs = builders.case(team["coach2"], "Ana Ruiz")
    with day(-1):
        new = builders.case(team["coach"], "Eva Blum", email="eva@example.test")
        builders.screen(team["coach"], new.client_id, sleep="concern")
    assert numbers(team["coach"]) == [new.number, old.number]
    assert numbers(team["supervisor"]) == [new.number, old.number]
    assert numbers(team["coach2"]) == [theirs.number]
    assert numbers(team["coach"], hold="any") == numbers(team["coach"], hold="care") == [new.number]
    assert numbers(team["coach"], hold="safety") == []
    assert numbers(team["coach"], q="mull") == [old.number]
    assert numbers(team["coach"], q=old.number.lower()) == [old.number]
    assert numbers(team["coach"], q="eva@example.test") == [new.number]
    assert numbers(team["coach"], q="ruiz") == []
    assert numbers(team["coach"], q=theirs.number) == []
    assert numbers(team["coach"], stage="steady", status="open") == [new.number, old.number]
    assert numbers(team["coach"], status="closed") == []
    assert numbers(team["coach"], coach_id=team["coach2"].id) == []
    assert numbers(team["coach"], updated_since=TODAY - timedelta(days=2)) == [new.number]


def statements(call):
    seen = []

    def count(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", count)
    try:
        call()
    finally:
        event.remove(db.engine, "before_cursor_execute", count)
    return len(seen)


def test_a_list_and_a_case_cost_the_same_however_much_there_is(team):
    first = builders.case(team["coach"])

    def look():
        db.session.rollback()
        list_cases(team["coach"], CaseFilter(q="client"), None, 25)
        case_head(team["coach"], first.case_id)

    look()
    few = statements(look)
    for _ in range(12):
        builders.case(team["coach"])
    for number in range(-9, 0):
        with day(number):
            builders.screen(team["coach"], first.client_id, sleep="concern")
    assert statements(look) == few
