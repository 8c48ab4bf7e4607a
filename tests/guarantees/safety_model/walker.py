"""Random histories of one client each, through the program's operations, compared step by step with the model."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import Actor
from caseapp.core.clock import at
from caseapp.core.database import db, run
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import Alert, AlertRecipient
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import lock_alert
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.operations import assign_handout, assign_handouts
from caseapp.domain.assignments.reading import get_reading_list, get_reading_list_item
from caseapp.domain.assignments.schemas import NewAssignments
from caseapp.domain.bulk_assignments.models import BulkAssignment, BulkAssignmentItem
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import NewBulkAssignment
from caseapp.domain.cases.operations import (
    clear_case_flag,
    close_case,
    move_case,
    open_case,
    reopen_case,
    update_case,
)
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.schemas import CaseClosing, CaseDetails, StageMove
from caseapp.domain.cases.stages import attested_criteria
from caseapp.domain.clients.operations import confirm_contact
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import lock_followup
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.notes.operations import create_note, save_draft, sign_note
from caseapp.domain.notes.queries import lock_case_for_note, lock_note
from caseapp.domain.notes.schemas import DraftChange, DraftScreening, NewNote
from caseapp.domain.safety_plans.codes import FORMS
from caseapp.domain.safety_plans.operations import complete_task
from caseapp.domain.screening.operations import record_screening, release_hold, set_manual_flag
from caseapp.domain.screening.queries import get_safety_history, lock_hold
from caseapp.domain.screening.schemas import NewScreening
from caseapp.domain.screening.state import fold
from caseapp.domain.worksheets.operations import share_answers
from caseapp.domain.worksheets.queries import lock_worksheet
from caseapp.http.interfaces import Interface
from caseapp.http.sessions import COOKIES
from caseapp.portal.reading_list import format_position
from tests.guarantees.safety_model import model
from tests.guarantees.safety_model.model import (
    CONCERN,
    FEAR,
    ITEMS,
    NONE,
    SAFETY_ITEMS,
    SKEW,
    SPOKEN_TO,
    STAGES,
    URGENT,
    WATCH,
    Screening,
    Task,
)
from tests.support import builders, safety_plans
from tests.support.bars_table import CODES, TABLE
from tests.support.followups import result_for
from tests.support.portal_client import sign_in_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask import Flask
    from flask.testing import FlaskClient

    from caseapp.domain.screening.queries import SafetyHistory
    from tests.api.api_client import ApiClient

START = datetime(2026, 5, 14, 12, tzinfo=UTC)
LAST = START + timedelta(days=80)
LEVEL_NAMES = ("none", "watch", "concern", "urgent")
REASON = "Two steady weeks and a plan on file."
SLUGS: list[str] = sorted(TABLE)
CONTACT_SLUGS = [slug for slug in SLUGS if "contact block" in TABLE[slug].get("block", ())]
MANUAL = ("contact_block", "eating_disorder_flag", "withdrawal_risk", "unsafe_delivery")
DONE = True
"""The model is sure that the program does it."""
REFUSED_STATUS = {
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
REFUSALS = (RuleBroken, Forbidden, NotFound, Invalid)
RESULTS = {
    **dict.fromkeys(SPOKEN_TO, ("reached", "not_reached", "not_reached")),
    **dict.fromkeys(model.DECIDED_WHEN_DECLINED, ("done", "declined")),
    "referral_outcome": ("done", "declined", "not_reached"),
    "duty_check": ("yes", "no", "not_sure"),
    "welfare_check": ("keep_trying", "lost_contact"),
    "declined_decision": ("accepted", "try_again"),
}
KINDS_AGAIN = {"welfare_check", "declined_decision"}
STEPS = ("coach", "supervisor", "deputy", "manager")

OPEN_TASKS = (
    sa.select(
        FollowUp.id, FollowUp.kind, FollowUp.episode_id, FollowUp.not_before_at, FollowUp.due_at
    )
    .where(
        FollowUp.client_id == sa.bindparam("client"),
        FollowUp.completed_at.is_(None),
        # No screening asks for the review of a plan, and no hold waits for it.
        FollowUp.kind != "plan_review",
    )
    .order_by(FollowUp.due_at, FollowUp.kind)
)
ALERTED = (
    sa.select(AlertRecipient.alert_id, AlertRecipient.user_id, AlertRecipient.step)
    .join(Alert, Alert.id == AlertRecipient.alert_id)
    .where(Alert.client_id == sa.bindparam("client"))
)
ASSIGNED = (
    sa.select(Assignment.id, HandoutVersion.slug, Assignment.channel, Assignment.position)
    .join(HandoutVersion, HandoutVersion.id == Assignment.handout_version_id)
    .where(Assignment.client_id == sa.bindparam("client"))
    .order_by(Assignment.position)
)
WAITING = (
    sa.select(BulkAssignment.slug, BulkAssignment.channel)
    .join(BulkAssignmentItem, BulkAssignmentItem.bulk_assignment_id == BulkAssignment.id)
    .where(
        BulkAssignmentItem.client_id == sa.bindparam("client"),
        BulkAssignmentItem.state == "waiting",
    )
)
WORKSHEETS = {
    handout.id: handout.fields[0].id
    for (slug, language), handout in library().items()
    if language == "en" and handout.fields
}
EVERY_CAUTION = frozenset(CODES.values()) | {"later_stage", "by_hand_only"}
ALERTS = (
    sa.select(Alert.id).where(Alert.client_id == sa.bindparam("client")).order_by(Alert.opened_at)
)


class Wrong(AssertionError):
    """The program and the model differ."""


@dataclass
class Practice:
    """What all histories share: the application, its people, their programs, and the mail that was sent."""

    app: Flask
    team: dict[str, Actor]
    programs: dict[UUID, ApiClient]
    addresses: dict[UUID, str]
    sent: list[str] = field(default_factory=list)


@dataclass
class AlertSent:
    """An alert of the model: whom it has reached, and by which step."""

    kind: str
    opened_at: datetime
    by: UUID
    people: dict[str, UUID]
    acknowledged: bool = False
    alerted: set[UUID] = field(default_factory=set)

    def due(self, step: str) -> datetime | None:
        """Return when a step is due: the practice's times are the usual ones."""
        if step in {"coach", "supervisor"}:
            return self.opened_at
        if self.kind == "safety":
            return self.opened_at + timedelta(minutes=30 if step == "deputy" else 120)
        return model.next_working_day(self.opened_at, 1) if step == "deputy" else None

    def pass_on(self, moment: datetime) -> None:
        """Take every step that is due: all where a clock was set back, the next one while only the coach knows."""
        if self.acknowledged:
            return
        is_set_back = self.opened_at > moment + SKEW
        for step in STEPS:
            due = self.due(step)
            is_unknown = not (self.alerted | {self.by}) - {self.people["coach"]}
            if (due is not None and due <= moment) or is_set_back or is_unknown:
                self.alerted |= {self.people[step]} - {self.by}


