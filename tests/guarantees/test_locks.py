"""A change that is judged is judged after the client's lock: no rule decides by what somebody else is changing."""

from __future__ import annotations

import ast
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

import caseapp
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.auth.portal_access import invite_client
from caseapp.domain.cases import operations as cases
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.schemas import CaseClosing, CaseDetails, StageMove
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.followups.operations import complete_followup, create_followup
from caseapp.domain.followups.queries import lock_followup
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.notes.operations import (
    create_note,
    discard_draft,
    record_draft_screening,
    save_draft,
    sign_note,
)
from caseapp.domain.notes.queries import lock_case_for_note, lock_note
from caseapp.domain.notes.schemas import DraftChange, DraftScreening, NewNote
from caseapp.domain.screening.models import Flag
from caseapp.domain.screening.operations import record_screening, release_hold
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import lock_hold
from caseapp.domain.screening.schemas import NewScreening
from tests.domain.screening.hold_helpers import blockers, finish_tasks, only_hold
from tests.support import builders, staff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caseapp.domain.notes.queries import LockedNote

DOMAIN = Path(caseapp.__file__).parent / "domain"
QUERIES = [
    import_module(f"caseapp.domain.{path.parent.name}.queries")
    for path in sorted(DOMAIN.glob("*/queries.py"))
]
URGENT = NewScreening({item.key: 0 for item in ITEMS} | {"self_harm": 3}, True, (), "")  # noqa: FBT003
NO_FACTS = CaseDetails({}, "undecided", None)
ORDER = CaseDetails({"order": "protects_spouse"}, "undecided", None)
APART = CaseClosing("separated", "decision", "done", "", follow_up_consent=False, follow_up_on=None)


