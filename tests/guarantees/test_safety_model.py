"""Random histories of clients, compared step by step with an independent model of what keeps a client safe."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.core import mail, outbox, runtime
from caseapp.core.actor import operator
from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import FailureCount
from caseapp.domain.cases.queries import list_client_facts
from caseapp.domain.practice.operations import add_help_line, confirm_help_lines
from caseapp.domain.practice.schemas import NewHelpLine
from caseapp.domain.screening.circumstances import NEVER_ENDS, list_end_blockers
from caseapp.domain.screening.protocol import CIRCUMSTANCES
from caseapp.domain.screening.records import merge_levels
from caseapp.domain.screening.state import make_screening
from tests.api.api_client import program
from tests.domain.alerts.steps import add_deputies
from tests.guarantees.safety_model.history import START, Practice, Wrong
from tests.guarantees.safety_model.reached import OFTEN, SELDOM
from tests.guarantees.safety_model.walker import History
from tests.support import staff
from tests.support.depth import ROUNDS

STEPS = 12
MANY = 4000
REACHED: Counter[str] = Counter()
"""What all histories of this process have reached."""
# Together 200 histories in the suite, on both databases; 10,000 on each in `make soak`.
BATCHES, SIZE = (2, 67) if ROUNDS == 1 else (10, 40 * ROUNDS)


@pytest.fixture
def practice(app, monkeypatch):
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    with at(START):
        team = add_deputies(staff.team())
        with transaction():
            for kind in ("crisis", "dv", "substance", "ed", "behaviour"):
                add_help_line(operator(), NewHelpLine(kind, f"Line {kind}", "01632 960123", ""))
            confirm_help_lines(operator())
        programs = {actor.id: program(app, actor) for actor in team.values()}
    addresses = {actor.id: staff.email_of(actor) for actor in team.values()}
    found = Practice(app, team, programs, addresses)
    monkeypatch.setattr(mail, "send", lambda message: found.sent.append(message.to))
    return found


def walk(practice, seed, counts, profile=None):
    """Walk one history; what goes wrong names its seed and the steps that led there."""
    history = History(practice, seed, counts)
    try:
        history.walk(STEPS, profile)
    except Exception as fault:
        db.session.rollback()
        fault.add_note("\n  ".join([f"Seed {seed}:", *history.trace]))
        raise
    finally:
        # The next history begins as early as this one: it must not carry out the tasks that this one left behind, nor
        # count its attempts to sign in.
        with transaction() as session:
            session.execute(sa.delete(outbox.OutboxRow))
            session.execute(sa.delete(FailureCount))


@pytest.mark.both
@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("batch", range(BATCHES))
def test_program_and_model_agree_on_random_histories(practice, batch):
    counts: Counter[str] = Counter()
    for seed in range(batch * SIZE, (batch + 1) * SIZE):
        walk(practice, seed, counts)
    assert sorted(OFTEN - (+counts).keys()) == []
    REACHED.update(counts, histories=SIZE)
    if REACHED["histories"] >= MANY:
        assert sorted(SELDOM - (+REACHED).keys()) == []


def allow(*_given, **_more):
    """Judge nothing, and do nothing."""


def list_nothing(*_given):
    """Find no reason against anything."""
    return []


def list_everybody(step, team, manager):
    """List the people of a step, whoever has left."""
    people = [manager] if step == "manager" else [getattr(one, step) for one in team]
    return [person for person in people if person]


def list_newest_facts(client):
    """Return the facts of the newest case only."""
    return dict([*list_client_facts(client).items()][-1:])


def make_screening_anew(event, *given):
    """Build a screening as the protocol of today would have it."""
    found = make_screening(event, *given)
    raised = {
        one.item: int(one.level)
        for key in found.circumstances
        for one in CIRCUMSTANCES[key].raises
        if one.when is None and not CIRCUMSTANCES[key].never_expires
    }
    return replace(found, at_least=merge_levels(found.at_least, raised))


def list_blockers_of_other_ends(*given):
    """List why a circumstance can't end, but for one that never does."""
    return [reason for reason in list_end_blockers(*given) if reason is not NEVER_ENDS]


FAULTS = {
    "a hold is released without its facts": (
        "holds",
        "screening.hold_operations.check_release",
        allow,
    ),
    "a flag is cleared while an order stands": (
        "flags",
        "cases.operations.check_clear_case_flag",
        allow,
    ),
    "a flag is cleared while an answer stands": (
        "holds",
        "screening.operations.check_clear_flag",
        allow,
    ),
    "a check is done before its time": ("endings", "followups.operations.check_complete", allow),
    "a case moves through a closed gate": ("contact", "cases.operations.check_move", allow),
    "a case is closed under a hold": ("endings", "cases.operations.check_close", allow),
    "a barred handout is assigned": ("handouts", "assignments.operations.check_assign", allow),
    "a barred handout is shown": ("handouts", "assignments.reading.select_readable", list),
    "an alert is lost": ("holds", "screening.operations.raise_alert", allow),
    "an alert isn't passed on": ("holds", "alerts.operations.list_due_steps", lambda *_given: []),
    "an alert doesn't follow the client": (
        "leaving",
        "staffing.operations.readdress_alerts",
        lambda *_given: set(),
    ),
    "an urgent draft opens nothing": (
        "notes",
        "notes.operations.opens_safety_hold",
        lambda *_given: False,
    ),
    "an action stays with a supervisor who has left": (
        "leaving",
        "staffing.operations.move_followups",
        allow,
    ),
    "a supervisor leaves nobody behind": ("leaving", "staffing.operations.check_disable", allow),
    "whoever has left is alerted": ("leaving", "alerts.operations.list_people", list_everybody),
    "an order of another case is forgotten": (
        "cases",
        "cases.operations.list_client_facts",
        list_newest_facts,
    ),
    "a danger that never ends has ended": (
        "said",
        "screening.circumstance_operations.list_end_blockers",
        list_blockers_of_other_ends,
    ),
    "a new protocol changes what was said before": (
        "said",
        "screening.state.make_screening",
        make_screening_anew,
    ),
    "a plan of before is enough": (
        "plans",
        "safety_plans.operations.list_plan_blockers",
        list_nothing,
    ),
    "a plan is shown in spite of fear": (
        "plans",
        "safety_plans.queries.list_portal_blockers",
        list_nothing,
    ),
    "actions are forgotten": (
        "holds",
        "screening.operations.create_required_followups",
        lambda *_given, **_more: [],
    ),
    "a circumstance in a draft opens nothing": (
        "notes",
        "notes.operations.list_stated_levels",
        lambda _note, draft: draft.unrecorded,
    ),
    "a hold that was released by mistake stays released": (
        "errors",
        "screening.corrections._list_restored",
        lambda *_given: {},
    ),
}


@pytest.mark.slow
def test_model_finds_every_fault_that_is_put_in(practice, monkeypatch):
    unfound = []
    for fault, (profile, name, broken) in FAULTS.items():
        with monkeypatch.context() as patched:
            patched.setattr(f"caseapp.domain.{name}", broken)
            try:
                for seed in range(SIZE):
                    walk(practice, seed, Counter(), profile)
            except Wrong:
                continue
        unfound.append(fault)
    assert not unfound
