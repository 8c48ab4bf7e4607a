"""An operation that waits for another change of the same client is decided after it, on PostgreSQL."""

from __future__ import annotations

import ast
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

import caseapp
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import DomainError, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.domain.clients.codes import MOST_QUESTIONS
from caseapp.domain.clients.models import Client, ConflictQuestion
from caseapp.domain.clients.operations import create_client, update_client
from caseapp.domain.clients.queries import lock_client
from tests.guarantees.races import MORE, RACES
from tests.guarantees.races.race import Race, count
from tests.guarantees.test_locks import checks, functions, is_locked, lock_functions, reached
from tests.support import builders, staff
from tests.support.depth import times
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor

INTERFACES = ("api", "cli", "jobs", "portal", "web")


def names_in_interfaces() -> set[str]:
    """Return every name that the interfaces and jobs use."""
    found = set()
    for folder in INTERFACES:
        for path in (Path(caseapp.__file__).parent / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Name | ast.Attribute):
                    found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


def deciding_operations() -> set[str]:
    """Find the operations that interfaces call and that take or make a locked record, or ask a rule about one."""
    packages: dict[str, dict[str, ast.FunctionDef]] = {}
    for module in ("operations", "portal_access", "portal_codes", "remembered_devices"):
        for package, node in functions(module):
            packages.setdefault(f"{package}.{module}", {})[node.name] = node
    locks = {lock.__name__ for lock in lock_functions()}
    used, rules, found = names_in_interfaces(), set(checks()), set()
    for module_functions in packages.values():
        for name, node in module_functions.items():
            within = reached(name, module_functions, set())
            decides = within & (rules | locks) or any(map(is_locked, node.args.args))
            if decides and name in used and not name.startswith(("_", "lock_")):
                found.add(name)
    return found


@pytest.mark.slow
def test_every_operation_that_decides_by_a_locked_record_has_a_race() -> None:
    assert deciding_operations() == set(RACES)


def wait_for_lock() -> None:
    """Wait until a connection of this database waits for a lock."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with db.engine.connect() as connection:
            if connection.scalar(waiting):
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits for the lock.")


def run(app: Any, race: Race) -> set[str]:
    """Run the second change while the first one isn't committed; return the codes that refused it."""
    moment = now()

    def run_second() -> None:
        with app.app_context(), at(moment), transaction():
            race.second()

    with ThreadPoolExecutor(1) as pool:
        with transaction():
            race.first()
            waiting = pool.submit(run_second)
            wait_for_lock()
        error = waiting.exception(timeout=PATIENCE)
    if error is None:
        return set()
    assert isinstance(error, DomainError), error
    reasons = error.reasons if isinstance(error, RuleBroken) else ()
    return {error.code, *(reason.code for reason in reasons)}


@pytest.mark.soak
@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
@pytest.mark.parametrize("operation", sorted(RACES | MORE))
def test_operation_that_waits_for_a_change_is_decided_after_it(
    app: Any, team: Any, operation: str
) -> None:
    for _ in range(times(2)):
        with at(now() - timedelta(hours=1)):
            race = (RACES | MORE)[operation](team)
        db.session.rollback()
        codes = run(app, race)
        assert (race.code in codes) if race.code else not codes, codes
        db.session.rollback()
        assert race.holds()


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"name": "Ines Okafor"}, {"name": "Ines Okafor"}),
        ({"email": "ines@example.test"}, {"email": "ines@example.test"}),
        ({"name": "Jonas Weber"}, {"partner_name": "Jonas Weber"}),
    ],
    ids=["same name", "same email", "partner"],
)
def test_client_who_is_being_added_by_somebody_else_is_a_possible_conflict(
    app: Any, first: dict[str, str], second: dict[str, str]
) -> None:
    team = staff.team()
    db.session.rollback()
    wanted = [
        builders.details(**{"name": f"Person {n}"} | one) for n, one in enumerate((first, second))
    ]

    def add(coach: Actor, number: int) -> UUID:
        return create_client(coach, wanted[number], coach_id=coach.id)

    race = Race(lambda: add(team["coach"], 0), lambda: add(team["coach2"], 1))
    assert "possible_conflict" in run(app, race)
    assert count(Client) == 1


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
def test_client_who_is_being_renamed_by_somebody_else_is_a_possible_conflict(app: Any) -> None:
    team = staff.team()
    client_id = builders.client(team["coach"], "Eva Blum")
    db.session.rollback()
    wanted = builders.details("Ines Okafor")

    def rename() -> None:
        update_client(team["coach"], lock_client(team["coach"], client_id), wanted, 1)

    race = Race(rename, lambda: create_client(team["coach2"], wanted, coach_id=team["coach2"].id))
    assert "possible_conflict" in run(app, race)
    assert count(Client) == 1


@pytest.mark.both
def test_tenth_question_about_a_conflict_is_counted_before_the_next_one_is_judged(app: Any) -> None:
    """A burst of forms shows no more than the same forms one by one: what fits nobody is refused as well."""
    team = staff.team()
    coach = team["coach2"]
    builders.client(team["coach"], "Ines Okafor")
    mine = [builders.client(coach, name) for name in ("Ana Ruiz", "Eva Blum")]
    with transaction() as session:
        for _ in range(MOST_QUESTIONS - 1):
            session.add(ConflictQuestion(id=new_id(), user_id=coach.id, asked_at=now()))
    counted, begun = list[int](), Event()

    def save(number: int, name: str) -> None:
        client = lock_client(coach, mine[number])
        update_client(coach, client, builders.details(name), client.record.version)

    def save_second() -> None:
        begun.set()
        with app.app_context(), transaction():
            save(1, "Nobody Here")

    def look(_session: object) -> None:
        # The first has just given its locks back.
        with db.engine.connect() as connection:
            rows = sa.select(sa.func.count()).select_from(ConflictQuestion)
            counted.append(connection.scalar(rows) or 0)

    sa.event.listen(db.session, "after_rollback", look)
    try:
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(RuleBroken) as first, transaction():
                try:
                    save(0, "Ines Okafor")
                finally:
                    second = pool.submit(save_second)
                    assert begun.wait(PATIENCE)
                    if db.engine.dialect.name == "postgresql":
                        wait_for_lock()
            with pytest.raises(RuleBroken) as later:
                second.result(PATIENCE)
    finally:
        sa.event.remove(db.session, "after_rollback", look)
    assert [one.code for one in first.value.reasons] == ["possible_conflict"]
    assert [one.code for one in later.value.reasons] == ["too_many_conflicts"]
    assert set(counted) == {MOST_QUESTIONS}