@dataclass
class Draft:
    """A note in draft: its answers, and those that saving it has recorded, with the session time that they got."""

    id: UUID
    version: int
    session_at: datetime
    levels: dict[str, int | None]
    alone: bool
    recorded: dict[str, int | None] = field(default_factory=dict)

    @property
    def unrecorded(self) -> dict[str, int | None]:
        """Return the answers that no screening has yet."""
        return {
            key: level
            for key, level in self.levels.items()
            if key not in self.recorded or self.recorded[key] != level
        }


class History:
    """One client, their model, and the steps so far."""

    def __init__(
        self, practice: Practice, seed: int, counts: Counter[str], profile: str | None = None
    ) -> None:
        """Create a client with a case; the profile is random unless it is given."""
        self.practice, self.team, self.counts = practice, practice.team, counts
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.now = START
        self.trace: list[str] = []
        self.model = model.Client()
        self.alerts: dict[UUID, AlertSent] = {}
        self.draft: Draft | None = None
        self.given: list[tuple[int, str]] = []
        self.assigned: set[tuple[str, str]] = set()
        self.written: dict[int, int] = {}
        self.mailed: set[tuple[UUID, UUID]] = set()
        self.number = 0
        self.screening_ids: dict[UUID, int] = {}
        self.hold_ids: dict[str, UUID] = {}
        self.flag_ids: dict[str, UUID] = {}
        interface = self.random.choices(("operations", "API", "portal"), (16, 2, 1))[0]
        self.programs = practice.programs if interface == "API" else {}
        self.browser = None
        with at(self.now):
            if interface == "portal":
                self.browser, invited = sign_in_client(practice.app, self.team["coach"])
                self.client_id, case_id = invited.client_id, invited.case_id
            else:
                made = builders.case(self.team["coach"])
                self.client_id, case_id = made.client_id, made.case_id
        self.model.cases.append(model.Case(case_id))
        self.reader = Actor(self.client_id, Role.CLIENT, "Ines", "portal")
        self.profile = profile or self.random.choices([*PROFILES], PROFILE_WEIGHTS)[0]

    # Running and comparing.

    def walk(self, steps: int) -> None:
        """Take random steps, and compare after each."""
        names, weights = zip(*(BASE | PROFILES[self.profile]).items(), strict=True)
        for _ in range(steps):
            if self.now > LAST:
                break
            name = self.random.choices(names, weights)[0]
            with at(self.now):
                getattr(self, f"step_{name}")()
            with at(self.now):
                self.compare()

    def say(self, text: str) -> None:
        """Note a step."""
        self.trace.append(f"{self.now:%m-%d %H:%M} {text}")

    def attempt(
        self,
        name: str,
        expected: model.Expected,
        call: Callable[[], object],
        request: Callable[[], Any] | None = None,
    ) -> bool:
        """Do something and compare whether it was refused; return whether it was done.

        A history of the API sends the `request`, if there is one; every other one calls the operations.
        """
        if request and self.programs:
            codes = self._send(request)
        else:
            codes = []
            try:
                with transaction():
                    call()
            except REFUSALS as fault:
                reasons = [reason.code for reason in getattr(fault, "reasons", ())]
                codes = reasons or [type(fault).__name__]
        db.session.rollback()
        done, what = not codes, name.split(" ", maxsplit=1)[0]
        self.say(f"{name}: {'done' if done else 'refused, ' + ' '.join(codes)}; model: {expected}")
        if expected is not None and expected is not done:
            raise Wrong(name)
        self.counts[
            f"{what}: {'' if expected is not None else 'open, '}{'done' if done else 'refused'}"
        ] += 1
        self.counts.update(f"{what}: {code}" for code in codes)
        return done

    def _send(self, request: Callable[[], Any]) -> list[str]:
        """Send a request to the API; return the codes of its refusal."""
        answer = request()
        self.counts[f"API: {answer.status_code}"] += 1
        if answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
            return []
        error = answer.get_json()["error"]
        self.require(answer.status_code in REFUSED_STATUS, f"API: {answer.status_code} {error}")
        return [reason["code"] for reason in error.get("reasons", ())] or [error["code"]]

    def require(self, condition: object, what: str) -> None:
        """Raise unless a comparison holds."""
        if not condition:
            raise Wrong(what)

    def compare(self) -> None:
        """Compare everything that the program says about the client with the model."""
        db.session.rollback()
        history = get_safety_history(self.client_id)
        self._compare_state(history)
        self._compare_tasks()
        self._compare_alerts()
        self._compare_portal()

    def _compare_state(self, history: SafetyHistory) -> None:
        open_holds = {
            hold.kind: hold for hold in history.holds.values() if hold.released_at is None
        }
        self.hold_ids = {kind: hold.id for kind, hold in open_holds.items()}
        items = {
            kind: {reason["item"] for reason in hold.reasons} for kind, hold in open_holds.items()
        }
        wanted = {kind: hold.items for kind, hold in self.model.holds.items()}
        self.require(items == wanted, f"holds {items}, model {wanted}")
        flags = {flag.kind: flag.id for flag in history.flags.values() if flag.cleared_at is None}
        self.flag_ids = flags
        self.require(
            flags.keys() == self.model.flags.keys(), f"flags {[*flags]}, model {self.model.flags}"
        )
        levels = {key: answer.level for key, answer in fold(history.events).answers.items()}
        known = {key: answer.level for key, answer in self.model.answers.items()}
        self.require(levels == known, f"levels {levels}, model {known}")

    def _compare_tasks(self) -> None:
        rows = run(OPEN_TASKS, client=self.client_id).all()
        found = {row.id: row.kind for row in rows}
        wanted = {task_id: task.kind for task_id, task in self.model.tasks.items()}
        self.require(found == wanted, f"open actions {found}, model {wanted}")

    def _compare_alerts(self) -> None:
        ids = [row.id for row in run(ALERTS, client=self.client_id)]
        self.require({*ids} == {*self.alerts}, f"{len(ids)} alerts, model {len(self.alerts)}")
        reached = Counter(
            (row.alert_id, row.user_id) for row in run(ALERTED, client=self.client_id)
        )
        wanted = Counter(
            (alert_id, who) for alert_id, sent in self.alerts.items() for who in sent.alerted
        )
        self.require(reached == wanted, f"alerted {reached}, model {wanted}")

    def _compare_portal(self) -> None:
        if not self.given:
            return
        shown = {record.position for record in get_reading_list(self.reader)}
        for position, slug in self.given:
            expected = self.model.may_read(slug, "portal", self.now)
            is_shown = position in shown
            if expected is not None and is_shown is not expected:
                raise Wrong(f"{slug} shown in the portal: {is_shown}, model: {expected}")
            self.counts[f"portal: {'shown' if is_shown else 'barred'}"] += 1
        position, slug = self.random.choice(self.given)
        if position not in shown:
            try:
                get_reading_list_item(self.reader, position)
            except RuleBroken:
                self.counts["portal: page refused"] += 1
            else:
                raise Wrong(f"the page of {slug} is shown")
        if self.browser and self.random.random() < 0.5:
            self._visit(self.browser, shown)

    def _visit(self, browser: FlaskClient, shown: set[int]) -> None:
        """Open the portal as the client's browser does: the list, each handout, and the PDFs of what is barred."""
        with transaction():
            token = begin_session("client", self.client_id)
        browser.set_cookie(COOKIES[Interface.PORTAL], token, domain="localhost", secure=True)
        listed = browser.get("/portal").get_data(as_text=True)
        for position, slug in self.given:
            link = f'href="/portal/h/{position}"'
            self.require((link in listed) is (position in shown), f"{slug} on the list")
            page = browser.get(f"/portal/h/{position}").status_code
            allowed = {HTTPStatus.OK} if position in shown or position in self.written else set()
            if position not in shown:
                file = browser.get(f"/portal/h/{position}/reading-{format_position(position)}.pdf")
                self.require(file.status_code == HTTPStatus.CONFLICT, f"the PDF of {slug}")
            self.require(page in (allowed or {HTTPStatus.CONFLICT}), f"page of {slug}: {page}")
        db.session.rollback()
        self.counts["portal: visited"] += 1

    # Steps: screenings and notes.

    def _person(self) -> Actor:
        return self.team["coach" if self.random.random() < 0.85 else "supervisor"]

    def _levels(self, how: str) -> dict[str, int | None]:
        pick = self.random
        if how == "steady":
            return dict.fromkeys(ITEMS, NONE)
        if how == "calm":
            return {key: int(pick.random() < 0.08) for key in ITEMS}
        if how == "brief":
            keys = pick.sample(ITEMS, pick.randint(1, 4))
            return {
                key: pick.choices((NONE, WATCH, CONCERN, URGENT), (70, 15, 10, 5))[0]
                for key in keys
            }
        levels: dict[str, int | None] = {key: int(pick.random() < 0.1) for key in ITEMS}
        for key in pick.sample(ITEMS, pick.randint(1, 2)):
            levels[key] = pick.choice((CONCERN, URGENT))
        if pick.random() < 0.3:
            levels[pick.choice(SAFETY_ITEMS)] = pick.choice((WATCH, CONCERN, URGENT))
        return levels

    def _record(
        self,
        how: str,
        session_at: datetime | None = None,
        *,
        alone: bool = True,
        by: Actor | None = None,
    ) -> None:
        levels, by = self._levels(how), by or self._person()
        answers = dict.fromkeys(ITEMS) | levels
        session = session_at or self.now
        wanted = session <= self.now
        called = f"screening {how}{'' if alone else ', not alone'} by {by.role.value} of {session:%m-%d %H:%M}"

        def call() -> None:
            client = lock_client(by, self.client_id)
            record_screening(
                by, client, NewScreening(answers, asked_alone=alone), session_at=session_at
            )

        def request() -> Any:
            names = {key: LEVEL_NAMES[level] for key, level in levels.items() if level is not None}
            program = self.programs[by.id]
            return program.post(
                f"/clients/{self.client_id}/screenings", names | {"asked_alone": alone}
            )

        self.say(str({key: level for key, level in levels.items() if level}))
        if self.attempt(called, wanted, call, None if session_at else request):
            self._take_in(levels, alone=alone, session_at=session, by=by)

    def _take_in(
        self,
        levels: dict[str, int | None],
        *,
        alone: bool,
        session_at: datetime,
        by: Actor,
        repeats: frozenset[str] = frozenset(),
    ) -> None:
        """Let the model record a screening, and compare what the program did at once."""
        self.number += 1
        asked = {key: level for key, level in levels.items() if level is not None}
        new = Screening(self.number, by.id, asked, alone, session_at, self.now, repeats)
        required = self.model.record(new)
        self._take_in_tasks(required)
        if new.holds:
            kind = "safety" if "safety" in new.holds else "care"
            rows = run(ALERTS, client=self.client_id)
            found = [row.id for row in rows if row.id not in self.alerts]
            self.require(len(found) == 1, f"{len(found)} alerts of one screening")
            alert_id = found[0]
            people = {step: self.team[step].id for step in STEPS}
            sent = self.alerts[alert_id] = AlertSent(kind, self.now, by.id, people)
            sent.pass_on(self.now)
            self.counts[f"alerts: {kind}"] += 1
        for kind in new.holds:
            raised = self.model.holds[kind].raising
            self.counts[f"holds: {kind} {'opened' if len(raised) == 1 else 'renewed'}"] += 1
        if new.late:
            self.counts["screenings: late"] += 1

    def _take_in_tasks(self, required: model.Required) -> None:
        """Compare the new actions with what the screening requires, each once and none before its time."""
        known = self.model.tasks
        rows = run(OPEN_TASKS, client=self.client_id).all()
        new = [row for row in rows if row.id not in known]
        kinds = Counter(row.kind for row in new)
        self.require({*kinds} <= required.possible, f"needless actions {kinds}")
        self.require(all(count == 1 for count in kinds.values()), f"doubled actions {kinds}")
        if required.starts_episode:
            self.require(required.actions <= {*kinds}, f"actions {kinds}, model {required.actions}")
        open_kinds = {row.kind for row in rows}
        self.require(required.actions <= open_kinds, f"missing {required.actions - open_kinds}")
        for row in new:
            wait, due = model.NOT_BEFORE.get(row.kind), model.DUE.get(row.kind)
            soonest = self.now + wait if wait else None
            self.require(row.not_before_at == soonest, f"{row.kind} not before {row.not_before_at}")
            expected = self.now + due if due is not None else model.next_working_day(self.now, 2)
            slack = timedelta(0) if due is not None else timedelta(days=1)
            self.require(
                abs(row.due_at - expected) <= slack,
                f"{row.kind} due {row.due_at}, model {expected}",
            )
            if row.episode_id is not None:
                self.screening_ids.setdefault(row.episode_id, self.number)
            known[row.id] = Task(row.kind, self.screening_ids.get(row.episode_id), soonest)

    def step_calm(self) -> None:
        """Record a full screening in private at none or watch."""
        self._record("calm")

    def step_raised(self) -> None:
        """Record a full screening with a concern or urgent level."""
        self._record("raised", alone=self.random.random() < 0.9)

    def step_brief(self) -> None:
        """Record a brief check."""
        self._record("brief", alone=self.random.random() < 0.7)

    def step_not_alone(self) -> None:
        """Record a full screening that was not asked alone."""
        self._record("calm", alone=False)

    def step_earlier(self) -> None:
        """Record a session of before: in time, late, or dated in the future."""
        hours = self.random.choice((2, 20, 47, 71, 73, 100, 24 * 10, -1))
        self._record(
            self.random.choice(("calm", "raised", "brief")), self.now - timedelta(hours=hours)
        )

    def step_ahead(self) -> None:
        """Record a screening while the clock runs days ahead."""
        right = self.now
        self.now = right + timedelta(hours=self.random.choice((1, 30, 60)))
        with at(self.now):
            self._record(self.random.choice(("calm", "brief", "raised")))
            self.compare()
        self.now = right
        self.counts["clock: ran ahead"] += 1

    def step_draft(self) -> None:
        """Start a note with answers, to be signed later."""
        case, coach = self.model.cases[-1], self.team["coach"]
        if self.draft or not case.is_open:
            return
        levels = self._levels(self.random.choice(("calm", "brief", "brief", "raised")))
        session_at = self.now - timedelta(hours=self.random.choice((1, 1, 30, 80)))
        new = NewNote("dap", session_at, 50, "video", builders.SECTIONS)
        made: list[UUID] = []

        def call() -> None:
            made.append(create_note(coach, lock_case_for_note(coach, case.id), new).id)

        if self.attempt("draft", DONE, call):
            self.draft = Draft(made[0], 1, session_at, {}, self.random.random() < 0.8)
            self._save_draft(self.draft, levels)

    def step_redraft(self) -> None:
        """Change answers in the draft, perhaps back."""
        if self.draft:
            changed = {
                key: self.random.choice((NONE, WATCH, CONCERN, URGENT, None))
                for key in self.random.sample(ITEMS, self.random.randint(1, 3))
            }
            self._save_draft(self.draft, changed)

    def _save_draft(self, draft: Draft, changed: dict[str, int | None]) -> None:
        """Save answers in a draft: one that opens a safety hold counts at once, with everything asked so far."""
        coach, before = self.team["coach"], draft.version
        draft.levels |= changed

        def call() -> None:
            change = DraftChange(screening=DraftScreening(draft.levels, asked_alone=draft.alone))
            draft.version = save_draft(coach, lock_note(coach, draft.id), change, before)

        opens = any(model.opens_safety_hold(*answer) for answer in draft.unrecorded.items())
        answers = {key: level for key, level in draft.levels.items() if level != NONE}
        called = f"save of {draft.session_at:%m-%d %H:%M} alone={draft.alone} {answers}"
        self.attempt(called, DONE, call)
        if opens:
            self.counts["draft: opens a hold"] += 1
            self._record_draft(draft)

    def _record_draft(self, draft: Draft) -> None:
        """Let the model record a draft's answers; what was recorded before requires nothing again."""
        draft.session_at = min(draft.session_at, self.now)
        repeats = frozenset(draft.levels.keys() - draft.unrecorded.keys())
        self._take_in(
            draft.levels,
            alone=draft.alone,
            session_at=draft.session_at,
            by=self.team["coach"],
            repeats=repeats,
        )
        draft.recorded = {**draft.levels}

    def step_sign(self) -> None:
        """Sign the note, however late."""
        draft, coach = self.draft, self.team["coach"]
        if draft is None or draft.session_at > self.now:
            return
        self._save_draft(draft, {key: None for key in ITEMS if key not in draft.levels})
        if self.attempt(
            f"sign of {draft.session_at:%m-%d %H:%M}",
            DONE,
            lambda: sign_note(coach, lock_note(coach, draft.id), draft.version),
        ):
            if any(level is not None for level in draft.unrecorded.values()):
                self._record_draft(draft)
            self.draft = None

    # Steps: facts and flags.

    def step_facts(self) -> None:
        """Change the facts of the newest case."""
        case, coach, pick = self.model.cases[-1], self.team["coach"], self.random
        facts = {
            "order": pick.choices(("none", "protects_client", "protects_spouse"), (8, 1, 1))[0],
            "spouse_contact_wish": pick.choices(("open", "space", "asked_for_none"), (8, 1, 1))[0],
            "spouse_willingness": pick.choices(("agreed", "few"), (7, 3))[0],
            "living_arrangement": pick.choice(("long_distance", "same_home")),
            "affair_disclosed": pick.choices(("no", "spouse"), (8, 2))[0],
        }
        details = CaseDetails(facts, "together", (LAST + timedelta(days=90)).date())

        def call() -> None:
            found = lock_case(coach, case.id)
            update_case(coach, found, details, found.case.version)

        if self.attempt(f"facts {facts}", DONE if case.is_open else None, call):
            case.facts, case.goal_chosen = facts, True
            if facts["order"] != "none" or facts["spouse_contact_wish"] == "asked_for_none":
                self.model.set_flags({"contact_block"})

    def step_flag(self) -> None:
        """Set a flag by hand."""
        coach, kind = self.team["coach"], self.random.choice(MANUAL)
        if self.attempt(
            f"flag {kind}",
            DONE,
            lambda: set_manual_flag(coach, lock_client(coach, self.client_id), kind),
        ):
            self.model.set_flags({kind})

    def step_clear(self) -> None:
        """Try to clear a flag, as a supervisor or as the coach."""
        if not self.flag_ids:
            return
        kind = self.random.choice(sorted(self.flag_ids))
        who = self.random.choices(("supervisor", "coach", "manager"), (8, 1, 1))[0]
        actor, case = self.team[who], self.random.choice(self.model.cases)
        expected = self.model.may_clear(kind) if who == "supervisor" else False
        if self.attempt(
            f"clear {kind} by {who}",
            expected,
            lambda: clear_case_flag(actor, lock_case(actor, case.id), self.flag_ids[kind], REASON),
        ):
            del self.model.flags[kind]

    def step_confirm(self) -> None:
        """Confirm in person which ways of contact are safe."""
        coach = self.team["coach"]

        def call() -> None:
            client = lock_client(coach, self.client_id)
            confirm_contact(coach, client, client.record.version)

        if self.attempt("confirm", DONE, call):
            self.model.confirmed = True

    # Steps: actions and release.

    def _complete(self, task_id: UUID, task: Task, result: str | None, by: Actor) -> None:
        """Complete an action, and compare which one follows."""
        early = task.not_before is not None and self.now < task.not_before

        def call() -> None:
            locked = lock_followup(by, task_id)
            complete_task(by, locked, result_for(task.kind, result), locked.row.version)

        def request() -> Any:
            path, program = f"/followups/{task_id}", self.programs[by.id]
            new = result_for(task.kind, result)
            body = {"result": new.result, "method": new.method, "told": new.told, "note": new.note}
            return program.patch(path, body, version=program.get(path).get_json())

        is_made = task.kind == "safety_plan" and result == "done"
        # The first time there is none, so that it is refused.
        if is_made and self.counts["complete: no_plan"]:
            self._write_plans()
        may_decide = by.role is Role.SUPERVISOR or not task.is_decision
        expected = not early and may_decide and task.allows(result or "")
        expected = expected and (not is_made or self._is_planned(task_id))
        if not self.attempt(
            f"complete {task.kind} {result or ''} by {by.role.value}", expected, call, request
        ):
            return
        del self.model.tasks[task_id]
        if result == "reached":
            self.model.is_lost = False
        if result == "lost_contact":
            self.model.is_lost = True
            self.counts["decided: lost contact"] += 1
        following = task.follow(result or result_for(task.kind).result)
        self._take_in_following([following] if following else [])

    def _write_plans(self) -> None:
        """Write a safety plan and an exit plan, each a new version."""
        for kind in FORMS:
            safety_plans.write(self.team["coach"], self.client_id, kind)
        self.model.planned.append(self.now)

    def _is_planned(self, task_id: UUID) -> bool:
        """Tell whether plans were written since an action asked for them; five minutes are allowed for."""
        asked = sa.select(FollowUp.created_at).where(FollowUp.id == task_id)
        since = db.session.scalar(asked) or self.now
        db.session.rollback()
        return any(moment >= since - timedelta(minutes=5) for moment in self.model.planned)

    def _take_in_following(self, following: list[Task]) -> None:
        """Compare the new actions with those that follow from results."""
        rows = run(OPEN_TASKS, client=self.client_id).all()
        new = sorted((row.kind, row) for row in rows if row.id not in self.model.tasks)
        wanted = sorted(following, key=lambda task: task.kind)
        kinds = [kind for kind, _row in new]
        self.require(kinds == [task.kind for task in wanted], f"what follows: {kinds}")
        for (_kind, row), task in zip(new, wanted, strict=True):
            self.model.tasks[row.id] = replace(task, not_before=row.not_before_at)
            self.counts[f"followed: {task.kind}"] += 1

    def step_actions(self) -> None:
        """Complete everything that can be done now, in one transaction."""
        by = self.team["supervisor"]
        chosen = [
            (task_id, task)
            for task_id, task in self.model.tasks.items()
            if task.not_before is None or task.not_before <= self.now
        ]

        if any(task.kind == "safety_plan" for _task_id, task in chosen):
            self._write_plans()

        def call() -> None:
            for task_id, task in chosen:
                locked = lock_followup(by, task_id)
                complete_task(by, locked, result_for(task.kind), locked.row.version)

        if chosen and self.attempt(f"complete all {len(chosen)} actions", DONE, call):
            following = [task.follow(result_for(task.kind).result) for _task_id, task in chosen]
            for task_id, _task in chosen:
                del self.model.tasks[task_id]
            self.model.is_lost = False
            self._take_in_following([task for task in following if task])

    def step_one_action(self) -> None:
        """Try one action with a random result, by the coach, also before its time."""
        if not self.model.tasks:
            return
        task_id = self.random.choice([*self.model.tasks])
        task = self.model.tasks[task_id]
        results = RESULTS.get(task.kind, (None,))
        by = self._person() if task.is_decision else self.team["coach"]
        self._complete(task_id, task, self.random.choice(results), by)

    def step_unreachable(self) -> None:
        """Try to reach the client again and again, in vain, until a supervisor decides that contact is lost."""
        coach, supervisor = self.team["coach"], self.team["supervisor"]
        for _ in range(8):
            found = [
                (task_id, task)
                for task_id, task in self.model.tasks.items()
                if task.kind in {"welfare_check", "safety_24h"}
            ]
            if not found:
                return
            task_id, task = found[0]
            self.now = max(self.now, task.not_before or self.now)
            with at(self.now):
                if task.kind == "welfare_check":
                    results = (
                        ("lost_contact",) if task.attempt > 1 else ("keep_trying", "lost_contact")
                    )
                    self._complete(task_id, task, self.random.choice(results), supervisor)
                else:
                    self._complete(task_id, task, "not_reached", coach)
        with at(self.now):
            self.step_close_lost()

    def step_release(self) -> None:
        """Try to release a hold: as the supervisor, or as somebody who may not."""
        if not self.hold_ids:
            return
        kind = self.random.choice(sorted(self.hold_ids))
        who = self.random.choices(("supervisor", "coach", "manager"), (8, 1, 1))[0]
        actor = self.team[who]
        expected = (
            self.model.may_release(kind, actor.id, self.now) if who == "supervisor" else False
        )
        held = self.model.holds[kind]

        def call() -> None:
            locked = lock_hold(actor, self.hold_ids[kind])
            release_hold(actor, locked, REASON, locked.hold.version)

        def request() -> Any:
            path, program = f"/holds/{self.hold_ids[kind]}", self.programs[actor.id]
            found = program.get(path)
            if found.status_code != HTTPStatus.OK:
                return found
            return program.post(f"{path}/release", {"reason": REASON}, version=found.get_json())

        if self.attempt(f"release_{kind} by {who}", expected, call, request):
            del self.model.holds[kind]
            if FEAR in held.items:
                self.counts["release: after fear"] += 1

    def step_recover(self) -> None:
        """Do what ends a hold, or nearly all of it, and try to release it."""
        if not self.hold_ids:
            return
        for _ in range(2 if "care" in self.hold_ids else 1):
            self.now += timedelta(days=self.random.choices((8, 6, 3), (8, 1, 1))[0])
            with at(self.now):
                if self.random.random() < 0.95:
                    self.step_actions()
                if self.random.random() < 0.95:
                    by = None if self.random.random() < 0.1 else self.team["coach"]
                    self._record("steady", alone=self.random.random() < 0.9, by=by)
                self.compare()
        with at(self.now):
            self.step_release()

    # Steps: the case.

    def _post_to_case(self, case: model.Case, action: str, body: dict[str, Any]) -> Any:
        """Send a change of a case to the API, as its coach."""
        path, program = f"/cases/{case.id}", self.programs[self.team["coach"].id]
        return program.post(f"{path}/{action}", body, version=program.get(path).get_json())

    def step_move(self) -> None:
        """Try to move forward, or back, or to skip a stage."""
        case, coach = self.model.cases[-1], self.team["coach"]
        here = STAGES.index(case.stage)
        how = self.random.choices(("forward", "back", "skip", "close"), (8, 1, 1, 1))[0]
        to = {
            "forward": min(here + 1, 6),
            "back": max(here - 1, 0),
            "skip": min(here + 2, 5),
            "close": 6,
        }[how]
        if to == here:
            return
        self._move(case, STAGES[to], coach)

    def _move(self, case: model.Case, to: str, coach: Actor) -> None:
        here = STAGES.index(case.stage)
        forward = STAGES.index(to) - here
        if not case.is_open:
            expected: model.Expected = False
        elif forward < 0:
            expected = True
        elif forward > 1 and to != "close":
            expected = False
        else:
            expected = self.model.may_advance(case, to, self.now)
        evidence = dict.fromkeys(attested_criteria(), "Seen in the session.") if forward > 0 else {}

        def call() -> None:
            found = lock_case(coach, case.id)
            move_case(coach, found, StageMove(to, REASON, evidence), found.case.version)

        def request() -> Any:
            body = {"to": to, "reason": REASON, "evidence": evidence}
            return self._post_to_case(case, "stage", body)

        if self.attempt(f"move {case.stage} to {to}", expected, call, request):
            case.stage = to
            self.counts[f"stage: {to}"] += 1

    def step_forward(self) -> None:
        """Move forward as far as the gates allow, one stage after the other."""
        case = self.model.cases[-1]
        for _ in range(self.random.randint(2, 5)):
            before = case.stage
            if before == "close":
                return
            self._move(case, STAGES[STAGES.index(before) + 1], self.team["coach"])
            if case.stage == before:
                return

    def step_prepare(self) -> None:
        """Bring a case to where the gates are open: facts, two steady screenings a week apart."""
        self.step_facts()
        self._record("calm")
        self.now += timedelta(days=7, hours=1)
        with at(self.now):
            self._record("calm")
            self.step_forward()

    def step_close(self) -> None:
        """Try to close the case, together or apart."""
        case, coach = self.model.cases[-1], self.team["coach"]
        outcome = self.random.choice(("reunited", "separated"))
        closing = CaseClosing(
            outcome, "decision", "done", "", follow_up_consent=False, follow_up_on=None
        )
        expected = self.model.may_close(outcome, self.now) if case.is_open else False

        def call() -> None:
            found = lock_case(coach, case.id)
            close_case(coach, found, closing, found.case.version)

        def request() -> Any:
            body = {"outcome": outcome, "reason": "decision", "final_screening": "done"}
            return self._post_to_case(case, "close", body)

        if self.attempt(f"close_case {outcome}", expected, call, request):
            self._take_in_closing(case, outcome)

    def _take_in_closing(self, case: model.Case, outcome: str) -> None:
        """Let the model close a case; an end apart asks for a screening within a week."""
        case.is_open, case.stage = False, "close"
        known = self.model.tasks
        for row in run(OPEN_TASKS, client=self.client_id).all():
            if row.id not in known:
                self.require(row.kind == "close_screening", f"closing asks {row.kind}")
                known[row.id] = Task(row.kind, None, row.not_before_at)
        kinds = {task.kind for task in known.values()}
        self.require(outcome not in model.APART or "close_screening" in kinds, "no last screening")

    def step_close_lost(self) -> None:
        """Try to close the case because contact is lost, as its coach or as the supervisor."""
        case = self.model.cases[-1]
        by = self.team[self.random.choices(("supervisor", "coach"), (3, 1))[0]]
        closing = CaseClosing(
            "lost_contact",
            "decision",
            "not_possible",
            REASON,
            follow_up_consent=False,
            follow_up_on=None,
        )
        is_supervisor = by.role is Role.SUPERVISOR
        expected = case.is_open and self.model.may_close_without_screening(
            by_supervisor=is_supervisor
        )

        def call() -> None:
            found = lock_case(by, case.id)
            close_case(by, found, closing, found.case.version)

        if not self.attempt(f"close_lost by {by.role.value}", expected, call):
            return
        if "safety" in self.model.holds:
            self.counts["close_lost: under a safety hold"] += 1
            still = {row.id for row in run(OPEN_TASKS, client=self.client_id).all()}
            for task_id, task in [*self.model.tasks.items()]:
                episodes = {one for hold in self.model.holds.values() for one in hold.episodes}
                self.require(
                    task_id not in still or task.episode not in episodes, f"{task.kind} goes on"
                )
                if task_id not in still:
                    del self.model.tasks[task_id]
                    self.model.ended.append(task)
        self._take_in_closing(case, "lost_contact")

    def _take_in_resumed(self) -> None:
        """Compare what is required again, once contact was found, with what its loss had ended."""
        ended = {
            (task.about or task).kind if task.is_decision else task.kind
            for task in self.model.ended
        }
        rows = run(OPEN_TASKS, client=self.client_id).all()
        new = [row for row in rows if row.id not in self.model.tasks]
        self.require({row.kind for row in new} <= KINDS_AGAIN | ended, f"asked again: {new}")
        for task in self.model.ended:
            if task.kind not in {"welfare_check", "declined_decision"}:
                kinds = {row.kind for row in rows}
                self.require(task.kind in kinds, f"{task.kind} was forgotten")
        for row in new:
            self.counts["resumed: actions"] += 1
            number = self.screening_ids.get(row.episode_id)
            self.model.tasks[row.id] = Task(row.kind, number, row.not_before_at)
        self.model.ended.clear()

    def step_reopen(self) -> None:
        """Reopen a case, or open a second one."""
        coach = self.team["coach"]
        is_open = any(case.is_open for case in self.model.cases)
        if self.random.random() < 0.5:
            case = self.random.choice(self.model.cases)

            def call() -> None:
                found = lock_case(coach, case.id)
                reopen_case(coach, found, "She rang.", found.case.version)

            if self.attempt("reopen", not is_open, call):
                case.is_open, case.stage = True, "steady"
                self.model.cases.remove(case)
                self.model.cases.append(case)
                self._take_in_resumed()
            return
        opened: list[UUID] = []

        def start() -> None:
            client = lock_client(coach, self.client_id)
            opened.append(
                open_case(coach, client, CaseDetails({}, "undecided", None), coach_id=coach.id)
            )

        if self.attempt("second_case", not is_open, start):
            self.model.cases.append(model.Case(opened[-1]))
            self._take_in_resumed()

    # Steps: handouts.

    def _slug(self) -> str:
        slugs: list[str] = CONTACT_SLUGS if self.random.random() < 0.4 else SLUGS
        return self.random.choice(slugs)

    def _channel(self) -> str:
        return self.random.choices(("portal", "print", "in_person"), (6, 2, 2))[0]

    def _may_assign(self, slug: str, channel: str) -> model.Expected:
        if not self.model.cases[-1].is_open:
            return False
        expected = self.model.may_read(slug, channel, self.now)
        return None if expected and (slug, channel) in self.assigned else expected

    def _take_in_given(self) -> None:
        """Note what is assigned in the portal, with its place."""
        rows = run(ASSIGNED, client=self.client_id).all()
        self.given = [(row.position, row.slug) for row in rows if row.channel == "portal"]
        self.assigned = {(row.slug, row.channel) for row in rows}

    def step_assign(self) -> None:
        """Try to assign a handout through a channel."""
        case, coach = self.model.cases[-1], self._person()
        slug, channel = self._slug(), self._channel()

        def call() -> None:
            found = lock_case(coach, case.id)
            assign_handout(coach, found, slug, message="", channel=channel, confirmed=True)

        def request() -> Any:
            body = {"slug": slug, "channel": channel, "confirmed": True}
            return self.programs[coach.id].post(f"/cases/{case.id}/assignments", body)

        if self.attempt(
            f"assign {slug}, {channel}", self._may_assign(slug, channel), call, request
        ):
            self._take_in_given()

    def step_pack(self) -> None:
        """Try to assign several handouts at once: those that are barred are left out."""
        case, coach, channel = self.model.cases[-1], self.team["coach"], self._channel()
        slugs = (*dict.fromkeys(self._slug() for _ in range(4)),)
        expected_of = {slug: self._may_assign(slug, channel) for slug in slugs}
        some: model.Expected = None
        if True in expected_of.values():
            some = True
        elif None not in expected_of.values():
            some = False
        wanted = NewAssignments(slugs, channel, "", "en", confirmed=True)
        before = {row.id for row in run(ASSIGNED, client=self.client_id)}

        def call() -> None:
            assign_handouts(coach, lock_case(coach, case.id), wanted)

        def request() -> Any:
            body = {"slugs": slugs, "channel": channel, "confirmed": True}
            return self.programs[coach.id].post(f"/cases/{case.id}/assignments/batch", body)

        self.attempt(f"pack {expected_of}, {channel}", some, call, request)
        made = {row.slug for row in run(ASSIGNED, client=self.client_id) if row.id not in before}
        for slug, expected in expected_of.items():
            if expected is not None and expected is not (slug in made):
                raise Wrong(f"pack: {slug} assigned: {slug in made}, model: {expected}")
        self._take_in_given()

    def step_bulk(self) -> None:
        """Start a bulk assignment; the worker judges again when it comes to the client."""
        case, coach = self.model.cases[-1], self.team["coach"]
        slug, channel = self._slug(), self._channel()
        expected = self._may_assign(slug, channel)
        new = NewBulkAssignment(None, "en", channel, "", None, (case.id,), {case.id: EVERY_CAUTION})

        def request() -> Any:
            body = {
                "channel": channel,
                "cases": [str(case.id)],
                "confirmed": {str(case.id): sorted(EVERY_CAUTION)},
            }
            return self.programs[coach.id].post(f"/handouts/{slug}/bulk-assignments", body)

        self.attempt(
            f"bulk {slug}, {channel}",
            expected,
            lambda: start_bulk_assignment(coach, slug, new),
            request,
        )

    def step_write(self) -> None:
        """Let the client write in a handout and share it, whatever was recorded meanwhile: the words are theirs."""
        if not self.given:
            return
        position, slug = self.random.choice(self.given)
        if slug not in WORKSHEETS:
            return

        def call() -> None:
            worksheet = lock_worksheet(self.reader, position)
            share_answers(
                self.reader,
                worksheet,
                {WORKSHEETS[slug]: "For you."},
                self.written.get(position, 0),
            )

        if self.attempt("write", DONE, call):
            self.written[position] = self.written.get(position, 0) + 1

    # Steps: time, the worker and alerts.

    def step_later(self) -> None:
        """Let time pass."""
        self.now += timedelta(
            hours=self.random.choice((1, 2, 5, 25, 49, 73, 24 * 4, 24 * 7 + 1, 24 * 8, 24 * 15))
        )
        self.say("time passes")

    def step_back(self) -> None:
        """Set the clock back."""
        self.now = max(START, self.now - timedelta(hours=self.random.choice((1, 5, 30))))
        self.say("the clock is set back")
        self.counts["clock: set back"] += 1

    def step_worker(self) -> None:
        """Run the worker: alerts are passed on, bulk assignments are carried out."""
        self.say("the worker runs")
        case = self.model.cases[-1]
        before = {row.id for row in run(ASSIGNED, client=self.client_id)}
        waiting = {row.slug: row.channel for row in run(WAITING, client=self.client_id)}
        expected_of = {slug: self._may_assign(slug, channel) for slug, channel in waiting.items()}
        self.practice.sent.clear()
        while outbox.sweep():
            pass
        db.session.rollback()
        made = {row.slug for row in run(ASSIGNED, client=self.client_id) if row.id not in before}
        for slug, expected in expected_of.items():
            given = slug in made
            if given and expected is False:
                raise Wrong(f"bulk: {slug} was assigned in stage {case.stage}, model: {expected}")
            self.counts[f"bulk: {'assigned' if given else 'skipped'} by the worker"] += 1
        self._take_in_given()
        for sent in self.alerts.values():
            before_count = len(sent.alerted)
            sent.pass_on(self.now)
            if len(sent.alerted) > before_count:
                self.counts["alerts: passed on"] += 1
        self._compare_mail()

    def _compare_mail(self) -> None:
        """Compare the mail that the worker sent: one to each person whom an alert has reached until it ended."""
        wanted = {
            (alert_id, who)
            for alert_id, sent in self.alerts.items()
            for who in sent.alerted
            if not sent.acknowledged
        } - self.mailed
        self.mailed |= {
            (alert_id, who) for alert_id, sent in self.alerts.items() for who in sent.alerted
        }
        addresses = Counter(self.practice.addresses[who] for _alert_id, who in wanted)
        self.require(Counter(self.practice.sent) == addresses, f"mail {self.practice.sent}")
        self.counts["alerts: mailed"] += len(wanted)

    def step_acknowledge(self) -> None:
        """Let somebody whom an alert has reached acknowledge it."""
        open_ids = [key for key, sent in self.alerts.items() if not sent.acknowledged]
        if not open_ids:
            return
        alert_id = self.random.choice(open_ids)
        sent = self.alerts[alert_id]
        alerted = [person for person in self.team.values() if person.id in sent.alerted]
        others = [self.team[step] for step in STEPS if self.team[step].id != sent.by]
        actor = self.random.choice(alerted if self.random.random() < 0.7 and alerted else others)
        if self.attempt(
            f"acknowledge by {actor.name}",
            actor.id in sent.alerted,
            lambda: acknowledge_alert(actor, lock_alert(actor, alert_id)),
            lambda: self.programs[actor.id].post(f"/alerts/{alert_id}/acknowledge", {}),
        ):
            is_own = sent.kind == "safety" and actor is self.team["coach"]
            self.counts["acknowledge: for the coach only"] += is_own
            sent.acknowledged = sent.acknowledged or not is_own


