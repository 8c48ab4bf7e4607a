from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caseapp.audit.models import AuditEntry
from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.followups.operations import complete_followup
from caseapp.followups.queries import followups_of, tasks_from
from caseapp.screening.models import Flag, Hold, Screening
from caseapp.screening.operations import clear_hold, lower_flag, raise_flag, record_screening
from caseapp.screening.protocol import ITEMS, demanded
from caseapp.screening.queries import (
    flags_of,
    holds_of,
    recent_screenings,
    safety_of,
    screening_shown,
    screenings_of,
    what_keeps,
)
from caseapp.screening.schemas import LEVEL_NAMES, NewScreening, ReasonSchema, ScreeningSchema
from tests import build, people
from tests.together import together

START = datetime(2026, 5, 14, 12, tzinfo=UTC)
REASON = "Two steady weeks and a plan on file."
KEYS = [item.key for item in ITEMS]


def day(number):
    return at(START + timedelta(days=number))


@pytest.fixture
def team(app):
    with day(-1):
        found = people.team()
        found["supervisor2"] = people.add("supervisor2", role="supervisor")
    return found


@pytest.fixture
def ines(team):
    with day(-1):
        return build.client(team["coach"])


def only_hold(client_id):
    db.session.rollback()
    [hold] = db.session.scalars(sa.select(Hold).where(Hold.client_id == client_id))
    return hold


def open_holds(client_id):
    db.session.rollback()
    return {hold.kind: hold for hold in safety_of(client_id).holds}


def finish_tasks(actor, client_id):
    with transaction():
        for task in followups_of(actor, client_id, open_only=True):
            complete_followup(actor, task.id, "Done and written down.", task.version)


def keeps(hold, actor):
    db.session.rollback()
    return [reason.code for reason in what_keeps(db.session.get(Hold, hold.id), actor)]


def clear(actor, hold, reason=REASON, version=None):
    db.session.rollback()
    with transaction():
        clear_hold(actor, hold.id, reason, version or db.session.get(Hold, hold.id).version)


def test_a_screening_and_all_that_it_demands_are_one_change(team, ines):
    with day(0):
        screening_id = build.screen(team["coach"], ines, self_harm="urgent", sleep="concern")
    record = screening_shown(team["coach"], screening_id)
    assert record.levels["self_harm"] == 3
    holds = open_holds(ines)
    assert set(holds) == {"care", "safety"}
    assert holds["safety"].reasons == [
        {"item": "self_harm", "level": 3, "screening": str(screening_id)}
    ]
    assert {flag.kind for flag in flags_of(team["coach"], ines)} == {"self_harm_flag"}
    tasks = tasks_from(holds["safety"].id)
    assert {task.kind for task in tasks} == set(demanded(record.levels, record.at).tasks)
    assert {task.due_at - record.at for task in tasks if task.kind == "safety_24h"} == {
        timedelta(hours=24)
    }
    assert {task.assigned_to for task in tasks} == {team["coach"].id}
    assert list(tasks_from(holds["care"].id)) == []


def test_a_fault_in_any_part_leaves_nothing_half_done(team, ines):
    """The last part to be written is the log entry; without it there is no screening either."""
    with transaction() as session:
        session.execute(sa.text("ALTER TABLE audit_entry RENAME TO audit_entry_gone"))
    with pytest.raises(sa.exc.DBAPIError), day(0):
        build.screen(team["coach"], ines, self_harm="urgent")
    db.session.rollback()
    for table in (Screening, Hold, Flag):
        assert db.session.scalar(sa.select(sa.func.count()).select_from(table)) == 0
    assert followups_of(team["coach"], ines) == []


def test_nothing_asked_is_no_screening(team, ines):
    with pytest.raises(Invalid):
        build.screen(team["coach"], ines, **dict.fromkeys(KEYS))
    assert recent_screenings(ines) == []


def test_a_second_urgent_screening_joins_the_open_hold_and_alerts_again(team, ines):
    with day(0):
        first = build.screen(team["coach"], ines, self_harm="urgent")
        finish_tasks(team["coach"], ines)
    with day(1):
        second = build.screen(team["coach"], ines, fear_at_home="urgent")
    hold = only_hold(ines)
    assert [(r["item"], r["screening"]) for r in hold.reasons] == [
        ("self_harm", str(first)),
        ("fear_at_home", str(second)),
    ]
    assert hold.opened_at == START
    again = {task.kind for task in tasks_from(hold.id) if task.done_at is None}
    assert {"tell_supervisor", "safety_24h", "emergency_steps"} <= again


