"""Steps that complete required actions, and release holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from caseapp.core.clock import at
from caseapp.core.permissions import Role
from caseapp.domain.followups.queries import lock_followup
from caseapp.domain.safety_plans.codes import FORMS
from caseapp.domain.safety_plans.operations import (
    complete_task,
    record_review,
    remove_from_portal,
    show_in_portal,
    write_plan,
)
from caseapp.domain.safety_plans.queries import lock_plan
from caseapp.domain.safety_plans.schemas import NewPlan, NewReview
from caseapp.domain.screening.hold_operations import name_second_person, release_hold
from caseapp.domain.screening.queries import lock_hold
from tests.guarantees.safety_model.facts import FactSteps
from tests.guarantees.safety_model.history import DONE, REASON, list_open_tasks
from tests.guarantees.safety_model.sources import (
    DECIDED_WHEN_DECLINED,
    FEAR,
    NOT_BEFORE,
    SPOKEN_TO,
    Expected,
)
from tests.support import safety_plans
from tests.support.followups import result_for

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from tests.guarantees.safety_model.state import Task


RESULTS = {
    **dict.fromkeys(SPOKEN_TO, ("reached", "not_reached", "not_reached")),
    **dict.fromkeys(DECIDED_WHEN_DECLINED, ("done", "declined")),
    "referral_outcome": ("done", "declined", "not_reached"),
    "duty_check": ("yes", "no", "not_sure"),
    "welfare_check": ("keep_trying", "lost_contact"),
    "declined_decision": ("accepted", "try_again"),
}


class ActionSteps(FactSteps):
    """Steps that complete required actions, and release holds."""

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

        def page() -> Any:
            new, path = result_for(task.kind, result), f"{self.pages}/follow-ups"
            sent = {"result": new.result, "method": new.method, "told": new.told, "note": new.note}
            return self.browse(by, path, sent, f"{path}/{task_id}")

        is_made = task.kind == "safety_plan" and (result or "done") == "done"
        if is_made and self.random.random() < 0.5:
            self._write_plans()
        may_decide = by.role is Role.SUPERVISOR or not task.is_decision
        expected: Expected = may_decide and task.allows(result or "")
        if is_made and expected:
            expected = self.model.is_planned(task)
        # A time that lies ahead may be of a clock that ran ahead, and doesn't count then.
        wait = NOT_BEFORE.get(task.kind)
        if early and expected:
            is_ahead = task.not_before and wait and task.not_before - wait > self.now
            expected = None if is_ahead else False
        if not self.attempt(
            f"complete {task.kind} {result or ''} by {by.role.value}", expected, call, request, page
        ):
            return
        self.model.finish(task_id, self.now)
        if result == "reached":
            self.model.lost_at = None
        if result == "lost_contact":
            self.model.lost_at = self.now
            self.counts["decided: lost contact"] += 1
        following = task.follow(result or result_for(task.kind).result)
        self._take_in_following([following] if following else [])

    def _write_plans(self) -> None:
        """Write a safety plan and an exit plan, each a new version."""
        for kind in FORMS:
            safety_plans.write(self.team["coach"], self.client_id, kind)
            self._worked_on(kind)

    def _worked_on(self, kind: str) -> None:
        self.model.plans[kind] = max(self.now, self.model.plans.get(kind, self.now))

    def step_plan(self) -> None:
        """Add a version to a plan, and perhaps complete the action that asks for one."""
        how = self.random.choices(("write", "review", "show", "remove"), (4, 3, 4, 1))[0]
        self._change_plan(self.random.choice([*FORMS]), how)
        asking = [each for each in self.model.tasks.items() if each[1].kind == "safety_plan"]
        if asking and self.random.random() < 0.5:
            self._complete(*asking[0], "done", self.team["coach"])

    def step_show_plan(self) -> None:
        """Show a safety plan in the portal while the client fears nobody, and then record that they do."""
        self._record("steady")
        self._change_plan("safety", "write")
        self._change_plan("safety", "show")
        self.compare()
        self._record("fear")

    def _change_plan(self, kind: str, how: str) -> None:
        """Write a plan, go through it, show it in the portal, or not any more."""
        coach, exists = self.team["coach"], kind in self.model.plans
        expected = {
            "write": True,
            "review": exists,
            "show": self.model.may_show_plan(kind),
            "remove": kind == "safety" and self.model.plan_shown,
        }[how]

        def call() -> None:
            plan = lock_plan(coach, self.client_id, kind)
            if how == "write":
                new = NewPlan(safety_plans.answers(kind, f"As of {self.now:%d %B}"))
                write_plan(coach, plan, new, plan.version)
            elif how == "review":
                record_review(coach, plan, NewReview(), plan.version)
            elif how == "show":
                show_in_portal(coach, plan, plan.version)
            else:
                remove_from_portal(coach, plan, plan.version)

        if self.attempt(f"plan_{how} {kind}", expected, call):
            self.counts["plan: version under a hold"] += bool(self.model.holds)
            if how in {"write", "review"}:
                self._worked_on(kind)
            else:
                self.model.plan_shown = how == "show"

    def _take_in_following(self, following: list[Task]) -> None:
        """Compare the new actions with those that follow from results."""
        rows = list_open_tasks(self.client_id)
        new = [row for row in rows if row.id not in self.model.tasks]
        new.sort(key=lambda row: (row.kind, row.id))
        wanted = sorted(following, key=lambda task: task.kind)
        kinds = [row.kind for row in new]
        self.require(kinds == [task.kind for task in wanted], f"what follows: {kinds}")
        for row, task in zip(new, wanted, strict=True):
            self.model.tasks[row.id] = replace(
                task, not_before=row.not_before_at, asked_at=self.now
            )
            self.counts[f"followed: {task.kind}"] += 1

    def step_actions(self) -> None:
        """Complete everything that can be done now, in one transaction."""
        by = self.team["supervisor"]
        due = [
            (task_id, task)
            for task_id, task in self.model.tasks.items()
            if task.not_before is None or task.not_before <= self.now
        ]
        if any(task.kind == "safety_plan" and not self.model.is_planned(task) for _, task in due):
            self._write_plans()
        # A plan that a clock which ran ahead has asked for is due when that time has come.
        chosen = [
            (task_id, task)
            for task_id, task in due
            if task.kind != "safety_plan" or self.model.is_planned(task)
        ]

        def call() -> None:
            for task_id, task in chosen:
                locked = lock_followup(by, task_id)
                complete_task(by, locked, result_for(task.kind), locked.row.version)

        if chosen and self.attempt(f"complete all {len(chosen)} actions", DONE, call):
            following = [task.follow(result_for(task.kind).result) for _task_id, task in chosen]
            for task_id, _task in chosen:
                self.model.finish(task_id, self.now)
            if any(task.kind in SPOKEN_TO for _task_id, task in chosen):
                self.model.lost_at = None
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
        named = self.model.holds[kind].second
        weights = (8, 1, 10 if named else 1)
        who = self.random.choices(("supervisor", "coach", "manager"), weights)[0]
        actor = self.team[who]
        held = self.model.holds[kind]
        may_see = who == "supervisor" or held.second == actor.id
        expected = may_see and self.model.may_release(kind, actor.id, self.now)

        def call() -> None:
            locked = lock_hold(actor, self.hold_ids[kind])
            release_hold(actor, locked, REASON, locked.hold.version)

        def request() -> Any:
            path, program = f"/holds/{self.hold_ids[kind]}", self.programs[actor.id]
            found = program.get(path)
            if found.status_code != HTTPStatus.OK:
                return found
            return program.post(f"{path}/release", {"reason": REASON}, version=found.get_json())

        def page() -> Any:
            is_named = held.second == actor.id
            path = f"/holds/{self.hold_ids[kind]}" if is_named else f"{self.pages}/hold"
            action = f"{path}/release" if is_named else f"{path}/{self.hold_ids[kind]}/release"
            return self.browse(actor, path, {"reason": REASON}, action)

        if self.attempt(f"release_{kind} by {who}", expected, call, request, page):
            del self.model.holds[kind]
            self.model.released |= dict.fromkeys(held.items, self.now)
            if who == "manager":
                self.counts["release: by whoever was named"] += 1
            if FEAR in held.items:
                self.counts["release: after fear"] += 1

    def step_name(self) -> None:
        """Name a supervisor of another team, or the coach, who may not be, as the second person of a hold."""
        if not self.hold_ids:
            return
        kind, supervisor = self.random.choice(sorted(self.hold_ids)), self.team["supervisor"]
        named = self.team[self.random.choices(("manager", "coach"), (4, 1))[0]]

        def call() -> None:
            locked = lock_hold(supervisor, self.hold_ids[kind])
            name_second_person(supervisor, locked, named.id, locked.hold.version)

        if self.attempt(f"name {named.role.value}", named.role is Role.SUPERVISOR, call):
            if self.model.holds[kind].second != named.id:
                self.named.append((kind, named.id))
            self.model.holds[kind].second = named.id

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
                    self._record("steady", alone=self.random.random() < 0.85, by=by)
                self.compare()
        if self.random.random() < 0.1:
            self.now += timedelta(days=15)
        with at(self.now):
            self.step_release()

    def step_take_back(self) -> None:
        """Release a hold, and then mark the steady screenings that this rested on as recorded in error.

        The answers of before count again: what they demand is open again, and a release needs new facts.
        """
        if not self.hold_ids:
            self._record("raised")
            self.compare()
        before = {kind: hold.raising[-1].number for kind, hold in self.model.holds.items()}
        self.step_recover()
        ended = {number for kind, number in before.items() if kind not in self.model.holds}
        steady = [
            one
            for one in self.model.screenings
            if ended and one.number > min(ended) and one.number not in self.of_notes
        ]
        with at(self.now):
            for one in reversed(steady):
                if self.random.random() < 0.9:
                    self._mark(one, self.team["supervisor"])
            self.compare()
            if steady:
                self.step_release()