PROFILES: dict[str, dict[str, int]] = {
    "holds": {"raised": 10, "recover": 24, "release": 4, "clear": 6, "calm": 3},
    "endings": {"close": 10, "reopen": 10, "calm": 8, "raised": 3, "unreachable": 8},
    "contact": {"prepare": 8, "forward": 4, "calm": 8, "assign": 10, "pack": 4},
    "handouts": {"assign": 14, "pack": 5, "bulk": 5, "calm": 8},
    "notes": {"draft": 10, "redraft": 6, "sign": 8, "earlier": 8, "ahead": 3},
    "anything": {},
}
PROFILE_WEIGHTS = (3, 1, 2, 2, 2, 1)
BASE = {
    "calm": 5,
    "raised": 2,
    "brief": 3,
    "not_alone": 1,
    "earlier": 2,
    "ahead": 1,
    "draft": 2,
    "redraft": 1,
    "sign": 2,
    "facts": 2,
    "flag": 1,
    "clear": 3,
    "confirm": 1,
    "actions": 2,
    "one_action": 3,
    "release": 2,
    "recover": 3,
    "move": 3,
    "forward": 1,
    "prepare": 1,
    "close": 1,
    "unreachable": 1,
    "reopen": 1,
    "assign": 4,
    "pack": 1,
    "bulk": 1,
    "later": 6,
    "back": 1,
    "worker": 4,
    "write": 1,
    "acknowledge": 2,
}
OFTEN = set(
    """
    API: 201
    API: 409
    alerts: care
    alerts: mailed
    alerts: safety
    assign: contact_block
    assign: done
    assign: hold_open
    assign: joint_consent
    assign: never_screened
    bulk: refused
    clear: refused
    clock: ran ahead
    clock: set back
    complete: done
    confirm: done
    draft: opens a hold
    followed: safety_24h
    holds: care opened
    holds: safety opened
    holds: safety renewed
    move: done
    move: hold_open
    move: two_steady_screenings
    pack: done
    pack: hold_open
    portal: barred
    portal: page refused
    portal: shown
    release_care: task_open
    release_safety: done
    release_safety: task_open
    screenings: late
    sign: done
    stage: contact
    """.strip().split("\n    ")
)
"""What a batch of the suite reaches."""
SELDOM = set(
    """
    API: 404
    screening: refused
    reopen: refused
    close_case: screening_of_the_day
    close_case: done
    bulk: done
    alerts: passed on
    acknowledge: done
    acknowledge: refused
    assign: case_closed
    assign: channel_not_available
    assign: client_harm_flag
    assign: contact_frozen
    assign: fear_unknown
    assign: fear_watch
    assign: in_session_only
    assign: safety_screen_older_than_14_days
    assign: safety_screen_unknown
    assign: violence_flag
    bulk: assigned by the worker
    bulk: skipped by the worker
    clear: contact_not_confirmed
    clear: done
    clear: no_contact_asked
    clear: order_in_force
    clear: safety_hold_open
    clear: set_by_answers
    close_case: final_screening
    close_case: hold_open
    close_lost: contact_not_lost
    close_lost: second_person_needed
    close_lost: supervisor_needed
    close_lost: under a safety hold
    complete: no_plan
    complete: too_early
    complete: supervisor_needed
    decided: lost contact
    followed: declined_decision
    followed: duty_check
    followed: welfare_check
    holds: care renewed
    move: contact_no_block
    move: fear_not_alone
    move: one_stage_at_a_time
    move: screening_incomplete
    move: screening_old
    move: spouse_open_to_contact
    portal: visited
    release: after fear
    release_care: done
    release_care: only_one_steady_screening
    release_safety: level_above_watch
    release_safety: screening_not_alone
    release_safety: screening_not_current
    release_safety: screening_not_steady
    release_safety: screening_too_early
    release_safety: second_person_needed
    reopen: done
    resumed: actions
    second_case: done
    stage: close
    stage: repair
    write: done
    """.strip().split("\n    ")
)
"""What a thousand histories reach."""