def test_two_urgent_screenings_at_the_same_moment_open_one_hold(team, ines, app):
    answers = together(app, 4, lambda _: build.screen(team["coach"], ines, self_harm="urgent"))
    assert all(isinstance(answer, UUID) for answer in answers), answers
    hold = only_hold(ines)
    assert len(hold.reasons) == 4
    kinds = [task.kind for task in followups_of(team["coach"], ines, open_only=True)]
    assert len(kinds) == len(set(kinds))


def test_a_safety_hold_opens_beside_a_care_hold_and_is_the_stricter(team, ines):
    with day(0):
        build.screen(team["coach"], ines, sleep="concern")
    assert safety_of(ines).hold == "care"
    with day(1):
        build.screen(team["coach"], ines, sleep="urgent")
    assert set(open_holds(ines)) == {"care", "safety"}
    assert safety_of(ines).hold == "safety"


@pytest.fixture
def held(team, ines):
    """Give a safety hold for which everything is done by somebody other than the second supervisor."""
    with day(0):
        build.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        build.screen(team["coach"], ines)
    return only_hold(ines)


def test_a_safety_hold_ends_by_a_second_persons_written_reason(team, held, ines):
    with day(8):
        assert keeps(held, team["supervisor"]) == []
        clear(team["supervisor"], held)
    hold = only_hold(ines)
    assert (hold.cleared_by, hold.cleared_at) == (team["supervisor"].id, START + timedelta(days=8))
    assert REASON.encode() not in hold.clear_reason
    assert open_holds(ines) == {}
    with pytest.raises(RuleBroken) as refused:
        clear(team["supervisor"], hold)
    assert refused.value.reasons[0].code == "already_cleared"


def test_without_a_fresh_screening_it_stays(team, ines):
    with day(-1):
        build.screen(team["coach"], ines)
    with day(0):
        build.screen(team["coach"], ines, self_harm="urgent")
        finish_tasks(team["coach"], ines)
    with day(8):
        assert keeps(only_hold(ines), team["supervisor"]) == ["screening_not_steady"]


@pytest.mark.parametrize(
    "levels",
    [{"sleep": "concern"}, {"sleep": None}, {"fear_at_home": None}, {"self_harm": "concern"}],
)
def test_a_screening_with_a_gap_or_a_concern_keeps_it(team, ines, levels):
    with day(0):
        build.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        build.screen(team["coach"], ines)
    with day(9):
        build.screen(team["coach"], ines, **levels)
        finish_tasks(team["coach"], ines)
        assert keeps(open_holds(ines)["safety"], team["supervisor"]) == ["screening_not_steady"]


def test_watch_is_steady_enough(team, ines):
    with day(0):
        build.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        build.screen(team["coach"], ines, **dict.fromkeys(KEYS, "watch"))
        assert keeps(only_hold(ines), team["supervisor"]) == []


def test_every_task_of_the_hold_keeps_it(team, ines):
    with day(0):
        build.screen(team["coach"], ines, self_harm="urgent")
    hold = only_hold(ines)
    with day(8):
        build.screen(team["coach"], ines)
        count = len(tasks_from(hold.id))
        assert count == 10
        for left in range(count, 0, -1):
            assert keeps(hold, team["supervisor"]) == ["task_open"] * left
            task = next(task for task in tasks_from(hold.id) if task.done_at is None)
            with transaction():
                complete_followup(team["coach"], task.id, "Done.", task.version)
        assert keeps(hold, team["supervisor"]) == []


def test_whoever_opened_it_is_not_the_second_person(team):
    with day(-1):
        client_id = build.client(team["supervisor"])
    with day(0):
        build.screen(team["supervisor"], client_id, self_harm="urgent")
    hold = only_hold(client_id)
    with day(8):
        finish_tasks(team["supervisor"], client_id)
        build.screen(team["supervisor"], client_id)
        assert keeps(hold, team["supervisor"]) == ["second_person_needed"]
        with pytest.raises(RuleBroken):
            clear(team["supervisor"], hold)
        assert keeps(hold, team["supervisor2"]) == []


def test_whoever_did_the_last_screening_is_not_the_second_person_either(team, ines):
    with day(0):
        build.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        build.screen(team["supervisor"], ines)
        assert keeps(only_hold(ines), team["supervisor"]) == ["second_person_needed"]


def test_a_coach_and_an_admin_clear_nothing_and_a_foreign_hold_is_not_there(team, held):
    with day(8):
        for who in ("coach", "coach2", "admin"):
            with pytest.raises(Forbidden):
                clear(team[who], held)
        with pytest.raises(NotFound):
            clear(team["supervisor2"], held)
        with pytest.raises(NotFound), transaction():
            clear_hold(team["supervisor"], UUID(int=1), REASON, 1)


