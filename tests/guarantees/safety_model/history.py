"""A history of one client: its model, its steps so far, and how the program is compared with the model."""

from __future__ import annotations

import random
import re
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from caseapp.core.clock import at
from caseapp.core.database import db, run
from caseapp.core.errors import Forbidden, Invalid, NotFound, RuleBroken
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import Alert, AlertRecipient
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.reading import get_reading_list, get_reading_list_item
from caseapp.domain.cases.models import Case
from caseapp.domain.followups.codes import PLAN_REVIEW
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import open_kind
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.keys.writing import keep_in_session
from caseapp.domain.safety_plans.queries import find_own_plan
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.state import fold
from caseapp.http.interfaces import Interface
from caseapp.http.sessions import COOKIES
from caseapp.portal.reading_list import format_position
from tests.guarantees.safety_model import model, state
from tests.guarantees.safety_model.sources import SKEW, Expected, next_working_day
from tests.support import builders
from tests.support.portal_client import reader, sign_in_client
from tests.support.staff_pages import StaffBrowser, forms_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from flask import Flask
    from flask.testing import FlaskClient

    from caseapp.core.actor import Actor
    from caseapp.domain.screening.history import SafetyHistory
    from tests.api.api_client import ApiClient

START = datetime(2026, 5, 14, 12, tzinfo=UTC)
LAST = START + timedelta(days=80)
REASON = "Two steady weeks and a plan on file."
DONE = True
"""The model is sure that the program does it."""
REFUSED_STATUS = {
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
REFUSALS = (RuleBroken, Forbidden, NotFound, Invalid)
STEPS = ("coach", "supervisor", "deputy", "manager")
FURTHER = re.compile(r'href="([^"]+)" rel="next"')

OPEN_TASKS = sa.select(
    FollowUp.id, FollowUp.kind, FollowUp.episode_id, FollowUp.not_before_at, FollowUp.due_at
).where(FollowUp.client_id == sa.bindparam("client"), FollowUp.completed_at.is_(None))
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
CASE_NUMBER = sa.select(Case.number).where(Case.id == sa.bindparam("case"))
ALERTS = (
    sa.select(Alert.id).where(Alert.client_id == sa.bindparam("client")).order_by(Alert.opened_at)
)


@dataclass(frozen=True)
class OpenTask:
    """An open task of a client, with its kind opened."""

    id: UUID
    kind: str
    episode_id: UUID | None
    not_before_at: datetime | None
    due_at: datetime


def list_open_tasks(client_id: UUID) -> list[OpenTask]:
    """List the open tasks of a client by due time.

    The review of a plan is left out: no screening asks for it, and no hold waits for it.
    """
    key = get_client_key(client_id)
    found = [
        OpenTask(row.id, open_kind(row, key), row.episode_id, row.not_before_at, row.due_at)
        for row in run(OPEN_TASKS, client=client_id)
    ]
    asked = [task for task in found if task.kind != PLAN_REVIEW]
    return sorted(asked, key=lambda task: (task.due_at, task.kind))


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
    numbers: count[int] = field(default_factory=count)
    desks: dict[UUID, Desk] = field(default_factory=dict)


class Desk(StaffBrowser):
    """The browser of a member of staff, who is signed in anew for each page, whatever the clock says."""

    def __init__(self, app: Flask, actor: Actor) -> None:
        """Start the browser."""
        self.actor, self.browser = actor, app.test_client()

    def fill_in(
        self, path: str, action: str | None, target: str | None, changes: Mapping[str, Any]
    ) -> Any:
        """Send the form of a page that posts to `action`, or to the page itself; None when it has none."""
        with transaction():
            token = begin_session("staff", self.actor.id)
        self.browser.set_cookie(COOKIES[Interface.STAFF], token, domain="localhost", secure=True)
        shown = self.get(path)
        if shown.status_code != HTTPStatus.OK:
            return shown
        text = shown.get_data(as_text=True)
        try:
            form = forms_in(text, path, action)[0]
        except AssertionError:
            further = FURTHER.search(text)
            if action is None or further is None:
                return None
            # A form of a further page leads back to that page.
            address = unescape(further[1])
            own = f"{urlsplit(action).path}?{urlsplit(address).query}"
            return self.fill_in(address, own, target, changes)
        fields = {**form.fields, **changes}
        return self.browser.post(
            target or form.action,
            data={name: value for name, value in fields.items() if value is not None},
            headers={"X-Requested-With": "autosave"} if target else {},
        )


@dataclass
class AlertSent:
    """An alert of the model: whom it has reached, and by which step."""

    kind: str
    opened_at: datetime
    by: UUID
    people: dict[str, UUID]
    gone: set[UUID] = field(default_factory=set)
    """Who has left."""
    acknowledged: bool = False
    alerted: set[UUID] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    """The steps that were taken: somebody who has become responsible since is alerted at once."""

    def due(self, step: str) -> datetime | None:
        """Return when a step is due: the practice's times are the usual ones."""
        if step in {"coach", "supervisor"}:
            return self.opened_at
        if self.kind == "safety":
            return self.opened_at + timedelta(minutes=30 if step == "deputy" else 120)
        return next_working_day(self.opened_at, 1) if step == "deputy" else None

    def knowing(self) -> set[UUID]:
        """Return who knows of those who are responsible now: whoever was alerted, or has opened it."""
        return ((self.alerted | {self.by}) & {*self.people.values()}) - self.gone

    def waits_for_second(self) -> bool:
        """Tell whether somebody besides the coach has to acknowledge it: a second person has to know."""
        return self.kind == "safety" and self.by not in {*self.people.values()} - {
            self.people["coach"]
        }

    def pass_on(self, moment: datetime) -> None:
        """Take every step that is due: all where a clock was set back, the next one while only the coach knows."""
        if self.acknowledged:
            return
        is_set_back = self.opened_at > moment + SKEW
        for step in STEPS:
            due = self.due(step)
            is_unknown = not self.knowing() - {self.people["coach"]}
            is_due = (due is not None and due <= moment) or step in self.taken
            if is_due or is_set_back or is_unknown:
                self.taken.add(step)
                self.alerted |= {self.people[step]} - {self.by} - self.gone


@dataclass
class Draft:
    """A note in draft: its answers, and those that saving it has recorded, with the session time that they got."""

    id: UUID
    version: int
    session_at: datetime
    levels: dict[str, int | None]
    alone: bool
    recorded: dict[str, int | None] = field(default_factory=dict)
    ticked: set[str] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)
    """The circumstances that saving it has recorded."""

    @property
    def unrecorded(self) -> dict[str, int | None]:
        """Return the answers that no screening has yet."""
        return {
            key: level
            for key, level in self.levels.items()
            if key not in self.recorded or self.recorded[key] != level
        }


