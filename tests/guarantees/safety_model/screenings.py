"""Steps that record screenings: at once, late, or by a clock that is wrong; and correct them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from caseapp.core.clock import at
from caseapp.core.database import run
from caseapp.core.permissions import Role
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.protocol.data import Raise
from caseapp.domain.screening.circumstance_operations import end_circumstance
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.operations import decide_proposals, record_screening
from caseapp.domain.screening.protocol import CIRCUMSTANCES, Level
from caseapp.domain.screening.queries import list_client_proposals, lock_screening
from caseapp.domain.screening.schemas import CircumstanceEnd, Decisions, NewScreening
from tests.guarantees.safety_model.history import (
    ALERTS,
    REASON,
    START,
    STEPS,
    AlertSent,
    BaseHistory,
    Wrong,
    list_open_tasks,
)
from tests.guarantees.safety_model.sources import (
    CONCERN,
    DUE,
    FEAR,
    ITEMS,
    NONE,
    NOT_BEFORE,
    OTHER_ITEMS,
    RAISED_BY,
    SAFETY_ITEMS,
    URGENT,
    WATCH,
    next_working_day,
    opens_safety_hold,
)
from tests.guarantees.safety_model.state import Required, Screening, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from caseapp.core.actor import Actor


WHY = "Asked again at length."
LEVEL_NAMES = ("none", "watch", "concern", "urgent")


def body_of(levels: Mapping[str, int | None], keys: Iterable[str] = ITEMS) -> dict[str, str]:
    """Return the names of levels, as forms and programs send them."""
    found = ((key, levels.get(key)) for key in keys)
    return {key: "not_asked" if level is None else LEVEL_NAMES[level] for key, level in found}


class ScreeningSteps(BaseHistory):
    """Steps that record screenings: at once, late, or by a clock that is wrong; and correct them."""

    def _person(self) -> Actor:
        return self.team["coach" if self.random.random() < 0.85 else "supervisor"]

    def _levels(self, how: str) -> dict[str, int | None]:
        pick = self.random
        if how == "steady":
            return dict.fromkeys(ITEMS, NONE)
        if how == "calm":
            return {key: int(pick.random() < 0.08) for key in ITEMS}
        if how == "concern":
            return dict.fromkeys(ITEMS, NONE) | {pick.choice(OTHER_ITEMS): CONCERN}
        if how == "fear":
            return dict.fromkeys(ITEMS, NONE) | {FEAR: pick.choice((CONCERN, URGENT))}
        if how == "watch":
            lasting = ("sleep", "eating")
            return {key: int(key in lasting or pick.random() < 0.1) for key in ITEMS}
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
        ticked: Sequence[str] = (),
    ) -> None:
        levels, by = self._levels(how), by or self._person()
        asked = {key: level for key, level in levels.items() if level is not None}
        session = session_at or self.now
        reason = WHY if self.random.random() < 0.95 else ""
        ticked = [*ticked] or sorted(self._tick(0.06))
        raised = self.model.raise_levels(asked, ticked)
        new = Screening(
            0, by.id, asked, alone, session, self.now, ticked=frozenset(ticked), raised=raised
        )
        needs_reason = self.model.needs_reason(new) if not reason else False
        expected = session <= self.now and (None if needs_reason is None else not needs_reason)
        called = f"screening {how}{'' if alone else ', not alone'} by {by.role.value} of {session:%m-%d %H:%M}"
        body = {"asked_alone": alone, "below_reason": reason, "circumstances": ticked}

        def call() -> None:
            client = lock_client(by, self.client_id)
            found = NewScreening(
                dict.fromkeys(ITEMS) | levels,
                asked_alone=alone,
                below_reason=reason,
                circumstances=(*ticked,),
            )
            record_screening(by, client, found, session_at=session_at)

        def request() -> Any:
            names = {key: LEVEL_NAMES[level] for key, level in asked.items()}
            program = self.programs[by.id]
            return program.post(f"/clients/{self.client_id}/screenings", names | body)

        def page() -> Any:
            sent = {"asked_alone": "yes" if alone else None} | body_of(levels)
            about = {"below_reason": reason, "circumstances": ticked}
            return self.browse(by, f"{self.pages}/screening", sent | about)

        self.say(f"{ {key: level for key, level in levels.items() if level} } {ticked} {reason}")
        interfaces = (None, None) if session_at else (request, page)
        if self.attempt(called, expected, call, *interfaces):
            self._take_in(new)
            self.counts["screenings: circumstances"] += bool(ticked)

    def _take_in(self, found: Screening) -> None:
        """Let the model record a screening, and compare what the program did at once."""
        self.number += 1
        new = replace(found, number=self.number, behind=self.now < self.latest)
        required = self.model.record(new)
        self._take_in_tasks(required)
        for kind, keys in new.holds.items():
            levels = {key: new.new_levels[key] for key in keys}
            own = replace(new, levels=levels, raised={}, repeats=frozenset())
            self._require_open(kind, own.actions)
        if new.holds:
            self._take_in_alert("safety" if "safety" in new.holds else "care", new.by)
        for kind in new.holds:
            raised = self.model.holds[kind].raising
            self.counts[f"holds: {kind} {'opened' if len(raised) == 1 else 'renewed'}"] += 1
        if new.late:
            self.counts["screenings: late"] += 1

    def _take_in_tasks(self, required: Required) -> None:
        """Compare the new actions with what the screening requires, each once and none before its time."""
        known = self.model.tasks
        rows = list_open_tasks(self.client_id)
        new = [row for row in rows if row.id not in known]
        kinds = {row.kind for row in new}
        self.require(kinds <= required.possible, f"needless actions {kinds}")
        # Two holds with different episodes each wait for their own.
        each = Counter((row.kind, row.episode_id) for row in new)
        self.require(all(count == 1 for count in each.values()), f"doubled actions {each}")
        if required.starts_episode:
            self.require(required.actions <= kinds, f"actions {kinds}, model {required.actions}")
        open_kinds = {row.kind for row in rows}
        self.require(required.actions <= open_kinds, f"missing {required.actions - open_kinds}")
        for row in new:
            wait, due = NOT_BEFORE.get(row.kind), DUE.get(row.kind)
            if wait and row.not_before_at:
                in_time = self.now <= row.not_before_at - wait <= self.latest
            else:
                in_time = wait == row.not_before_at
            self.require(in_time, f"{row.kind} not before {row.not_before_at}")
            expected = self.now + due if due is not None else next_working_day(self.now, 2)
            slack = timedelta(0) if due is not None else timedelta(seconds=1)
            self.require(
                abs(row.due_at - expected) <= slack,
                f"{row.kind} due {row.due_at}, model {expected}",
            )
            if row.episode_id is not None:
                self.screening_ids.setdefault(row.episode_id, self.number)
            known[row.id] = Task(
                row.kind,
                self.screening_ids.get(row.episode_id),
                row.not_before_at,
                self.now,
                source=self.number,
            )

    def step_calm(self) -> None:
        """Record a full screening in private at none or watch."""
        self._record("calm")

    def step_concern(self) -> None:
        """Record a full screening with a concern that opens a care hold only."""
        self._record("concern")

    def step_fear(self) -> None:
        """Record a full screening in which only fear at home is at concern or urgent."""
        self._record("fear")

    def step_watch(self) -> None:
        """Record a full screening in which sleep and eating are at watch, and let a week pass."""
        self._record("watch")
        self.now += timedelta(days=7, hours=1)

    def step_raised(self) -> None:
        """Record a full screening with a concern or urgent level."""
        self._record("raised", alone=self.random.random() < 0.9)

    def step_brief(self) -> None:
        """Record a brief check."""
        self._record("brief", alone=self.random.random() < 0.7)

    def step_tick(self) -> None:
        """Record a brief check in which a circumstance is ticked."""
        self._record("brief", ticked=sorted(self._tick(1)))

    def step_end(self) -> None:
        """Say that a circumstance has ended, perhaps one that never does, or whose last mention was not seen."""
        coach, current = self.team["coach"], self.model.circumstances
        name = self.random.choice(sorted(current) or [*RAISED_BY])
        last = current.get(name)
        seen = START if self.random.random() < 0.3 else last
        end = CircumstanceEnd(name, seen, REASON)

        def request() -> Any:
            shown = seen.isoformat() if seen else START.isoformat()
            body = {"circumstance": name, "mentioned_at": shown, "reason": REASON}
            path = f"/clients/{self.client_id}/circumstances/end"
            return self.programs[coach.id].post(path, body)

        if self.attempt(
            f"end {name}",
            self.model.may_end(name, seen),
            lambda: end_circumstance(coach, lock_client(coach, self.client_id), end),
            request,
        ):
            self.model.said_to_have_ended[name] = self.number

    def step_protocol(self) -> None:
        """Tick pregnancy before and after a new version of the protocol, by which it makes fear at home a concern."""
        name, raised = "pregnancy", Raise(FEAR, Level.CONCERN, None)
        if self.random.random() < 0.6:
            self._record("brief", ticked=[name])
            self.compare()
        self.say("a new version of the protocol")
        self.protocol.enter_context(
            patch.dict(CIRCUMSTANCES, {name: replace(CIRCUMSTANCES[name], raises=(raised,))})
        )
        self.model.levels_of[name] = [(FEAR, NONE, CONCERN)]
        self.counts[f"protocol: changed{' under a hold' if self.model.holds else ''}"] += 1
        if self.random.random() < 0.6:
            self.compare()
            self._record("brief", ticked=[name])

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

    def step_lasting(self) -> None:
        """Read what is proposed as a concern after two weeks at watch; confirm it, or write why it is none."""
        coach = self.team["coach"]
        found = {one.item for one in list_client_proposals(coach, self.client_id)}
        expected_of = {key: self.model.is_proposed(key, self.now) for key in ITEMS}
        for key, expected in expected_of.items():
            if expected is not None and expected is not (key in found):
                raise Wrong(f"{key} proposed: {key in found}, model: {expected}")
        self.counts["proposals: made"] += len(found)
        key = self.random.choice(sorted(found) or ITEMS)
        confirms = self.random.random() < 0.5
        decisions = Decisions(concerns=(key,)) if confirms else Decisions(declined={key: REASON})
        if not self.attempt(
            f"{'confirm' if confirms else 'decline'}_proposal {key}",
            key in found,
            lambda: decide_proposals(coach, lock_client(coach, self.client_id), decisions),
        ):
            return
        if confirms:
            self._take_in(Screening(0, coach.id, {key: CONCERN}, False, self.now, self.now))  # noqa: FBT003
        else:
            self.model.declined[key] = self.now

    def _tick(self, chance: float) -> set[str]:
        """Choose a circumstance, or none."""
        is_chosen = self.random.random() < chance
        return {self.random.choice([*RAISED_BY])} if is_chosen else set()

    def step_error(self) -> None:
        """Mark a screening as recorded in error: soon by whoever recorded it, later by a supervisor."""
        found = [one for one in self.model.screenings if one.number not in self.of_notes]
        if found:
            one = found[-1] if self.random.random() < 0.6 else self.random.choice(found)
            self._mark(one, self.team[self.random.choice(("coach", "supervisor"))])

    def _mark(self, one: Screening, by: Actor) -> None:
        """Mark one screening as recorded in error, if this person may."""
        screening_id = next(
            key for key, number in self.screening_ids.items() if number == one.number
        )
        is_supervisor = by.role is Role.SUPERVISOR
        expected = self.model.may_mark(one, by.id, self.now, is_supervisor=is_supervisor)

        def request() -> Any:
            program = self.programs[by.id]
            return program.post(f"/screenings/{screening_id}/error", {"reason": REASON})

        called = f"error in screening {one.number} by {by.role.value}"
        if self.attempt(
            called,
            expected,
            lambda: mark_in_error(by, lock_screening(by, screening_id), REASON),
            request,
            lambda: self.browse(
                by, f"{self.pages}/screening/{screening_id}/error", {"reason": REASON}
            ),
        ):
            self._take_in_error(one, by)

    def _take_in_error(self, one: Screening, by: Actor) -> None:
        """Let the model forget the answers; what later ones require has to be asked for now, if it wasn't."""
        before = {*self.model.holds}
        replaced = {key for key, each in self.model.answers.items() if each.number == one.number}
        restored = self.model.mark_in_error(one, self.now)
        watched = {key for key in replaced if self.model.level(key) == WATCH}
        for kind in before - self.model.holds.keys():
            self.counts[f"holds: {kind} opened in error"] += 1
        rows = {row.id: row for row in list_open_tasks(self.client_id)}
        for task_id in [key for key in self.model.tasks if key not in rows]:
            task = self.model.tasks.pop(task_id)
            # Outside an episode, what was asked for after an earlier correction may be of any screening.
            is_open_to_doubt = task.episode is None and task.source is None
            is_its_own = one.number in {task.episode, task.source}
            self.require(is_its_own or is_open_to_doubt, f"{task.kind} ended in error")
        later = [other for other in self.model.screenings if other.number > one.number]
        for row in rows.values():
            if row.id not in self.model.tasks:
                number = self.screening_ids.get(row.episode_id)
                possible = {kind for other in later for kind in other.actions}
                possible |= {kind for actions in restored.values() for kind in actions}
                possible |= {"recheck"} if watched else set()
                self.require(row.kind in possible, f"{row.kind} asked after an error")
                self.model.tasks[row.id] = Task(
                    row.kind, number, row.not_before_at, self.now, source=number
                )
                for hold in self.model.holds.values():
                    hold.episodes |= {other.number for other in hold.raising} & {number}
                self.counts["error: later actions"] += 1
        for other in later:
            for kind in other.actions if other.holds else ():
                asked = self.model.was_asked_for(kind, other.recorded_at)
                self.require(asked, f"{kind} of screening {other.number} was lost")
        asked_again = any(task.kind == "recheck" for task in self.model.tasks.values())
        self.require(asked_again or not watched, "no recheck of an answer that counts again")
        for kind, actions in restored.items():
            self._require_open(kind, actions)
            self.counts[f"holds: {kind} {'renewed' if kind in before else 'opened'} again"] += 1
        is_safety = any(opens_safety_hold(*answer) for answer in one.counting.items())
        is_safety |= "safety" in restored
        self._take_in_alert("safety" if is_safety else "care", by.id)

    def _require_open(self, kind: str, actions: set[str]) -> None:
        """Compare that actions are open in the episodes of a hold, so that its release waits for them."""
        episodes = self.model.holds[kind].episodes
        found = {task.kind for task in self.model.tasks.values() if task.episode in episodes}
        self.require(actions <= found, f"{kind} hold doesn't wait for {actions - found}")

    def _take_in_alert(self, kind: str, by: UUID) -> None:
        """Compare that one alert was raised, and whom it has reached at once."""
        rows = run(ALERTS, client=self.client_id)
        found = [row.id for row in rows if row.id not in self.alerts]
        self.require(len(found) == 1, f"{len(found)} alerts")
        people = {step: self.team[step].id for step in STEPS}
        sent = self.alerts[found[0]] = AlertSent(kind, self.now, by, people, self.gone)
        sent.pass_on(self.now)
        self.counts[f"alerts: {kind}"] += 1
