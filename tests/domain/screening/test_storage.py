"""Safety events are sealed, in a chain and never change; the stored state and the marks are what they add up to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.core.vault import SealBroken
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.queries import list_case_contexts
from caseapp.domain.cases.schemas import CaseDetails
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.visibility import in_role
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.models import METADATA
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.current import get_current_safety, get_safety_state
from caseapp.domain.screening.events import FACTS
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.hold_operations import release_hold
from caseapp.domain.screening.marks import HOLD_KINDS, KINDS, list_marked, list_marks
from caseapp.domain.screening.models import ClientSafety, SafetyEvent, ViewerMark
from caseapp.domain.screening.operations import clear_flag, decide_proposals, set_manual_flag
from caseapp.domain.screening.protocol import CIRCUMSTANCES, FLAG_LABELS, MANUAL_FLAGS
from caseapp.domain.screening.queries import list_flags, lock_hold, lock_screening
from caseapp.domain.screening.schemas import Decisions
from caseapp.domain.screening.state import fold
from caseapp.domain.screening.stream import derive_missing_states
from caseapp.domain.users.models import User
from tests.domain.screening.hold_helpers import (
    KEYS,
    REASON,
    START,
    clear,
    day,
    finish_tasks,
    open_holds,
)
from tests.support import builders
from tests.support.concurrency import run_concurrently
from tests.support.depth import times
from tests.support.owner import owner_connection

pytestmark = pytest.mark.both

EVENTS, STATES, MARKS = (
    METADATA.tables[model.__tablename__] for model in (SafetyEvent, ClientSafety, ViewerMark)
)
NOBODY = UUID(int=1)
TRIGGERS = {
    "sqlite": [
        f"DROP TRIGGER safety_event_{name}" for name in ("no_update", "no_delete", "no_replace")
    ],
    "postgresql": ["ALTER TABLE safety_event DISABLE TRIGGER safety_event_no_change"],
}


def without_triggers():
    """Let this test change events, as somebody with the database file could."""
    with owner_connection() as connection:
        for statement in TRIGGERS[db.engine.dialect.name]:
            connection.exec_driver_sql(statement)


def change(statement):
    with owner_connection() as connection:
        connection.execute(statement)
    db.session.expire_all()


def flip_bit(sealed):
    return sealed[:-1] + bytes([sealed[-1] ^ 1])


def stored(table, client_id):
    order = table.c.seq if "id" in table.c else table.c.client_id
    query = sa.select(table).where(table.c.client_id == client_id).order_by(order)
    return db.session.execute(query).mappings().all()


def update_event(number, **values):
    def break_it(client_id):
        row = stored(EVENTS, client_id)[number]
        changed = {
            name: value(row[name]) if callable(value) else value for name, value in values.items()
        }
        change(sa.update(EVENTS).where(EVENTS.c.id == row["id"]).values(changed))

    return break_it


def drop_event(number):
    def break_it(client_id):
        row = stored(EVENTS, client_id)[number]
        change(sa.delete(EVENTS).where(EVENTS.c.id == row["id"]))

    return break_it


def drop_and_close_the_gap(client_id):
    rows = stored(EVENTS, client_id)
    change(sa.delete(EVENTS).where(EVENTS.c.id == rows[1]["id"]))
    for row in rows[2:]:
        change(sa.update(EVENTS).where(EVENTS.c.id == row["id"]).values(seq=row["seq"] - 1))


def swap_events(client_id):
    first, second = stored(EVENTS, client_id)[:2]
    for row, seq in ((first, 99), (second, first["seq"]), (first, second["seq"])):
        change(sa.update(EVENTS).where(EVENTS.c.id == row["id"]).values(seq=seq))


def swap_contents(client_id):
    first, second = stored(EVENTS, client_id)[:2]
    for row, other in ((first, second), (second, first)):
        new = {"sealed": other["sealed"]}
        change(sa.update(EVENTS).where(EVENTS.c.id == row["id"]).values(new))


def drop_every_event(client_id):
    change(sa.delete(EVENTS).where(EVENTS.c.client_id == client_id))


def drop_state(client_id):
    change(sa.delete(STATES).where(STATES.c.client_id == client_id))


BROKEN_EVENTS = {
    "a bit of an event": update_event(0, sealed=flip_bit),
    "the time of an event": update_event(1, recorded_at=START + timedelta(hours=1)),
    "the id of an event": update_event(1, id=NOBODY),
    "first event dropped": drop_event(0),
    "middle event dropped": drop_event(1),
    "last event dropped": drop_event(-1),
    "gap closed": drop_and_close_the_gap,
    "two events swapped": swap_events,
    "contents swapped": swap_contents,
    "every event dropped": drop_every_event,
    "state dropped": drop_state,
}
BROKEN_STATES: dict[str, dict[str, Any]] = {
    "a bit of the state": {"sealed": flip_bit},
    "the date of the last full screening": {"last_full_at": START + timedelta(days=5)},
    "the number of the last event": {"seq": lambda seq: seq + 1},
    "the tag of the last event": {"tag": flip_bit},
}


@pytest.fixture
def screened(team, ines):
    """Return a client with a hold, a flag and two screenings."""
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent", comment="By the river.")
        builders.screen(team["coach"], ines, sleep="concern")
    assert [event.seq for event in get_safety_history(ines).events] == [1, 2, 3, 4, 5]
    return ines


@pytest.mark.parametrize("name", BROKEN_EVENTS)
def test_history_with_a_broken_event_does_not_open(screened, name):
    without_triggers()
    BROKEN_EVENTS[name](screened)
    with pytest.raises(SealBroken):
        get_safety_history(screened)


def test_event_recorded_by_another_person_does_not_open(team, screened):
    without_triggers()
    update_event(0, recorded_by=team["coach2"].id)(screened)
    with pytest.raises(SealBroken):
        get_safety_history(screened)


def test_event_of_another_client_does_not_open(team, screened):
    other = builders.client(team["coach"], "Mara Lind")
    without_triggers()
    drop_every_event(screened)
    with day(0):
        builders.screen(team["coach"], other, self_harm="urgent")
    change(sa.update(EVENTS).values(client_id=screened))
    with pytest.raises(SealBroken):
        get_safety_history(screened)


@pytest.mark.parametrize("name", BROKEN_STATES)
def test_broken_state_does_not_open(screened, name):
    [row] = stored(STATES, screened)
    new = {
        column: value(row[column]) if callable(value) else value
        for column, value in BROKEN_STATES[name].items()
    }
    change(sa.update(STATES).values(new))
    with pytest.raises(SealBroken):
        get_safety_state(screened)


def test_state_from_before_a_hold_does_not_open_on_any_list(team, ines):
    made = builders.case(team["coach"], "Mara Lind")
    builders.screen(team["coach"], made.client_id)
    [before] = stored(STATES, made.client_id)
    builders.screen(team["coach"], made.client_id, fear_at_home="concern")
    change(sa.update(STATES).values(dict(before)))
    for read in (
        lambda: get_safety_state(made.client_id),
        lambda: get_safety_history(made.client_id),
        lambda: list_case_contexts(team["coach"], [made.case_id]),
        lambda: builders.screen(team["coach"], made.client_id),
    ):
        with pytest.raises(SealBroken):
            read()
        db.session.rollback()
    drop_state(made.client_id)
    with pytest.raises(SealBroken):
        get_safety_state(made.client_id)


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(EVENTS).values(seq=EVENTS.c.seq + 10),
        sa.delete(EVENTS),
        {"sqlite": "INSERT OR REPLACE INTO safety_event SELECT * FROM safety_event"},
        {"sqlite": "UPDATE OR REPLACE safety_event SET seq = 1"},
        {"postgresql": "TRUNCATE safety_event CASCADE"},
    ],
    ids=["update", "delete", "replace", "update or replace", "truncate"],
)
def test_database_refuses_to_change_or_drop_events(screened, statement):
    if isinstance(statement, dict):
        if db.engine.dialect.name not in statement:
            return
        statement = sa.text(statement[db.engine.dialect.name])
    before = stored(EVENTS, screened)
    with pytest.raises(sa.exc.DBAPIError, match="never change"), transaction() as session:
        session.execute(statement)
    assert stored(EVENTS, screened) == before


def test_stored_safety_data_has_no_plain_word_and_one_length(team, screened):
    with transaction():
        set_manual_flag(team["coach"], lock_client(team["coach"], screened), "contact_block")
    words = {*FACTS, *FLAG_LABELS, *KEYS, *KINDS, "river", "screening", "level", "reasons"}
    for table in (EVENTS, STATES, MARKS):
        rows = db.session.execute(sa.select(table)).all()
        assert rows
        text = b"\n".join(
            value if isinstance(value, bytes) else str(value).encode()
            for row in rows
            for value in row
        )
        assert [word for word in words if word.encode() in text] == []
    lengths = {len(row["sealed"]) for row in stored(EVENTS, screened)}
    assert len(lengths) == 1


def test_concurrent_screenings_number_their_events_without_gap_or_double(team, ines, app):
    run_concurrently(app, 6, lambda _: builders.screen(team["coach"], ines, self_harm="urgent"))
    db.session.rollback()
    history = get_safety_history(ines)
    assert [event.seq for event in history.events] == [*range(1, len(history.events) + 1)]
    assert len(history.screenings) == 6
    assert get_current_safety(history.key).state == fold(without_names(history.events))


def without_names(events):
    """Leave out what the state doesn't keep: the names of people, which may change."""
    return [replace(event, recorded_by_name="") for event in events]


