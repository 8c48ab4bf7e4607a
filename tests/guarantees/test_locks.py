"""A change that is judged is judged after the client's lock: no rule decides by what somebody else is changing."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import caseapp
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.models import FollowUp
from tests.support import builders, portal_client, staff
from tests.support.lock_guard import UnlockedChange, locks_watched

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = Path(caseapp.__file__).parent
DOMAIN = PACKAGE / "domain"


@cache
def functions(module: str) -> list[tuple[str, ast.FunctionDef]]:
    """Return the functions of every module whose name ends with this, each with its package."""
    return [
        (path.parent.name, node)
        for path in sorted(DOMAIN.glob(f"*/*{module}.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    ]


@cache
def calls(node: ast.FunctionDef) -> set[str]:
    """Return the names that a function calls directly."""
    found = [call.func for call in ast.walk(node) if isinstance(call, ast.Call)]
    return {name.id for name in found if isinstance(name, ast.Name)}


def checks() -> dict[str, ast.FunctionDef]:
    """Return the rules that decide a change, by name."""
    return {node.name: node for _, node in functions("rules") if node.name.startswith("check_")}


def is_locked(argument: ast.arg) -> bool:
    """Tell whether an argument is a locked record."""
    return "Locked" in ast.unparse(argument.annotation or argument)


def test_every_rule_that_decides_a_change_takes_a_locked_record() -> None:
    found = checks()
    assert len(found) >= 5
    assert [name for name, node in found.items() if not any(map(is_locked, node.args.args))] == []


@pytest.mark.slow
def test_locked_records_are_created_by_lock_functions_only() -> None:
    makers = {
        node.name
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and any(name.startswith("Locked") for name in calls(node))
    }
    # These hand on what another function has locked.
    assert {name for name in makers if not name.startswith("lock_")} == {
        "locked_client",
        "locked_draft",
    }


# Operations that refuse something without a client's record behind it, or before any is read.
JUDGE_NO_RECORD = {
    "auth": "passwords, PINs and attempts are counted and judged in transactions of their own",
    "authoring": "drafts of handouts belong to no client",
    "bulk_assignments.start_bulk_assignment": "each client is locked and judged again by the job",
    "clients.create_client": "there is no record yet; clients are added one at a time",
    "dashboard.make_copy": "nothing changes; `record_copy` judges again under the lock before the copy leaves",
    "handouts": "the library belongs to no client",
    "keys": "the start is judged before anybody is served",
    "notes.save_snippet": "snippets belong to no client",
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
            takes = any(map(is_locked, node.args.args))
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
        locks = [
            line for name, line in lines.items() if re.match(r"_?(take_client_lock|lock_)", name)
        ]
        reads = [line for name, line in lines.items() if re.match(r"_?(get|find|list|load)_", name)]
        exempt = package in JUDGE_NO_RECORD
        if locks and reads and min(reads) < min(locks) and not exempt:
            early.append(f"{package}.{node.name}")
    assert early == []


def lock_functions() -> list[Callable[..., object]]:
    """Return every function of the domain that returns a locked record."""
    modules = [
        import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
        for path in sorted(DOMAIN.glob("*/*.py"))
    ]
    return [
        function
        for module in modules
        for name, function in vars(module).items()
        if name.startswith("lock_")
        and function.__module__ == module.__name__
        and signature(function).return_annotation.startswith("Locked")
    ]


@pytest.mark.both
def test_lock_outside_a_transaction_is_refused(app: Any) -> None:
    team = staff.team()
    made = builders.case(team["coach"])
    with transaction():
        card = invite_client(team["coach"], lock_client(team["coach"], made.client_id)).card_code
    client = portal_client.reader(made.client_id, "Ines")
    db.session.rollback()
    functions = lock_functions()
    assert len(functions) >= 9
    for lock in functions:
        asked = signature(lock).parameters
        given = {
            "actor": client if "position" in asked else team["supervisor"],
            "position": 1,
            "number": made.number,
            "secret": card,
            "action": Action.DENIAL_MANAGE,
        }
        with pytest.raises(RuntimeError, match="open transaction"):
            lock(*(given.get(name, made.client_id) for name in asked))


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
def test_change_about_a_client_without_the_lock_fails_a_test_of_the_domain(app: Any) -> None:
    coach = staff.team()["coach"]
    made = builders.case(coach)
    task = FollowUp(
        client_id=made.client_id,
        kind=b"sealed",
        due_at=now(),
        assigned_to=coach.id,
        created_at=now(),
        created_by=coach.id,
    )
    with locks_watched():
        with pytest.raises(UnlockedChange, match="FollowUp"), transaction() as session:
            session.add(task)
        with transaction() as session:
            lock_client(coach, made.client_id)
            session.add(task)