def functions(module: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions of every module of this name, each with its package."""
    for path in sorted(DOMAIN.glob(f"*/{module}.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                yield path.parent.name, node


def calls(node: ast.FunctionDef) -> set[str]:
    """Return the names that a function calls directly."""
    found = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    return {name.id for name in found if isinstance(name, ast.Name)}


def checks() -> dict[str, ast.FunctionDef]:
    """Return the rules that decide a change, by name."""
    return {node.name: node for _, node in functions("rules") if node.name.startswith("check_")}


def test_every_rule_that_decides_a_change_takes_a_locked_record() -> None:
    found = checks()
    assert len(found) >= 5
    unlocked = [
        name
        for name, node in found.items()
        if not any("Locked" in ast.unparse(arg.annotation or arg) for arg in node.args.args)
    ]
    assert unlocked == []


def test_locked_records_are_made_by_lock_functions_only() -> None:
    makers = set()
    for path in sorted(DOMAIN.glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(
                name.startswith("Locked") for name in calls(node)
            ):
                makers.add(node.name)
    # The property hands on what `lock_case` has locked.
    assert {name for name in makers if not name.startswith("lock_")} == {"locked_client"}


# Operations that refuse something without a client's record behind it, or before any is read.
JUDGE_NO_RECORD = {
    "assignments.create_assignment": "its callers hold the lock",
    "auth": "passwords, PINs and attempts are counted and judged in transactions of their own",
    "authoring": "drafts of handouts belong to no client",
    "bulk_assignments.start_bulk_assignment": "each client is locked and judged again by the job",
    "clients.create_client": "there is no record to lock yet",
    "handouts": "the library belongs to no client",
    "keys": "the start is judged before anybody is served",
    "practice": "settings belong to no client",
    "reports": "exports change no client",
    "users": "accounts belong to no client",
}
REFUSALS = {"RuleBroken", "refuse_for"}


def reached(name: str, module: dict[str, ast.FunctionDef], seen: set[str]) -> set[str]:
    """Return what a function calls, through functions of its own module too."""
    found: set[str] = set()
    for called in calls(module[name]):
        if called in seen:
            continue
        seen.add(called)
        found.add(called)
        if called in module:
            found |= reached(called, module, seen)
    return found


def test_every_operation_that_refuses_by_a_clients_record_locks_it() -> None:
    packages: dict[str, dict[str, ast.FunctionDef]] = {}
    for package, node in functions("operations"):
        packages.setdefault(package, {})[node.name] = node
    unlocked = set()
    for package, module in packages.items():
        for name, node in module.items():
            found = reached(name, module, set())
            takes = any("Locked" in ast.unparse(arg.annotation or arg) for arg in node.args.args)
            locks = takes or any("lock_" in called or "_lock" in called for called in found)
            exempt = package in JUDGE_NO_RECORD or f"{package}.{name}" in JUDGE_NO_RECORD
            private = name.startswith("_")
            if found & (REFUSALS | set(checks())) and not locks and not exempt and not private:
                unlocked.add(f"{package}.{name}")
    assert unlocked == set()


def test_nothing_is_read_before_the_lock() -> None:
    early = []
    for package, node in functions("operations"):
        lines = {
            call.func.id: call.lineno
            for call in reversed([n for n in ast.walk(node) if isinstance(n, ast.Call)])
            if isinstance(call.func, ast.Name)
        }
        locks = [line for name, line in lines.items() if re.match(r"_?(take_client_)?lock", name)]
        reads = [line for name, line in lines.items() if re.match(r"_?(get|find|list|load)_", name)]
        exempt = package in JUDGE_NO_RECORD
        if locks and reads and min(reads) < min(locks) and not exempt:
            early.append(f"{package}.{node.name}")
    assert early == []


@pytest.mark.both
def test_lock_outside_a_transaction_is_refused(app: Any) -> None:
    team = staff.team()
    made = builders.case(team["coach"])
    db.session.rollback()
    locks = [name for _, node in functions("queries") if (name := node.name).startswith("lock_")]
    assert len(locks) >= 5
    for name in locks:
        (lock,) = {getattr(module, name) for module in QUERIES if hasattr(module, name)}
        with pytest.raises(RuntimeError, match="open transaction"):
            lock(team["supervisor"], made.client_id)


@dataclass
class Race:
    """A case, a change that is not committed yet, and an operation that must not be judged before it is."""

    made: builders.CaseIds
    first: Callable[[], object]
    second: Callable[[], object]
    code: str


def version(made: builders.CaseIds) -> int:
    """Return the version of a case."""
    return db.session.scalar(sa.select(Case.version).where(Case.id == made.case_id)) or 0


def moving(team: dict[str, Any]) -> Race:
    """Move a case on while an urgent screening is being recorded."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    move = StageMove("understand", "", {})
    return Race(
        made,
        lambda: record_screening(coach, lock_client(coach, made.client_id), URGENT),
        lambda: cases.move_case(coach, lock_case(coach, made.case_id), move, version(made)),
        "hold_open",
    )


def closing(team: dict[str, Any]) -> Race:
    """Close a case while an urgent screening is being recorded."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    return Race(
        made,
        lambda: record_screening(coach, lock_client(coach, made.client_id), URGENT),
        lambda: cases.close_case(coach, lock_case(coach, made.case_id), APART, version(made)),
        "hold_open",
    )


def opening(team: dict[str, Any]) -> Race:
    """Open a case while another one is being opened for the same client."""
    coach, client_id = team["coach"], builders.client(team["coach"])

    def open_case() -> object:
        return cases.open_case(coach, lock_client(coach, client_id), NO_FACTS, coach_id=coach.id)

    return Race(builders.case(coach), open_case, open_case, "case_open")


def reopening(team: dict[str, Any]) -> Race:
    """Reopen a case while a new one is being opened for the same client."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    with transaction():
        cases.close_case(coach, lock_case(coach, made.case_id), APART, version(made))
    return Race(
        made,
        lambda: cases.open_case(
            coach, lock_client(coach, made.client_id), NO_FACTS, coach_id=coach.id
        ),
        lambda: cases.reopen_case(coach, lock_case(coach, made.case_id), "Again", version(made)),
        "case_open",
    )


def clearing(team: dict[str, Any]) -> Race:
    """Clear the contact block while a court order is being recorded."""
    supervisor, made = team["supervisor"], builders.case(team["coach"])
    facts = CaseDetails({"spouse_contact_wish": "asked_for_none"}, "undecided", None)
    with transaction():
        case = lock_case(team["coach"], made.case_id)
        cases.update_case(team["coach"], case, facts, case.case.version)
    flag_id = db.session.scalar(sa.select(Flag.id).where(Flag.client_id == made.client_id))
    assert flag_id is not None
    db.session.rollback()

    def record_order() -> None:
        case = lock_case(team["coach"], made.case_id)
        cases.update_case(team["coach"], case, ORDER, case.case.version)

    return Race(
        made,
        record_order,
        lambda: cases.clear_case_flag(
            supervisor, lock_case(supervisor, made.case_id), flag_id, "It has ended"
        ),
        "order_in_force",
    )


def releasing(team: dict[str, Any]) -> Race:
    """Release a safety hold while another concern is being recorded."""
    coach, supervisor = team["coach"], team["supervisor"]
    with at(now() - timedelta(days=20)):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, self_harm=3)
        finish_tasks(coach, made.client_id)
    builders.screen(coach, made.client_id, days_ago=8)
    builders.screen(coach, made.client_id, days_ago=1)
    hold = only_hold(made.client_id)
    hold_id, hold_version = hold.id, hold.version
    assert blockers(hold, supervisor) == []
    return Race(
        made,
        lambda: record_screening(coach, lock_client(coach, made.client_id), URGENT),
        lambda: release_hold(supervisor, lock_hold(supervisor, hold_id), "Steady", hold_version),
        "screening_not_steady",
    )


