"""Steps of staff who come and leave, and of alerts: the worker passes them on, somebody acknowledges them."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import operator
from caseapp.core.clock import at
from caseapp.core.database import db, run
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import lock_alert
from caseapp.domain.bulk_assignments.models import BulkAssignment, BulkAssignmentItem
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.visibility import in_role
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.staffing.operations import change_supervisor, disable_member, hand_over
from caseapp.domain.staffing.queries import lock_member, lock_members
from caseapp.domain.users.models import User
from tests.domain.alerts.steps import set_deputy
from tests.guarantees.safety_model.handouts import HandoutSteps
from tests.guarantees.safety_model.history import ASSIGNED, DONE, STEPS, Wrong
from tests.support import staff

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from tests.guarantees.safety_model.sources import Expected

ACTIVE_COACHES = (
    sa.select(User.id)
    .join(CareTeamMember, CareTeamMember.user_id == User.id)
    .where(
        CareTeamMember.client_id == sa.bindparam("client"),
        in_role(CareTeamMember, COACH),
        User.disabled_at.is_(None),
    )
)
ASSIGNED_TASKS = sa.select(FollowUp.id, FollowUp.assigned_to).where(
    FollowUp.client_id == sa.bindparam("client"), FollowUp.completed_at.is_(None)
)

WAITING = (
    sa.select(BulkAssignment.slug, BulkAssignment.channel)
    .join(BulkAssignmentItem, BulkAssignmentItem.bulk_assignment_id == BulkAssignment.id)
    .where(
        BulkAssignmentItem.client_id == sa.bindparam("client"),
        BulkAssignmentItem.state == "waiting",
    )
)


class PeopleSteps(HandoutSteps):
    """Steps of staff who come and leave, and of alerts: the worker passes them on, somebody acknowledges them."""

    def step_staff(self) -> None:
        """Hand the client over to a new coach, perhaps of another team; then let one of these people leave."""
        if self.random.random() < 0.3:
            self._record("raised", by=self.team["supervisor"])
            self.compare()
        usual = self.practice.team
        own = [step for step in ("supervisor", "deputy") if self.team[step] is not usual[step]]
        if self.team["coach"] is usual["coach"]:
            self._hand_over(self._add_team())
        elif own and self.random.random() < 0.6:
            {"supervisor": self._leave_team, "deputy": self._leave_deputy}[
                self.random.choice(own)
            ]()
        else:
            self._leave_client()

    def _add(self, role: str, supervisor: Actor | None = None) -> Actor:
        """Add somebody to the practice."""
        who = f"leaver{next(self.practice.numbers)}"
        boss = supervisor and self.practice.addresses[supervisor.id].partition("@")[0]
        person: Actor = staff.add(who, role=role, supervisor=boss)
        self.practice.addresses[person.id] = f"{who}@practice.test"
        return person

    def _add_supervisor(self, deputy: Actor) -> Actor:
        supervisor = self._add("supervisor")
        with transaction():
            set_deputy(supervisor, deputy)
        return supervisor

    def _add_team(self) -> dict[str, Actor]:
        """Add a coach: of the usual supervisor, or of a new one with a deputy of their own."""
        if self.random.random() < 0.3:
            return {"coach": self._add("coach", self.team["supervisor"])}
        deputy = self._add("supervisor")
        supervisor = self._add_supervisor(deputy)
        coach = self._add("coach", supervisor)
        return {"coach": coach, "supervisor": supervisor, "deputy": deputy}

    def _leave(self, who: str, expected: Expected, successor: Actor | None = None) -> bool:
        """Try to disable the account of somebody of the team."""
        person = self.team[who]

        def call() -> None:
            members = lock_members(*(one.id for one in (person, successor) if one))
            disable_member(operator(), members[0], members[1] if successor else None)

        return self.attempt(f"leave_{who}", expected, call)

    def _leave_client(self) -> None:
        """Let the coach leave, which has to wait until somebody takes over."""
        leaver = self.team["coach"]
        if self._leave("coach", False if self.model.is_in_need() else None):
            self.is_over = True
            return
        if self._hand_over({step: self.practice.team[step] for step in STEPS}) and self.attempt(
            "leave_coach", DONE, lambda: disable_member(operator(), lock_member(leaver.id), None)
        ):
            self.gone.add(leaver.id)

    def _leave_team(self) -> None:
        """Let the supervisor leave, which has to wait until somebody supervises the coach and has their actions."""
        leaver, coach = self.team["supervisor"], self.team["coach"]
        deputy = self.practice.team["deputy"]
        successor = self._add_supervisor(deputy)
        self._leave("supervisor", expected=False)
        if self.random.random() < 0.5:
            has_tasks = any(
                row.assigned_to == leaver.id for row in run(ASSIGNED_TASKS, client=self.client_id)
            )
            if not self._leave("supervisor", not has_tasks, successor):
                return
            self._follow({"supervisor": successor, "deputy": deputy})
        else:
            self.attempt(
                "supervise",
                DONE,
                lambda: change_supervisor(operator(), *lock_members(coach.id, successor.id)),
            )
            self._leave("supervisor", DONE)
            self._follow({"supervisor": successor, "deputy": deputy})
        self.gone.add(leaver.id)

    def _leave_deputy(self) -> None:
        """Let the deputy leave: alerts pass them by from now on."""
        if self.team["deputy"].id in self.gone or not self._leave("deputy", DONE):
            return
        self.gone.add(self.team["deputy"].id)
        self._record("raised")
        self.compare()
        self.now += timedelta(hours=3)
        with at(self.now):
            self.step_worker()

    def _hand_over(self, people: dict[str, Actor]) -> bool:
        """Hand the client over: the new coach gets an email if no alert that waits reaches them."""
        supervisor, leaver, heir = self.team["supervisor"], self.team["coach"], people["coach"]
        hold = self.model.holds.get("safety")
        seconds = {people.get("supervisor", supervisor).id, hold.second} if hold else set()
        # Whether a client may be handed over whose hold nobody could then release depends on who else there is.
        authors = {one.by for one in self.model.screenings} | (hold.authors if hold else set())
        expected = DONE if not hold or seconds - authors - {None} else None
        if not self.attempt(
            "hand_over",
            expected,
            lambda: hand_over(
                supervisor, lock_client(supervisor, self.client_id), leaver.id, heir.id
            ),
        ):
            return False
        self.draft = None
        if heir.id not in self._follow(people):
            self.told.append(heir.id)
        return True

    def _follow(self, people: dict[str, Actor]) -> set[UUID]:
        """Let alerts that wait reach whoever is responsible now, and nobody else; return whom they reach."""
        self.team |= people
        self.programs = {}
        waiting = {key: sent for key, sent in self.alerts.items() if not sent.acknowledged}
        for alert_id, sent in waiting.items():
            sent.people |= {step: person.id for step, person in people.items()}
            lost = sent.alerted - {*sent.people.values()}
            self.on_its_way += [who for who in lost if (alert_id, who) not in self.mailed]
            sent.alerted -= lost
            self.mailed -= {(alert_id, who) for who in lost}
            sent.pass_on(self.now)
            self.counts["alerts: passed on when the client was handed over"] += 1
        return {who for sent in waiting.values() for who in sent.alerted}

    def compare(self) -> None:
        """Compare everything, and see whether somebody with an active account is responsible."""
        super().compare()
        if self.is_over or (self.team["coach"] is self.practice.team["coach"] and not self.gone):
            return
        coach, supervisor = self.team["coach"].id, self.team["supervisor"].id
        coaches = [row.id for row in run(ACTIVE_COACHES, client=self.client_id)]
        self.require(coaches == [coach], f"coaches {coaches}")
        for alert_id, sent in self.alerts.items():
            know = sent.acknowledged or {coach, supervisor} <= sent.knowing()
            self.require(know, f"whoever is responsible doesn't know of alert {alert_id}")
        lost = [
            row.id
            for row in run(ASSIGNED_TASKS, client=self.client_id)
            if row.assigned_to not in {coach, supervisor}
        ]
        self.require(not lost, f"actions of somebody who isn't responsible: {lost}")

    def step_acknowledge(self) -> None:
        """Let somebody whom an alert has reached acknowledge it."""
        open_ids = [key for key, sent in self.alerts.items() if not sent.acknowledged]
        if not open_ids:
            return
        alert_id = self.random.choice(open_ids)
        sent = self.alerts[alert_id]
        people = [person for person in self.team.values() if person.id not in self.gone]
        alerted = [person for person in people if person.id in sent.alerted]
        others = [self.team[step] for step in STEPS if self.team[step].id != sent.by]
        others = [person for person in others if person in people]
        actor = self.random.choice(alerted if self.random.random() < 0.7 and alerted else others)
        if self.attempt(
            f"acknowledge by {actor.name}",
            actor.id in sent.alerted,
            lambda: acknowledge_alert(actor, lock_alert(actor, alert_id)),
            lambda: self.programs[actor.id].post(f"/alerts/{alert_id}/acknowledge", {}),
            lambda: self.browse(actor, "/alerts", {}, f"/alerts/{alert_id}/acknowledge"),
        ):
            is_own = actor is self.team["coach"] and sent.waits_for_second()
            self.counts["acknowledge: for the coach only"] += is_own
            sent.acknowledged = sent.acknowledged or not is_own
            # Whoever knows of it is no longer mailed.
            self.mailed.add((alert_id, actor.id))

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
        told = [*(who for _alert_id, who in wanted), *self.told]
        holds = self.model.holds
        # Whoever was named for a hold that has ended since need not be asked to release it.
        named = [who for kind, who in self.named if kind in holds and holds[kind].second == who]
        # Whoever lost an alert while its email was on its way, and has it again, gets both.
        possible = [*told, *(who for _kind, who in self.named), *self.on_its_way]
        least, most = (
            Counter(self.practice.addresses[who] for who in people if who not in self.gone)
            for people in ([*told, *named], possible)
        )
        for sent in (self.told, self.named, self.on_its_way):
            sent.clear()
        self.require(least <= Counter(self.practice.sent) <= most, f"mail {self.practice.sent}")
        self.counts["alerts: mailed"] += len(wanted)
