"""mypy refuses a rule or an operation that decides a change when it is given a record that was read before the lock."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from inspect import Parameter, signature
from typing import TYPE_CHECKING

import pytest

from caseapp.core.settings import ROOT
from tests.guarantees.test_locks import DOMAIN, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.slow]

# What each locked record looks like when it was read without the lock.
UNLOCKED = {
    "LockedAccess": "caseapp.domain.clients.queries.ClientRecord",
    "LockedAlert": "caseapp.domain.alerts.schemas.AlertRecord",
    "LockedAssignment": "caseapp.domain.assignments.schemas.AssignmentRecord",
    "LockedCase": "caseapp.domain.cases.queries.CaseContext",
    "LockedCaseForNote": "caseapp.domain.cases.queries.CaseContext",
    "LockedCaseload": "caseapp.domain.staffing.cover_schemas.Caseload",
    "LockedCover": "caseapp.domain.staffing.cover_schemas.CoverView",
    "LockedCoveredClient": "caseapp.domain.staffing.cover_schemas.CoveredClientView",
    "LockedClient": "caseapp.domain.clients.queries.ClientRecord",
    "LockedConsent": "caseapp.domain.consent.schemas.ConsentRecord",
    "LockedContact": "caseapp.domain.contacts.schemas.ContactRecord",
    "LockedDevices": "caseapp.domain.auth.remembered_devices.KnownDevice",
    "LockedDenial": "caseapp.domain.staffing.schemas.AccessDenialRecord",
    "LockedErasure": "caseapp.domain.erasure.schemas.ErasureRecord",
    "LockedEmergency": "caseapp.domain.dashboard.schemas.EmergencyRecord",
    "LockedFollowUp": "caseapp.domain.followups.schemas.FollowUpRecord",
    "LockedHold": "caseapp.domain.screening.records.Hold",
    "LockedIntake": "caseapp.domain.intakes.schemas.IntakeRecord",
    "LockedLeftDraft": "caseapp.domain.notes.records.NoteRecord",
    "LockedLegalHold": "caseapp.domain.legal_holds.schemas.LegalHoldRecord",
    "LockedLegalHolds": "caseapp.domain.legal_holds.schemas.LegalHoldRecord",
    "LockedMember": "caseapp.domain.users.models.User",
    "LockedMerge": "caseapp.domain.merges.queries.Merge",
    "LockedNoteMove": "caseapp.domain.notes.records.NoteRecord",
    "LockedNote": "caseapp.domain.notes.records.NoteRecord",
    "LockedPlan": "caseapp.domain.safety_plans.schemas.PlanVersion",
    "LockedPortalAccess": "caseapp.domain.auth.models.PortalAccess",
    "LockedProcessNote": "caseapp.domain.process_notes.schemas.ProcessNoteRecord",
    "LockedRecord": "caseapp.domain.clients.queries.ClientRecord",
    "LockedScreening": "caseapp.domain.screening.records.ScreeningRecord",
    "LockedTexts": "caseapp.domain.consent.schemas.ConsentTextRecord",
    "LockedTransfer": "caseapp.domain.staffing.transfer_schemas.TransferRecord",
    "LockedWorksheet": "caseapp.domain.assignments.schemas.AssignmentRecord",
}
LOCKED = re.compile(r"Locked\w+")


def deciding_functions() -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield every public function of the domain that takes a locked record, with its module."""
    for path in sorted(DOMAIN.glob("*/*.py")):
        module = import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
        for name, function in vars(module).items():
            if getattr(function, "__module__", "") != module.__name__ or name.startswith("_"):
                continue
            if callable(function) and not isinstance(function, type) and locked_names(function):
                yield module.__name__, function


def locked_names(function: Callable[..., object]) -> list[str]:
    """Return the names of the parameters that are locked records."""
    found = signature(function).parameters.values()
    return [one.name for one in found if LOCKED.match(str(one.annotation))]


def write_calls(module: str, function: Callable[..., object]) -> Iterator[str]:
    """Write one call with locked records only, and for each of them one with the record that was read before."""
    parameters = signature(function).parameters.values()
    needed = [one for one in parameters if one.default is Parameter.empty]

    def call(early: str | None) -> str:
        given = ", ".join(
            f"{one.name}={'early' if one.name == early else 'anything'}"
            if one.kind is Parameter.KEYWORD_ONLY
            else "early"
            if one.name == early
            else "anything"
            for one in needed
        )
        return f"    {module}.{function.__name__}({given})"

    yield f"def right(anything: Any) -> None:\n{call(None)}\n"
    for name in locked_names(function):
        kind = LOCKED.match(str(signature(function).parameters[name].annotation))
        assert kind is not None
        early = UNLOCKED[kind[0]]
        yield f"def wrong(anything: Any, early: {early}) -> None:\n{call(name)}  # refused\n"


def test_mypy_refuses_every_record_that_was_read_before_the_lock(tmp_path: Path) -> None:
    functions = [*deciding_functions()]
    assert len(functions) >= 40
    modules = {module for module, _ in functions} | {
        name.rpartition(".")[0] for name in UNLOCKED.values()
    }
    calls = [text for module, function in functions for text in write_calls(module, function)]
    numbered = [text.replace("(anything", f"_{n}(anything", 1) for n, text in enumerate(calls)]
    imports = [f"import {module}" for module in sorted(modules)]
    source = tmp_path / "calls.py"
    source.write_text("\n".join(["from typing import Any", *imports, "", *numbered]))
    told = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = re.findall(r"calls\.py:(\d+): error: .*\[(.+)\]", told.stdout)
    lines = source.read_text().splitlines()
    expected = {
        (str(n), "arg-type") for n, line in enumerate(lines, 1) if line.endswith("# refused")
    }
    assert {*errors} == expected, told.stdout[-3000:] + told.stderr