def test_a_hold_that_changed_meanwhile_is_stale(team, held):
    with day(8), pytest.raises(Stale):
        clear(team["supervisor"], held, version=held.version + 1)


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        ((1,), ["only_one_steady_screening"]),
        ((1, 7), ["only_one_steady_screening"]),
        ((1, 8), []),
        ((1, 4, 8), []),
        ((1, 30), []),
    ],
)
def test_a_care_hold_ends_after_two_steady_screenings_a_week_apart(team, ines, days, kept):
    with day(0):
        build.screen(team["coach"], ines, sleep="concern")
    for number in days:
        with day(number):
            build.screen(team["coach"], ines)
    with day(40):
        finish_tasks(team["coach"], ines)
        hold = only_hold(ines)
        assert keeps(hold, team["supervisor"]) == kept
        if not kept:
            clear(team["supervisor"], hold)
            assert open_holds(ines) == {}


def test_a_setback_starts_the_two_weeks_anew(team, ines):
    with day(0):
        build.screen(team["coach"], ines, sleep="concern")
    for number, level in ((1, "none"), (5, "concern"), (9, "none")):
        with day(number):
            build.screen(team["coach"], ines, sleep=level)
    with day(10):
        finish_tasks(team["coach"], ines)
        hold = open_holds(ines)["care"]
        assert keeps(hold, team["supervisor"]) == ["only_one_steady_screening"]


def test_steady_screenings_from_before_the_hold_do_not_count(team, ines):
    for number in (-20, -10):
        with day(number):
            build.screen(team["coach"], ines)
    with day(0):
        build.screen(team["coach"], ines, sleep="concern")
    with day(1):
        build.screen(team["coach"], ines)
        finish_tasks(team["coach"], ines)
        assert keeps(only_hold(ines), team["supervisor"]) == ["only_one_steady_screening"]


def test_both_holds_end_each_by_itself(team, ines):
    with day(0):
        build.screen(team["coach"], ines, sleep="concern", self_harm="concern")
    holds = open_holds(ines)
    with day(8):
        finish_tasks(team["coach"], ines)
        build.screen(team["coach"], ines)
        clear(team["supervisor"], holds["safety"])
        assert set(open_holds(ines)) == {"care"}
        assert keeps(holds["care"], team["supervisor"]) == ["only_one_steady_screening"]
    with day(15):
        build.screen(team["coach"], ines)
        clear(team["supervisor"], holds["care"])
    assert open_holds(ines) == {}


def test_after_an_end_a_new_urgent_answer_opens_a_new_hold(team, held, ines):
    with day(8):
        clear(team["supervisor"], held)
    with day(9):
        build.screen(team["coach"], ines, self_harm="urgent")
    holds = holds_of(team["coach"], ines)
    assert [hold.cleared_at is None for hold in holds] == [True, False]
    assert holds[0].id != held.id


def test_flags_outlive_holds_and_only_a_supervisor_lowers_them(team, held, ines):
    with day(8):
        clear(team["supervisor"], held)
    [flag] = flags_of(team["coach"], ines)
    assert flag.kind == "self_harm_flag"
    for who in ("coach", "admin"):
        with pytest.raises(Forbidden), transaction():
            lower_flag(team[who], flag.id, REASON)
    with pytest.raises(NotFound), transaction():
        lower_flag(team["supervisor2"], flag.id, REASON)
    with pytest.raises(NotFound), transaction():
        lower_flag(team["supervisor"], UUID(int=1), REASON)
    with transaction():
        lower_flag(team["supervisor"], flag.id, REASON)
    assert list(flags_of(team["coach"], ines)) == []
    row = db.session.get(Flag, flag.id, populate_existing=True)
    assert REASON.encode() not in row.lower_reason
    with pytest.raises(RuleBroken), transaction():
        lower_flag(team["supervisor"], flag.id, REASON)


def test_raising_a_flag_twice_changes_nothing(team, ines):
    for _ in range(2):
        with transaction():
            raise_flag(team["coach"], ines, "eating_disorder_flag")
    assert len(flags_of(team["coach"], ines)) == 1
    count = sa.select(sa.func.count()).where(AuditEntry.action == "flag.raise")
    assert db.session.scalar(count) == 1
    with pytest.raises(NotFound), transaction():
        raise_flag(team["coach2"], ines, "contact_block")