class BaseHistory:
    """One client, their model, and the steps so far."""

    def __init__(self, practice: Practice, seed: int, counts: Counter[str]) -> None:
        """Create a client with a case."""
        self.practice, self.team, self.counts = practice, {**practice.team}, counts
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        # The latest time at which anything was done.
        self.now = self.latest = START
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
        self.of_notes: set[int] = set()
        self.told: list[UUID] = []
        self.named: list[tuple[str, UUID]] = []
        self.on_its_way: list[UUID] = []
        self.gone: set[UUID] = set()
        self.is_over = False
        self.protocol = ExitStack()
        """What a new version of the protocol changes, until the history ends."""
        self.hold_ids: dict[str, UUID] = {}
        self.flag_ids: dict[str, UUID] = {}
        interfaces = ("operations", "API", "pages", "portal")
        interface = self.random.choices(interfaces, (12, 3, 2, 1))[0]
        self.programs = practice.programs if interface == "API" else {}
        self.is_web = interface == "pages"
        self.browser = None
        with at(self.now):
            if interface == "portal":
                self.browser, invited = sign_in_client(practice.app, self.team["coach"])
                self.client_id, case_id = invited.client_id, invited.case_id
            else:
                made = builders.case(self.team["coach"])
                self.client_id, case_id = made.client_id, made.case_id
        self.model.cases.append(state.Case(case_id))
        self.numbers = {case_id: run(CASE_NUMBER, case=case_id).scalar_one()}
        self.reader = reader(self.client_id, "Ines")

    # Running and comparing.

    def say(self, text: str) -> None:
        """Note a step."""
        self.trace.append(f"{self.now:%m-%d %H:%M} {text}")

    def attempt(
        self,
        name: str,
        expected: Expected,
        call: Callable[[], object],
        request: Callable[[], Any] | None = None,
        page: Callable[[], Any] | None = None,
    ) -> bool:
        """Do something and compare whether it was refused; return whether it was done.

        A history of the API sends the `request` and one of the pages the form of a `page`, if there is one; every other
        one calls the operations.
        """
        self.latest = max(self.latest, self.now)
        if request and self.programs:
            codes = self._send(request)
        elif page and self.is_web:
            codes = self._submit(page)
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

    def _submit(self, page: Callable[[], Any]) -> list[str]:
        """Send a form of a page; return why it was refused, or that the page doesn't offer it."""
        answer = page()
        status = answer.status_code if answer else None
        self.counts[f"pages: {status or 'no form'}"] += 1
        if status in {HTTPStatus.SEE_OTHER, HTTPStatus.OK}:
            return []
        self.require(status is None or status in REFUSED_STATUS, f"page: {status}")
        return [f"page_{status or 'without_form'}"]

    @property
    def pages(self) -> str:
        """Return the address of the newest case's pages."""
        return self.pages_of(self.model.cases[-1])

    def pages_of(self, case: state.Case) -> str:
        """Return the address of a case's pages."""
        if case.id not in self.numbers:
            self.numbers[case.id] = run(CASE_NUMBER, case=case.id).scalar_one()
        return f"/case/{self.numbers[case.id]}"

    def browse(
        self,
        actor: Actor,
        path: str,
        changes: Mapping[str, Any],
        action: str | None = None,
        target: str | None = None,
    ) -> Any:
        """Open a page as somebody's browser does, fill in its form and send it, perhaps to another `target`.

        Returns the answer, that of the page itself if it isn't shown, or None when it has no such form.
        """
        desk = self.practice.desks.setdefault(actor.id, Desk(self.practice.app, actor))
        return desk.fill_in(path, action, target, changes)

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
        self._compare_plan()

    def _compare_state(self, history: SafetyHistory) -> None:
        open_holds = {
            hold.kind: hold for hold in history.holds.values() if hold.released_at is None
        }
        recorded = sorted(history.all_screenings, key=lambda one: one.seq)
        self.screening_ids = {one.id: number for number, one in enumerate(recorded, start=1)}
        self.hold_ids = {kind: hold.id for kind, hold in open_holds.items()}
        items = {
            kind: {reason["item"] for reason in hold.reasons if not reason.get("in_error")}
            for kind, hold in open_holds.items()
        }
        wanted = {kind: hold.items for kind, hold in self.model.holds.items()}
        self.require(items == wanted, f"holds {items}, model {wanted}")
        flags = {flag.kind: flag.id for flag in history.flags.values() if flag.cleared_at is None}
        self.flag_ids = flags
        self.require(
            flags.keys() == self.model.flags.keys(), f"flags {[*flags]}, model {self.model.flags}"
        )
        state = fold(history.events)
        said, known_said = state.circumstances, self.model.circumstances
        self.require(said == known_said, f"circumstances {said}, model {known_said}")
        levels = {key: answer.level for key, answer in state.answers.items()}
        known = {key: answer.level for key, answer in self.model.answers.items()}
        self.require(levels == known, f"levels {levels}, model {known}")

    def _compare_tasks(self) -> None:
        rows = list_open_tasks(self.client_id)
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

    def _compare_plan(self) -> None:
        """Compare whether the portal shows the safety plan."""
        if self.model.plan_shown:
            is_shown = find_own_plan(self.reader)[1] is not None
            expected = self.model.may_show_plan("safety")
            self.require(is_shown is expected, f"plan shown: {is_shown}, model: {expected}")
            self.counts[f"plan: {'shown' if is_shown else 'barred'}"] += 1

    def _visit(self, browser: FlaskClient, shown: set[int]) -> None:
        """Open the portal as the client's browser does: the list, each handout, and the PDFs of what is barred."""
        with transaction():
            token = begin_session("client", self.client_id)
            keep_in_session(self.reader.writing, self.client_id, token)
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
