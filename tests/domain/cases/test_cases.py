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
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.facts import FACTS, OUTCOMES, OUTCOMES_APART
from caseapp.domain.cases.models import Case, CaseCounter
from caseapp.domain.cases.operations import close_case, open_case, reopen_case, update_case
from caseapp.domain.cases.queries import (
    CaseFilter,
    get_case_context,
    get_case_context_by_number,
    list_case_events,
    list_cases,
    lock_case,
)
from caseapp.domain.cases.schemas import (
    CaseClosing,
    CaseClosingSchema,
    CaseDetails,
    CaseDetailsSchema,
)
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.queries import list_client_followups
from tests.support import builders
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

TODAY = datetime(2026, 5, 14, 12, tzinfo=UTC)
NOTHING = CaseDetails({}, "undecided", None)
TOGETHER = CaseClosing(
    "reunited", "decision", "done", "", follow_up_consent=False, follow_up_on=None
)


def day(number):
    return at(TODAY + timedelta(days=number))


@pytest.fixture
def made(team):
    with day(-30):
        return builders.case(team["coach"])


def row(made):
    db.session.rollback()
    return db.session.get(Case, made.case_id, populate_existing=True)


def close(actor, made, closing=TOGETHER, version=None, hours=0):
    with at(TODAY + timedelta(hours=hours)):
        version = version or row(made).version
        with transaction():
            close_case(actor, lock_case(actor, made.case_id), closing, version)


def start(coach, client_id, *, actor=None):
    client = lock_client(coach, client_id)
    return open_case(actor or coach, client, NOTHING, coach_id=coach.id)


def reopen(actor, made, version=None):
    with day(1):
        version = version or row(made).version
        with transaction():
            reopen_case(actor, lock_case(actor, made.case_id), "She rang.", version)


def code(call):
    with pytest.raises(RuleBroken) as broken:
        call()
    return broken.value.reasons[0].code


def test_open_case_starts_in_steady(team, made):
    context = get_case_context_by_number(team["coach"], made.number)
    assert (context.case.id, context.stage.id, context.coach) == (
        made.case_id,
        "steady",
        "Marta Lindqvist",
    )
    assert [step.kind for step in list_case_events(context)] == ["opened"]


def test_case_numbers_are_consecutive_within_a_year(team):
    with day(0):
        first = [builders.case(team["coach"]).number for _ in range(3)]
    with at(datetime(2027, 1, 1, 12, tzinfo=UTC)):
        next_year = builders.case(team["coach"]).number
    assert first == ["C-2026-0001", "C-2026-0002", "C-2026-0003"]
    assert next_year == "C-2027-0001"


def test_case_number_after_rollback_leaves_no_gap(team):
    client_id = builders.client(team["coach"])
    with day(0):
        with pytest.raises(Forbidden), transaction():
            start(team["coach"], client_id)
            start(team["coach"], client_id, actor=team["admin"])
        assert builders.case(team["coach"]).number == "C-2026-0001"
    assert db.session.scalar(sa.select(CaseCounter.last)) == 1


@pytest.mark.slow
def test_cases_opened_concurrently_get_different_numbers(team, app):
    with day(-1):
        clients = [builders.client(team["coach"]) for _ in range(8)]

    def one(number):
        with day(0), transaction():
            case_id = start(team["coach"], clients[number])
            return get_case_context(team["coach"], case_id).case.number

    assert sorted(run_concurrently(app, 8, one)) == [f"C-2026-000{n}" for n in range(1, 9)]


def test_cases_opened_concurrently_for_one_client_open_one(team, app):
    client_id = builders.client(team["coach"])

    def one(_number):
        with transaction():
            return start(team["coach"], client_id)

    answers = run_concurrently(app, 6, one)
    assert sum(isinstance(answer, UUID) for answer in answers) == 1
    assert sum(isinstance(answer, RuleBroken) for answer in answers) == 5, answers
    assert code(lambda: one(0)) == "case_open"


def test_second_open_case_is_refused_by_database(team, made):
    first = dict(db.session.execute(sa.select(Case.__table__)).mappings().one())
    other = first | {"id": UUID(int=1), "number": "C-2026-9999"}
    second = sa.insert(Case.__table__).values(other)  # type: ignore[arg-type]
    with pytest.raises(sa.exc.IntegrityError), transaction() as session:
        session.execute(second)


def test_case_of_other_coach_is_not_found(team, made):
    for case_id, number in ((made.case_id, made.number), (UUID(int=1), "C-1999-0001")):
        for call in (
            lambda case_id, _: get_case_context(team["coach2"], case_id),
            lambda _, number: get_case_context_by_number(team["coach2"], number),
            lambda case_id, _: lock_case(team["coach2"], case_id),
            lambda _, number: lock_case(team["coach2"], number),
        ):
            with pytest.raises(NotFound, match="could not find"), transaction():
                call(case_id, number)
    for attempt in (
        lambda: get_case_context(team["admin"], made.case_id),
        lambda: list_cases(team["admin"], CaseFilter(), None, 10),
        lambda: lock_case(team["admin"], made.case_id),
        lambda: close_case(team["admin"], lock_case(team["coach"], made.case_id), TOGETHER, 1),
    ):
        with pytest.raises(Forbidden), transaction():
            attempt()