def test_a_foreign_client_looks_like_none_at_all(team, ines):
    with day(0):
        screening_id = build.screen(team["coach"], ines, self_harm="urgent")
    for wanted in (ines, UUID(int=1)):
        for call in (
            lambda one: build.screen(team["coach2"], one),
            lambda one: screenings_of(team["coach2"], one, None, 10),
            lambda one: holds_of(team["coach2"], one),
            lambda one: flags_of(team["coach2"], one),
        ):
            with pytest.raises(NotFound):
                call(wanted)
    with pytest.raises(NotFound):
        screening_shown(team["coach2"], screening_id)


def test_the_log_holds_codes_and_the_words_stay_sealed(team, ines):
    with day(0):
        build.screen(team["coach"], ines, self_harm="urgent", comment="said: by the river")
    rows = db.session.execute(sa.select(AuditEntry.action, AuditEntry.details)).all()
    assert ("screening.record", {"holds": ["safety"], "flags": ["self_harm_flag"]}) in [
        tuple(row) for row in rows
    ]
    assert "river" not in str(rows)
    assert b"river" not in db.session.scalar(sa.select(Screening.comment))
    assert recent_screenings(ines)[0].comment == "said: by the river"
    assert "river" not in repr(recent_screenings(ines)[0])


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"sleep": "3"}, "sleep"),
        ({"sleep": "dreadful"}, "sleep"),
        ({"actions_taken": ["prayed"]}, "actions_taken"),
        ({"comment": "x" * 2001}, "comment"),
        ({"mood": "low"}, "mood"),
        ({"at": "2020-01-01T00:00:00Z"}, "at"),
        ({"recorded_by": str(UUID(int=1))}, "recorded_by"),
    ],
)
def test_answers_that_make_no_sense_are_refused_by_name(raw, field):
    assert list(ScreeningSchema().validate(raw)) == [field]


def test_a_word_for_each_level_and_blank_is_not_asked():
    words = {
        "sleep": "none",
        "eating": "watch",
        "caring": "concern",
        "work": "urgent",
        "self_harm": "",
    }
    found = ScreeningSchema().load(words)
    assert found.levels == {
        **dict.fromkeys(KEYS),
        "sleep": 0,
        "eating": 1,
        "caring": 2,
        "work": 3,
    }
    assert set(LEVEL_NAMES) == {"none", "watch", "concern", "urgent"}


@pytest.mark.parametrize("reason", ["", "short", "x" * 2001])
def test_a_reason_is_a_sentence(reason):
    assert ReasonSchema().validate({"reason": reason})


levels = st.fixed_dictionaries(
    {}, optional={key: st.sampled_from([None, 0, 1, 2, 3]) for key in KEYS}
)
step = st.one_of(
    st.tuples(st.just("screen"), levels),
    st.tuples(st.just("steady"), st.none()),
    st.tuples(st.just("wait"), st.integers(0, 30)),
    st.tuples(st.just("finish tasks"), st.none()),
    st.tuples(st.just("lower flags"), st.none()),
    st.tuples(st.just("try to clear as the coach"), st.none()),
    st.tuples(st.just("try to clear too early"), st.none()),
)


def try_to_clear(team, client_id, who, what):
    """Let somebody try to end each open hold, though it may not end yet or not by them."""
    for hold in open_holds(client_id).values():
        if what is Forbidden or keeps(hold, team[who]):
            with pytest.raises(what):
                clear(team[who], hold)


def act(team, client_id, what, value):
    """Do one thing that happens to a client; give the kinds of hold that it demands."""
    if what == "screen" and any(level is not None for level in value.values()):
        with transaction():
            record_screening(team["coach"], client_id, NewScreening(dict.fromkeys(KEYS) | value))
        return set(demanded(value, START).holds)
    if what == "steady":
        build.screen(team["coach"], client_id)
    elif what == "finish tasks":
        finish_tasks(team["coach"], client_id)
    elif what == "lower flags":
        with transaction():
            for flag in flags_of(team["supervisor"], client_id):
                lower_flag(team["supervisor"], flag.id, REASON)
    elif what == "try to clear as the coach":
        try_to_clear(team, client_id, "coach", Forbidden)
    elif what == "try to clear too early":
        try_to_clear(team, client_id, "supervisor", RuleBroken)
    return set()


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(step, min_size=1, max_size=8))
def test_nothing_but_clearing_ends_a_hold(team, steps):
    """Whatever happens, in whatever order: the open holds are those ever demanded, until somebody clears one."""
    moment = START
    with at(moment):
        client_id = build.client(team["coach"])
    wanted = set()
    for what, value in steps:
        moment += timedelta(days=value) if what == "wait" else timedelta(hours=1)
        with at(moment):
            wanted |= act(team, client_id, what, value)
            assert set(open_holds(client_id)) == wanted