def marked(viewer, kinds=HOLD_KINDS):
    db.session.rollback()
    return [mark.hold_id for mark in list_marks(viewer.id, kinds)]


def test_open_hold_is_marked_for_the_care_team_and_its_supervisor_until_release(team, held, ines):
    assert marked(team["coach"]) == marked(team["supervisor"]) == [held.id]
    assert marked(team["supervisor"], ["safety"]) == [held.id]
    assert marked(team["supervisor"], ["care"]) == []
    assert marked(team["coach2"]) == marked(team["supervisor2"]) == []
    with day(8):
        clear(team["supervisor"], held)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(ViewerMark)) == 0


def test_coach_who_joins_the_care_team_and_their_supervisor_get_the_marks(team, held, ines):
    with transaction() as session:
        of_coach2 = User.id == team["coach2"].id
        session.execute(
            sa.update(User).where(of_coach2).values(supervisor_id=team["supervisor"].id)
        )
    with day(8), transaction():
        client = lock_client(team["supervisor"], ines)
        details = CaseDetails({}, "undecided", None)
        open_case(team["supervisor"], client, details, coach_id=team["coach2"].id)
    coaches = sa.select(sa.func.count()).where(in_role(CareTeamMember, "coach"))
    assert db.session.scalar(coaches) == 2
    for who in ("coach", "coach2", "supervisor"):
        assert marked(team[who]) == [held.id]
    with day(8):
        clear(team["supervisor"], held)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(ViewerMark)) == 0