def test_facts_are_sealed_and_not_in_audit_log(team, made):
    details = CaseDetails({"gender": "a rare word", "order": "none"}, "together", None)
    with day(0), transaction():
        update_case(team["coach"], lock_case(team["coach"], made.case_id), details, 1)
    context = get_case_context(team["coach"], made.case_id)
    assert context.facts == {"gender": "a rare word", "order": "none"}
    assert context.case.goal_chosen_on == date(2026, 5, 14)
    assert b"rare" not in context.case.facts
    entry = db.session.scalar(sa.select(AuditEvent).where(AuditEvent.action == "case.edit"))
    assert entry.details == {"fields": ["gender", "order"]}


def test_concurrent_updates_do_not_overwrite_each_other(team, made, app):
    def save(number):
        with transaction():
            update_case(
                team["coach"],
                lock_case(team["coach"], made.case_id),
                CaseDetails({"children": number}, "other", None),
                1,
            )

    answers = run_concurrently(app, 4, save)
    assert answers.count(None) == 1
    assert sum(isinstance(answer, Stale) for answer in answers) == 3, answers
    db.session.rollback()
    assert get_case_context(team["coach"], made.case_id).facts == {"children": answers.index(None)}


def test_fact_options_are_accepted_by_schema():
    for fact in FACTS:
        assert fact.label
        if fact.options:
            value = next(iter(fact.options))
            raw = {fact.name: [value] if fact.kind == "multiple" else value}
            assert not CaseDetailsSchema().validate(raw), fact.name
            assert CaseDetailsSchema().validate({fact.name: "made up"}), fact.name


# Closing


def screen(team, made, number=-1, **levels):
    with day(number):
        builders.screen(team["coach"], made.client_id, **levels)


def test_close_case_after_final_screening_succeeds(team, made):
    screen(team, made)
    close(team["coach"], made)
    found = row(made)
    assert (found.status, found.stage, found.outcome) == ("closed", "close", "reunited")
    assert found.closed_at == TODAY
    assert list_client_followups(team["coach"], made.client_id) == []
    assert code(lambda: close(team["coach"], made)) == "case_closed"


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_closing_apart_creates_screening_task_within_a_week(team, made, outcome):
    screen(team, made, 0)
    close(team["coach"], made, replace(TOGETHER, outcome=outcome))
    tasks = {task.kind: task for task in list_client_followups(team["coach"], made.client_id)}
    assert ("close_screening" in tasks) == (outcome in OUTCOMES_APART)
    if outcome in OUTCOMES_APART:
        assert tasks["close_screening"].due_at == TODAY + timedelta(days=7)
        assert tasks["close_screening"].assigned_to == team["coach"].id


@pytest.mark.parametrize("final", ["done", "not_possible"])
@pytest.mark.parametrize("who", ["coach", "supervisor"])
@pytest.mark.parametrize("outcome", sorted(OUTCOMES_APART))
def test_closing_apart_without_a_full_screening_of_the_day_is_refused(
    team, made, outcome, who, final
):
    closing = replace(
        TOGETHER, outcome=outcome, final_screening=final, not_screened_reason="In a hurry."
    )
    screen(team, made)
    assert code(lambda: close(team[who], made, closing)) == "screening_of_the_day"
    screen(team, made, 0, sleep=None)
    assert code(lambda: close(team[who], made, closing)) == "screening_of_the_day"
    assert row(made).status == "open"
    screen(team, made, 0)
    close(team[who], made, closing)
    assert row(made).outcome == outcome


def test_closing_apart_needs_fear_asked_alone_as_every_final_screening(team, made):
    closing = replace(TOGETHER, outcome="separated")
    screen(team, made, 0, asked_alone=False)
    assert code(lambda: close(team["coach"], made, closing)) == "final_screening"
    screen(team, made, 0)
    close(team["coach"], made, closing)


def test_closing_apart_after_a_clock_ran_ahead_needs_a_screening_of_now(team, made):
    closing = replace(TOGETHER, outcome="separated")
    with at(TODAY + timedelta(hours=1)):
        builders.screen(team["coach"], made.client_id)
    assert code(lambda: close(team["coach"], made, closing)) == "screening_of_the_day"
    screen(team, made, 0)
    close(team["coach"], made, closing)


@pytest.mark.parametrize(("hours", "same_day"), [(10, True), (11, False)])
def test_day_of_a_closing_is_that_of_the_practice(team, made, hours, same_day):
    """A screening counts until midnight in London, where the TODAY of these tests is at 13:00."""
    screen(team, made, 0)
    closing = replace(TOGETHER, outcome="separated")
    if same_day:
        close(team["coach"], made, closing, hours=hours)
    else:
        refused = code(lambda: close(team["coach"], made, closing, hours=hours))
        assert refused == "screening_of_the_day"


