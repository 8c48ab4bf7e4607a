"""Random histories: which steps they are made of, how time goes by in them, and what the worker does meanwhile."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import operator
from caseapp.core.clock import at
from caseapp.core.database import db, run
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import lock_alert
from caseapp.domain.bulk_assignments.models import BulkAssignment, BulkAssignmentItem
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.staffing.operations import disable_member, hand_over
from caseapp.domain.staffing.queries import lock_member
from caseapp.domain.users.models import User
from tests.guarantees.safety_model.handouts import HandoutSteps
from tests.guarantees.safety_model.history import ASSIGNED, DONE, LAST, START, STEPS, Wrong
from tests.support import staff

if TYPE_CHECKING:
    from collections.abc import Callable

    from caseapp.core.actor import Actor

WAITING = (
    sa.select(BulkAssignment.slug, BulkAssignment.channel)
    .join(BulkAssignmentItem, BulkAssignmentItem.bulk_assignment_id == BulkAssignment.id)
    .where(
        BulkAssignmentItem.client_id == sa.bindparam("client"),
        BulkAssignmentItem.state == "waiting",
    )
)


ACTIVE_COACHES = (
    sa.select(User.id)
    .join(CareTeamMember, CareTeamMember.user_id == User.id)
    .where(
        CareTeamMember.client_id == sa.bindparam("client"),
        CareTeamMember.role == COACH,
        User.disabled_at.is_(None),
    )
)
LOST_TASKS = (
    sa.select(FollowUp.kind)
    .join(User, User.id == FollowUp.assigned_to)
    .where(
        FollowUp.client_id == sa.bindparam("client"),
        FollowUp.completed_at.is_(None),
        User.disabled_at.is_not(None),
    )
)

PROFILES: dict[str, dict[str, int]] = {
    "holds": {"raised": 10, "recover": 24, "release": 4, "clear": 6, "calm": 3},
    "endings": {"close": 10, "reopen": 10, "calm": 8, "raised": 3, "unreachable": 8},
    "contact": {"prepare": 8, "forward": 4, "calm": 8, "assign": 10, "pack": 4},
    "care": {"concern": 10, "allow": 14, "facts": 4, "assign": 4, "recover": 4},
    "handouts": {"assign": 14, "pack": 5, "bulk": 5, "calm": 8},
    "errors": {"raised": 8, "brief": 4, "error": 14, "one_action": 4, "take_back": 8},
    "leaving": {"staff": 16, "raised": 6, "acknowledge": 4, "worker": 6, "recover": 6, "name": 4},
    "trend": {"watch": 12, "lasting": 10, "later": 8},
    "notes": {"draft": 10, "redraft": 6, "sign": 8, "earlier": 8, "ahead": 3},
    "flags": {"facts": 12, "clear": 20, "confirm": 3},
    "anything": {},
}
PROFILE_WEIGHTS = (6, 2, 4, 1, 4, 3, 1, 1, 4, 1, 2)
BASE = {
    "calm": 5,
    "raised": 2,
    "concern": 1,
    "brief": 3,
    "not_alone": 1,
    "earlier": 2,
    "watch": 1,
    "error": 2,
    "lasting": 1,
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
    "take_back": 1,
    "move": 3,
    "forward": 1,
    "prepare": 1,
    "close": 1,
    "unreachable": 1,
    "reopen": 1,
    "assign": 4,
    "pack": 1,
    "allow": 2,
    "bulk": 1,
    "later": 6,
    "back": 1,
    "worker": 4,
    "write": 1,
    "acknowledge": 2,
    "staff": 1,
    "name": 1,
}


class History(HandoutSteps):
    """A random history of one client."""

    def walk(self, steps: int, profile: str | None = None) -> None:
        """Take random steps, and compare after each; the profile is random unless it is given."""
        profile = profile or self.random.choices([*PROFILES], PROFILE_WEIGHTS)[0]
        names, weights = zip(*(BASE | PROFILES[profile]).items(), strict=True)
        for _ in range(steps):
            if self.now > LAST or self.is_over:
                break
            name = self.random.choices(names, weights)[0]
            with at(self.now):
                getattr(self, f"step_{name}")()
            with at(self.now):
                self.compare()

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
        told = [*(who for _alert_id, who in wanted), *self.told]
        holds = self.model.holds
        # Whoever was named for a hold that has ended since need not be asked to release it.
        named = [who for kind, who in self.named if kind in holds and holds[kind].second == who]
        least, most = (
            Counter(self.practice.addresses[who] for who in people if who not in self.gone)
            for people in ([*told, *named], [*told, *(who for _kind, who in self.named)])
        )
        self.told.clear()
        self.named.clear()
        self.require(least <= Counter(self.practice.sent) <= most, f"mail {self.practice.sent}")
        self.counts["alerts: mailed"] += len(wanted)

    # Staff who leave.

    def step_staff(self) -> None:
        """Hand the client over to a new coach, or let that coach leave, which has to wait until somebody takes over."""
        usual = self.practice.team["coach"]
        if self.team["coach"] == usual:
            who = f"leaver{next(self.practice.numbers)}"
            heir = staff.add(who, role="coach", supervisor="supervisor")
            self.practice.addresses[heir.id] = f"{who}@practice.test"
            self._hand_over(heir)
            return
        leaver = self.team["coach"]
        if self.attempt("leave", False if self.model.is_in_need() else None, self._disable(leaver)):
            self.is_over = True
            return
        self._hand_over(usual)
        if self.attempt("leave", DONE, self._disable(leaver)):
            self.gone.add(leaver.id)

    def _disable(self, leaver: Actor) -> Callable[[], None]:
        return lambda: disable_member(operator(), lock_member(leaver.id), None)

    def _hand_over(self, heir: Actor) -> None:
        """Hand the client over: the alerts that wait reach the new coach, who gets an email if none does."""
        supervisor, leaver = self.team["supervisor"], self.team["coach"]
        self.attempt(
            "hand_over",
            DONE,
            lambda: hand_over(
                supervisor, lock_client(supervisor, self.client_id), leaver.id, heir.id
            ),
        )
        self.team["coach"], self.programs, self.draft = heir, {}, None
        waiting = [sent for sent in self.alerts.values() if not sent.acknowledged]
        for sent in waiting:
            sent.people["coach"] = heir.id
            sent.alerted -= {leaver.id}
            sent.pass_on(self.now)
            self.counts["alerts: passed on when the client was handed over"] += 1
        if not any(heir.id in sent.alerted for sent in waiting):
            self.told.append(heir.id)

    def compare(self) -> None:
        """Compare everything, and see whether somebody with an active account is responsible."""
        super().compare()
        if self.is_over or (self.team["coach"] == self.practice.team["coach"] and not self.gone):
            return
        coaches = [row.id for row in run(ACTIVE_COACHES, client=self.client_id)]
        self.require(coaches == [self.team["coach"].id], f"coaches {coaches}")
        supervisor = self.team["supervisor"].id
        for alert_id, sent in self.alerts.items():
            know = sent.acknowledged or {self.team["coach"].id, supervisor} <= sent.knowing()
            self.require(know, f"whoever is responsible doesn't know of alert {alert_id}")
        lost = run(LOST_TASKS, client=self.client_id).all()
        self.require(not lost, f"actions of somebody who has left: {[row.kind for row in lost]}")

    # Alerts.

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
            lambda: self.browse(actor, "/alerts", {}, f"/alerts/{alert_id}/acknowledge"),
        ):
            is_own = actor is self.team["coach"] and sent.waits_for_second()
            self.counts["acknowledge: for the coach only"] += is_own
            sent.acknowledged = sent.acknowledged or not is_own
            # Whoever knows of it is mailed no more.
            self.mailed.add((alert_id, actor.id))