def test_lost_states_and_marks_are_derived_again(team, held, ines):
    before = get_current_safety(get_client_key(ines))
    change(sa.delete(STATES))
    change(sa.delete(MARKS))
    with transaction():
        assert derive_missing_states() == 1
    with transaction():
        assert derive_missing_states() == 0
    assert get_current_safety(get_client_key(ines)) == before
    assert marked(team["supervisor"]) == [held.id]


levels = st.fixed_dictionaries(
    {},
    optional={key: st.sampled_from([None, 0, 1, 1, 2, 3]) for key in KEYS}
    | {"circumstances": st.lists(st.sampled_from([*CIRCUMSTANCES]), min_size=1, unique=True)},
)
step = st.one_of(
    st.tuples(st.just("screen"), levels),
    st.tuples(st.just("set a flag"), st.sampled_from(MANUAL_FLAGS)),
    st.tuples(st.just("clear the flags"), st.none()),
    st.tuples(st.just("release the holds"), st.none()),
    st.tuples(st.just("decide"), st.booleans()),
    st.tuples(st.just("mark in error"), st.integers(0, 5)),
)


def decide(coach, client_id, is_concern):
    proposed = [found.item for found in get_safety_state(client_id).proposals]
    if proposed:
        declined = {} if is_concern else dict.fromkeys(proposed, REASON)
        with transaction():
            client = lock_client(coach, client_id)
            decide_proposals(
                coach, client, Decisions(tuple(proposed) if is_concern else (), declined)
            )


def act(team, client_id, what, value, moment):
    coach, supervisor = team["coach"], team["supervisor"]
    if what == "screen":
        if any(level is not None for level in value.values()):
            builders.screen(coach, client_id, **(dict.fromkeys(KEYS) | value))
    elif what == "set a flag":
        with transaction():
            set_manual_flag(coach, lock_client(coach, client_id), value)
    elif what == "clear the flags":
        for flag in list_flags(supervisor, client_id):
            # One that an answer sets, or a hold keeps, stays.
            with suppress(RuleBroken), transaction():
                clear_flag(supervisor, lock_client(supervisor, client_id), flag.id, REASON)
    elif what == "decide":
        decide(coach, client_id, value)
    elif what == "mark in error":
        counting = get_safety_history(client_id).screenings
        for screening in counting[value : value + 1]:
            with transaction():
                locked = lock_screening(supervisor, screening.id)
                mark_in_error(supervisor, locked, REASON)
    else:
        finish_tasks(coach, client_id)
        builders.screen(coach, client_id)
        with at(moment + timedelta(days=7)):
            builders.screen(coach, client_id)
            for hold in open_holds(client_id).values():
                with transaction():
                    release_hold(supervisor, lock_hold(supervisor, hold.id), REASON, hold.version)


@pytest.mark.slow
@pytest.mark.soak
@settings(
    max_examples=times(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(step, min_size=1, max_size=6))
def test_stored_state_and_marks_are_what_the_events_add_up_to(team, steps):
    with at(START):
        client_id = builders.client(team["coach"])
    before = {who: {*marked(team[who], KINDS)} for who in ("coach", "supervisor")}
    for number, (what, value) in enumerate(steps):
        moment = START + timedelta(days=10 * number)
        with at(moment):
            act(team, client_id, what, value, moment)
        db.session.rollback()
        history = get_safety_history(client_id)
        assert get_current_safety(history.key).state == fold(without_names(history.events))
        is_open = {hold.id for hold in history.holds.values() if hold.released_at is None}
        assert {hold.id for hold in get_safety_state(client_id).holds} == is_open
        expected = {each.id for each in list_marked(fold(history.events), client_id)}
        assert is_open <= expected
        for who, known in before.items():
            assert {*marked(team[who], KINDS)} - known == expected