def test_check_in_is_created_only_with_consent(team, made):
    screen(team, made)
    on = date(2026, 6, 20)
    close(team["coach"], made, replace(TOGETHER, follow_up_on=on))
    assert row(made).follow_up_on is None
    reopen(team["coach"], made)
    close(team["coach"], made, replace(TOGETHER, follow_up_on=on, follow_up_consent=True))
    assert row(made).follow_up_on == on
    [task] = list_client_followups(team["coach"], made.client_id)
    assert (task.kind, task.due_at.date()) == ("close_check_in", on)


@pytest.mark.parametrize("who", ["coach", "supervisor"])
@pytest.mark.parametrize("final", ["done", "not_possible"])
def test_close_case_with_safety_hold_is_refused(team, made, who, final):
    screen(team, made, self_harm="concern")
    closing = replace(TOGETHER, final_screening=final)
    assert code(lambda: close(team[who], made, closing)) == "hold_open"


@pytest.mark.parametrize(
    "screenings",
    [[], [(-15, {})], [(-1, {"sleep": None})], [(-20, {}), (-1, {"fear_at_home": None})]],
)
def test_final_screening_done_requires_recent_full_screening(team, made, screenings):
    for number, levels in screenings:
        screen(team, made, number, **levels)
    assert code(lambda: close(team["coach"], made)) == "final_screening"
    assert row(made).status == "open"


@pytest.mark.parametrize(
    ("levels", "closes"),
    [(None, True), ({}, True), ({"sleep": "watch"}, True), ({"sleep": "concern"}, False)],
)
def test_close_without_final_screening_depends_on_last_level(team, made, levels, closes):
    if levels is not None:
        screen(team, made, **levels)
    closing = replace(TOGETHER, final_screening="not_possible", not_screened_reason="Moved away.")
    if closes:
        close(team["coach"], made, closing)
        assert (
            list_case_events(get_case_context(team["coach"], made.case_id))[0].reason
            == "Moved away."
        )
    else:
        assert code(lambda: close(team["coach"], made, closing)) == "supervisor_needed"
        close(team["supervisor"], made, closing)
        assert get_case_context(team["coach"], made.case_id).safety.hold == "care"


def test_close_case_with_old_version_is_stale(team, made):
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
        ({"final_screening": "not_possible"}, "not_screened_reason"),
        (
            {"final_screening": "not_possible", "not_screened_reason": "---"},
            "not_screened_reason",
        ),
        ({"follow_up_consent": True}, "follow_up_on"),
        ({"follow_up_on": "soon"}, "follow_up_on"),
    ],
)
def test_invalid_closing_names_the_field(changed, field):
    whole = {"outcome": "reunited", "reason": "decision", "final_screening": "done"}
    assert not CaseClosingSchema().validate(whole)
    assert list(CaseClosingSchema().validate({**whole, **changed})) == [field]


# Reopening


def test_reopened_case_starts_in_steady_with_holds_and_flags(team, made):
    screen(team, made, sleep="concern", self_harm="watch")
    closing = replace(TOGETHER, final_screening="not_possible", not_screened_reason="Gone.")
    close(team["supervisor"], made, closing)
    reopen(team["coach"], made)
    context = get_case_context(team["coach"], made.case_id)
    assert (context.case.status, context.case.stage) == ("open", "steady")
    assert (context.case.closed_at, context.case.outcome, context.case.close_reason) == (
        None,
        None,
        None,
    )
    assert (context.safety.hold, set(context.safety.flags)) == ("care", {"self_harm_flag"})
    assert [step.kind for step in list_case_events(context)] == ["reopened", "closed", "opened"]
    assert code(lambda: reopen(team["coach"], made)) == "case_open"


def test_reopen_case_with_another_open_case_is_refused(team, made):
    screen(team, made)
    close(team["coach"], made)
    with day(0), transaction():
        start(team["coach"], made.client_id)
    assert code(lambda: reopen(team["coach"], made)) == "case_open"


def test_reopen_case_with_old_version_is_stale(team, made):
    screen(team, made)
    close(team["coach"], made)
    with pytest.raises(Stale):
        reopen(team["coach"], made, version=1)
    assert row(made).status == "closed"


# Lists


def numbers(actor, limit=50, **wanted):
    return [item.number for item in list_cases(actor, CaseFilter(**wanted), None, limit).items]


@pytest.mark.slow
def test_list_cases_applies_filters_and_sorts_newest_first(team):
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


@pytest.mark.slow
def test_statement_count_is_independent_of_row_count(team):
    first = builders.case(team["coach"])

    def look():
        db.session.rollback()
        list_cases(team["coach"], CaseFilter(q="client"), None, 25)
        get_case_context(team["coach"], first.case_id)

    look()
    few = statements(look)
    for _ in range(12):
        builders.case(team["coach"])
    for number in range(-9, 0):
        with day(number):
            builders.screen(team["coach"], first.client_id, sleep="concern")
    assert statements(look) == few
