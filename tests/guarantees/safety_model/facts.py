"""Steps that change facts, flags, and the stage of a case, or close it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from caseapp.core.clock import at
from caseapp.core.permissions import Role
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
from caseapp.domain.screening.operations import set_manual_flag
from tests.guarantees.safety_model.drafts import DraftSteps
from tests.guarantees.safety_model.history import DONE, LAST, REASON, list_open_tasks
from tests.guarantees.safety_model.sources import APART, STAGES, Expected
from tests.guarantees.safety_model.state import Case, Task

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor


KINDS_AGAIN = {"welfare_check", "declined_decision"}
MANUAL = ("contact_block", "eating_disorder_flag", "withdrawal_risk", "unsafe_delivery")


class FactSteps(DraftSteps):
    """Steps that change facts, flags, and the stage of a case, or close it."""

    def step_facts(self) -> None:
        """Change the facts of the newest case, or of another one of the client."""
        pick, cases = self.random, self.model.cases
        self._change_facts(pick.choice(cases) if pick.random() < 0.2 else cases[-1])

    def _change_facts(self, case: Case, order: str | None = None) -> None:
        coach, pick = self.team["coach"], self.random
        usual = pick.choices(("none", "protects_client", "protects_spouse"), (8, 1, 1))[0]
        facts = {
            "order": order or usual,
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
        if kind == "contact_block" and self.model.is_barred_by_another_case:
            self.counts["clear: barred by another case"] += 1
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

    def _post_to_case(self, case: Case, action: str, body: dict[str, Any]) -> Any:
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

    def _move(self, case: Case, to: str, coach: Actor) -> None:
        here = STAGES.index(case.stage)
        forward = STAGES.index(to) - here
        if not case.is_open:
            expected: Expected = False
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

        def page() -> Any:
            lines = {f"evidence.{key}": line for key, line in evidence.items()}
            return self.browse(coach, f"{self.pages}/stage", {"to": to, "reason": REASON} | lines)

        if self.attempt(f"move {case.stage} to {to}", expected, call, request, page):
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
        self._close(self.random.choice(("reunited", "separated")))

    def _close(self, outcome: str) -> None:
        case, coach = self.model.cases[-1], self.team["coach"]
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

    def _take_in_closing(self, case: Case, outcome: str) -> None:
        """Let the model close a case; an end apart asks for a screening within a week."""
        case.is_open, case.stage = False, "close"
        known = self.model.tasks
        for row in list_open_tasks(self.client_id):
            if row.id not in known:
                self.require(row.kind == "close_screening", f"closing asks {row.kind}")
                known[row.id] = Task(row.kind, None, row.not_before_at, self.now)
        kinds = {task.kind for task in known.values()}
        self.require(outcome not in APART or "close_screening" in kinds, "no last screening")

    def step_other_case(self) -> None:
        """Close a case with an order in force, open a second one, and try to clear the bar there and go on."""
        self.step_prepare()
        with at(self.now):
            if self.model.cases[-1].is_open:
                self._change_facts(self.model.cases[-1], "protects_spouse")
                self._close("reunited")
            self._open_another()
            for _ in range(2):
                self.compare()
                self.step_clear()
            self.step_forward()

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
            self.now, by_supervisor=is_supervisor
        )

        def call() -> None:
            found = lock_case(by, case.id)
            close_case(by, found, closing, found.case.version)

        if not self.attempt(f"close_lost by {by.role.value}", expected, call):
            return
        if "safety" in self.model.holds:
            self.counts["close_lost: under a safety hold"] += 1
            still = {row.id for row in list_open_tasks(self.client_id)}
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
        rows = list_open_tasks(self.client_id)
        new = [row for row in rows if row.id not in self.model.tasks]
        self.require({row.kind for row in new} <= KINDS_AGAIN | ended, f"asked again: {new}")
        for task in self.model.ended:
            if task.kind not in {"welfare_check", "declined_decision"}:
                kinds = {row.kind for row in rows}
                self.require(task.kind in kinds, f"{task.kind} was forgotten")
        for row in new:
            self.counts["resumed: actions"] += 1
            number = self.screening_ids.get(row.episode_id)
            self.model.tasks[row.id] = Task(row.kind, number, row.not_before_at, self.now)
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
        self._open_another()

    def _open_another(self) -> None:
        """Try to open another case."""
        coach = self.team["coach"]
        opened: list[UUID] = []
        is_open = any(case.is_open for case in self.model.cases)

        def start() -> None:
            client = lock_client(coach, self.client_id)
            opened.append(
                open_case(coach, client, CaseDetails({}, "undecided", None), coach_id=coach.id)
            )

        if self.attempt("second_case", not is_open, start):
            self.model.cases.append(Case(opened[-1]))
            self._take_in_resumed()