def assigning(team: dict[str, Any]) -> Race:
    """Assign a handout that a hold blocks while an urgent screening is being recorded."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    return Race(
        made,
        lambda: record_screening(coach, lock_client(coach, made.client_id), URGENT),
        lambda: assign_handout(
            coach, made.case_id, "my-limits", message="", channel="portal", confirmed=True
        ),
        "",
    )


def starting_a_note(team: dict[str, Any]) -> Race:
    """Start a note while the case is being closed."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    new = NewNote("dap", now(), 50, "video", {})
    return Race(
        made,
        lambda: cases.close_case(coach, lock_case(coach, made.case_id), APART, version(made)),
        lambda: create_note(coach, lock_case_for_note(coach, made.case_id), new),
        "case_closed",
    )


def signed_meanwhile(team: dict[str, Any], change: Callable[[LockedNote], object]) -> Race:
    """Change a complete draft while its author signs it in another window."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    note_id = builders.draft(coach, made.case_id, levels={item.key: 0 for item in ITEMS})
    return Race(
        made,
        lambda: sign_note(coach, lock_note(coach, note_id), 2),
        lambda: change(lock_note(coach, note_id)),
        "note_signed",
    )


def saving_a_note(team: dict[str, Any]) -> Race:
    """Save a draft while it is being signed."""
    change = DraftChange(sections={"plan": "From this window"})
    return signed_meanwhile(team, lambda note: save_draft(team["coach"], note, change, 2))


def recording_from_a_note(team: dict[str, Any]) -> Race:
    """Record the screening of a draft while it is being signed, which records it too."""
    return signed_meanwhile(team, lambda note: record_draft_screening(team["coach"], note, 2))


def signing(team: dict[str, Any]) -> Race:
    """Sign a draft while it is being signed in another window."""
    return signed_meanwhile(team, lambda note: sign_note(team["coach"], note, 2))


def discarding(team: dict[str, Any]) -> Race:
    """Discard a draft while an urgent level is being saved in it."""
    coach, made = team["coach"], builders.steady_case(team["coach"])
    note_id = builders.draft(coach, made.case_id)
    urgent = DraftChange(screening=DraftScreening({"self_harm": 3}))
    return Race(
        made,
        lambda: save_draft(coach, lock_note(coach, note_id), urgent, 1),
        lambda: discard_draft(coach, lock_note(coach, note_id), 2),
        "unrecorded_concern",
    )


def completing(team: dict[str, Any]) -> Race:
    """Complete a follow-up while somebody else completes it."""
    coach, made = team["coach"], builders.case(team["coach"])
    with transaction():
        task_id = create_followup(
            coach, lock_client(coach, made.client_id), NewFollowUp("Call back", now())
        )

    def complete() -> None:
        complete_followup(coach, lock_followup(coach, task_id), "Done", 1)

    return Race(made, complete, complete, "already_completed")


def inviting(team: dict[str, Any]) -> Race:
    """Invite a client to the portal while it is being recorded as unsafe."""
    coach, made = team["coach"], builders.case(team["coach"])
    with_portal = get_client_record(coach, made.client_id)
    unsafe = builders.details(with_portal.name, safe=SafeContact(("in_person",)))
    return Race(
        made,
        lambda: update_client(
            coach, lock_client(coach, made.client_id), unsafe, with_portal.version
        ),
        lambda: invite_client(coach, lock_client(coach, made.client_id)),
        "portal_not_safe",
    )


RACES = {
    "release_hold": releasing,
    "assign_handout": assigning,
    "create_note": starting_a_note,
    "save_draft": saving_a_note,
    "record_draft_screening": recording_from_a_note,
    "sign_note": signing,
    "discard_draft": discarding,
    "complete_followup": completing,
    "invite_client": inviting,
    "move_case": moving,
    "close_case": closing,
    "open_case": opening,
    "reopen_case": reopening,
    "clear_case_flag": clearing,
}


def test_every_operation_that_asks_a_rule_has_a_race() -> None:
    rules = set(checks())
    judging = {node.name for _, node in functions("operations") if calls(node) & rules}
    assert len(judging) >= 6
    assert judging - set(RACES) == set()


def wait_for_lock() -> None:
    """Wait until a connection of this database waits for a lock."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with db.engine.connect() as connection:
            if connection.scalar(waiting):
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits for the lock.")


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
@pytest.mark.parametrize("operation", RACES)
def test_operation_that_waits_for_a_change_is_judged_after_it(app: Any, operation: str) -> None:
    with at(now() - timedelta(hours=1)):
        race = RACES[operation](staff.team())
    db.session.rollback()
    moment = now()

    def run_second() -> None:
        with app.app_context(), at(moment), transaction():
            race.second()

    with ThreadPoolExecutor(1) as pool:
        with transaction():
            race.first()
            waiting = pool.submit(run_second)
            wait_for_lock()
        with pytest.raises(RuleBroken) as refused:
            waiting.result(timeout=30)
    assert not race.code or race.code in {reason.code for reason in refused.value.reasons}
