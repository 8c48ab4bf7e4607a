"""What must hold for one client, worked out from the sources and not from the program.

Sources: sections (d), (e) and (f) of the content map, with their numbered list "What the app must enforce"; the target
state machine of the design of safety; and the protocol's data, which a clinician signs. Nothing here imports a rule of
the program. Where the sources leave room, the answer is None: the program may do either.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tests.support.bars_table import TABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from uuid import UUID

NONE, WATCH, CONCERN, URGENT = range(4)
SAFETY_ITEMS = ("self_harm", "harm_to_others", "following", "fear_at_home")
OTHER_ITEMS = ("sleep", "eating", "caring", "work", "household", "substances")
ITEMS = (*OTHER_ITEMS, *SAFETY_ITEMS)
FEAR = "fear_at_home"
STAGES = ("steady", "understand", "rebuild", "contact", "reconnect", "repair", "close")
CONTACT_STAGES = ("contact", "reconnect", "repair")
APART = ("separated", "divorcing", "stopped_hoping")
ZONE = ZoneInfo("Europe/London")

VALID = timedelta(days=14)
STEADY_APART = timedelta(days=7)
LATE = timedelta(hours=72)
BEFORE_RELEASE = timedelta(hours=72)
BEFORE_RELEASE_FEAR = timedelta(days=7)
SUSTAINED = timedelta(days=14)
ASKED_AGAIN = timedelta(days=7)
OWN_CORRECTION = timedelta(minutes=60)
SKEW = timedelta(minutes=5)
"""Two clocks of the practice may differ by so much."""

FLAGS_SET = {
    "contact_block": (("harm_to_others", CONCERN), ("following", CONCERN), (FEAR, CONCERN)),
    "violence_flag": ((FEAR, CONCERN),),
    "client_harm_flag": (("harm_to_others", CONCERN), ("following", CONCERN)),
    "self_harm_flag": (("self_harm", WATCH),),
    "eating_disorder_flag": (("eating", CONCERN),),
    "withdrawal_risk": (("substances", URGENT),),
    "unsafe_delivery": ((FEAR, CONCERN),),
}
"""(e), the tables of the domains, and (f), the contraindication tags; eating and withdrawal by findings, point 9."""
SENDING_IS_UNSAFE = {"violence_flag", "unsafe_delivery"}
RAISED_BY = {
    "weapons": [(key, WATCH, URGENT) for key in ("self_harm", "harm_to_others", "following")],
    "choking": [(FEAR, NONE, URGENT)],
    "children_at_risk": [(FEAR, NONE, URGENT)],
    "coercive_control": [(FEAR, NONE, CONCERN)],
    "pregnancy": [],
    "vital_medicine": [],
    "leaving": [],
}
"""(e), 4c, and the findings, point 9: which item a circumstance raises, from which level of it, and to which."""
BAR_CONTACT = {"contact_block", "violence_flag", "client_harm_flag"}

CARE_ACTIONS = {"referral", "recheck", "referral_outcome"}
SAFETY_ACTIONS = CARE_ACTIONS | {
    "tell_supervisor",
    "safety_plan",
    "safety_24h",
    "safety_72h",
    "safety_7d",
}
URGENT_ACTIONS = SAFETY_ACTIONS | {"emergency_steps", "duty_check"}
NOT_BEFORE = {
    "safety_24h": timedelta(hours=24),
    "safety_72h": timedelta(hours=72),
    "safety_7d": timedelta(days=7),
}
SPOKEN_TO = {"recheck", "close_screening", *NOT_BEFORE}
"""Every third attempt that reaches nobody asks the supervisor about a welfare check."""
DECIDED_WHEN_DECLINED = {"referral", "referral_outcome", "safety_plan"}
DUE = NOT_BEFORE | {
    "recheck": timedelta(days=7),
    "referral_outcome": timedelta(days=14),
    "safety_plan": timedelta(hours=8),
    "tell_supervisor": timedelta(0),
    "emergency_steps": timedelta(0),
    "duty_check": timedelta(0),
}
"""Without the referral, which is due after two working days."""

Expected = bool | None


@dataclass(frozen=True)
class Screening:
    """Answers to some items at one session."""

    number: int
    by: UUID
    levels: dict[str, int]
    alone: bool
    session_at: datetime
    recorded_at: datetime
    repeats: frozenset[str] = frozenset()
    """Items and circumstances whose answers of this session were recorded before: they require nothing twice."""

    ticked: frozenset[str] = frozenset()
    raised: dict[str, dict[str, int]] = field(default_factory=dict)
    """What each circumstance raises items to, also items that weren't asked."""

    @property
    def at_least(self) -> dict[str, int]:
        """Return what circumstances raise items to."""
        return highest(self.raised.values())

    behind: bool = False
    """Recorded by a clock that was set back: what came before it has a later time."""

    @property
    def counting(self) -> dict[str, int]:
        """Return the levels that count: the answers, or what circumstances raise them to."""
        return highest([self.levels, *self.raised.values()])

    @property
    def new_levels(self) -> dict[str, int]:
        """Return the levels that were not recorded before."""
        answers = {key: level for key, level in self.levels.items() if key not in self.repeats}
        found = [answers]
        for name, raised in self.raised.items():
            is_new = name not in self.repeats
            # One that depends on an answer raises a new one, also when it was ticked before.
            depends = {key for key, when, _level in RAISED_BY[name] if when > NONE} & {*answers}
            found.append({key: level for key, level in raised.items() if is_new or key in depends})
        return highest(found)

    @property
    def full(self) -> bool:
        """Every item was asked: a blank is no answer, (e)."""
        return len(self.levels) == len(ITEMS)

    @property
    def late(self) -> bool:
        """The session was more than 72 hours back."""
        return self.recorded_at - self.session_at > LATE

    @property
    def steady(self) -> bool:
        """Full, in time, and none or watch everywhere."""
        return self.full and not self.late and max(self.counting.values()) <= WATCH

    @property
    def holds(self) -> dict[str, set[str]]:
        """Return which holds the answers require, with the items that do, (d) "The hold"."""
        levels = self.new_levels.items()
        care = {key for key, level in levels if level == CONCERN} - {*SAFETY_ITEMS}
        safety = {key for key, level in levels if opens_safety_hold(key, level)}
        return {kind: keys for kind, keys in (("care", care), ("safety", safety)) if keys}

    @property
    def actions(self) -> set[str]:
        """Return the required actions, (e) "Protocol by level"."""
        levels = {NONE, *self.new_levels.values()}
        found: set[str] = set()
        if max(levels) >= WATCH:
            found.add("recheck")
        if "care" in self.holds:
            found |= CARE_ACTIONS
        if "safety" in self.holds:
            found |= SAFETY_ACTIONS
        if URGENT in levels:
            found |= URGENT_ACTIONS
        return found

    @property
    def flags(self) -> set[str]:
        """Return the flags that the answers set."""
        return {
            flag
            for flag, causes in FLAGS_SET.items()
            if any(self.new_levels.get(key, NONE) >= level for key, level in causes)
        }


def highest(found: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return the highest level of each item that has one."""
    levels: dict[str, int] = {}
    for each in found:
        for key, level in each.items():
            levels[key] = max(level, levels.get(key, NONE))
    return levels


def opens_safety_hold(key: str, level: int | None) -> bool:
    """Tell whether an answer counts as soon as it is written down: urgent, or a concern about safety, (e) number 1."""
    return level == URGENT or (level == CONCERN and key in SAFETY_ITEMS)


@dataclass(frozen=True)
class Answer:
    """The answer to an item that counts; `asked_at` is when the item was last asked, not late."""

    level: int
    session_at: datetime
    alone: bool
    asked_at: datetime | None
    number: int

    def demands(self, key: str) -> str | None:
        """Return the kind of hold that this answer to an item demands, (d) "The hold"."""
        if opens_safety_hold(key, self.level):
            return "safety"
        return "care" if self.level == CONCERN else None


@dataclass(frozen=True)
class Reason:
    """An answer that a hold stands for; `restored_at` is when it began to count again after a correction."""

    number: int
    item: str
    level: int
    restored_at: datetime | None


@dataclass
class Hold:
    """An open hold: the screenings that opened and renewed it, in the order in which they were recorded."""

    raising: list[Screening]
    reasons: list[Reason]
    episodes: set[int]
    authors: set[UUID] = field(default_factory=set)
    """Who recorded any of them, also in error."""
    second: UUID | None = None
    """The supervisor who was named to release it."""
    allowed: tuple[UUID, str] | None = None
    """The one handout that a supervisor has allowed, in which case, in spite of a care hold."""

    @property
    def items(self) -> set[str]:
        """Return the items that it is about."""
        return {reason.item for reason in self.reasons}

    @property
    def restored_at(self) -> datetime | None:
        """Return when a reason last began to count again."""
        return max(filter(None, (reason.restored_at for reason in self.reasons)), default=None)

    def add(self, one: Screening, levels: dict[str, int], restored_at: datetime | None) -> None:
        """Add what a screening said, in the order in which the screenings were recorded."""
        if one not in self.raising:
            self.raising = sorted([*self.raising, one], key=lambda each: each.number)
        self.reasons += [Reason(one.number, *level, restored_at) for level in levels.items()]
        self.authors.add(one.by)


@dataclass
class Task:
    """A required action that is open, with the number of its screening, and for a decision what it is about."""

    kind: str
    episode: int | None
    not_before: datetime | None
    asked_at: datetime | None = None
    attempt: int = 1
    about: Task | None = None
    source: int | None = None
    """The number of the screening that asked for it."""

    @property
    def is_decision(self) -> bool:
        """Only a supervisor decides on a welfare check, what was declined, and a duty of which a coach isn't sure."""
        return self.about is not None or (self.kind == "duty_check" and self.attempt > 1)

    def allows(self, result: str) -> bool:
        """Tell whether the action can have a result: contact is not lost at the first welfare check."""
        return result != "lost_contact" or self.attempt > 1

    def follow(self, result: str) -> Task | None:
        """Return the action that follows from a result; its time comes from the program."""
        if self.about and self.kind == "welfare_check":
            return self.about.again()
        if self.about:
            return self.about.again() if result == "try_again" else None
        if result == "not_sure":
            return self.again()
        if result == "declined" and self.kind in DECIDED_WHEN_DECLINED:
            return Task("declined_decision", self.episode, None, about=self, source=self.source)
        if result != "not_reached":
            return None
        if self.kind in SPOKEN_TO and self.attempt % 3 == 0:
            return Task(
                "welfare_check", self.episode, None, None, self.attempt // 3, self, self.source
            )
        return self.again()

    def again(self) -> Task:
        """Return the next attempt."""
        return Task(self.kind, self.episode, None, None, self.attempt + 1, source=self.source)


@dataclass
class Case:
    """A case with the facts that matter here."""

    id: UUID
    stage: str = "steady"
    is_open: bool = True
    facts: dict[str, str] = field(default_factory=dict)
    goal_chosen: bool = False


@dataclass
class Client:
    """Everything that is known about one client."""

    holds: dict[str, Hold] = field(default_factory=dict)
    flags: dict[str, list[int | None]] = field(default_factory=dict)
    """For each active flag what has set it, in order: the number of a screening, or None for anything else."""
    screenings: list[Screening] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    tasks: dict[UUID, Task] = field(default_factory=dict)
    done: list[tuple[Task, datetime]] = field(default_factory=list)
    declined: dict[str, datetime] = field(default_factory=dict)
    """When a coach last wrote why a lasting watch is no concern."""
    released: dict[str, datetime] = field(default_factory=dict)
    """When the last hold with an item among its reasons ended."""
    ended: list[Task] = field(default_factory=list)
    """Actions of open holds that were ended because contact was lost: still to be done."""
    planned_at: datetime | None = None
    """When the newest safety plan and exit plan were written."""
    confirmed: bool = False
    lost_at: datetime | None = None
    """When a supervisor decided that contact is lost, if the client was neither reached nor screened since."""

    # Answers, holds and flags.

    def record(self, new: Screening) -> Required:
        """Take in a screening and return what it requires now."""
        self.screenings.append(new)
        self.lost_at = None
        for key, level in new.counting.items():
            self._answer(key, level, new)
        known = {kind: {*hold.items} for kind, hold in self.holds.items()}
        starts = any(
            new.counting[key] == URGENT or key not in known.get(kind, set())
            for kind, keys in new.holds.items()
            for key in keys
        )
        for kind, keys in new.holds.items():
            self._end_exception(kind)
            hold = self.holds.setdefault(kind, Hold([], [], set()))
            hold.add(new, {key: new.new_levels[key] for key in keys}, None)
            if starts:
                hold.episodes.add(new.number)
        flags = new.flags
        self.set_flags(flags, new.number)
        again = replace(new, repeats=frozenset())
        return Required(new.actions, new.actions | again.actions, starts)

    def raise_levels(
        self, levels: dict[str, int], ticked: Collection[str], repeats: Collection[str] = ()
    ) -> dict[str, dict[str, int]]:
        """Return the levels to which each circumstance raises items; what never expires raises them once."""
        found = {}
        for name in ticked:
            is_known = any(name in one.ticked for one in self.screenings)
            if name == "choking" and is_known and name not in repeats:
                continue
            found[name] = {
                key: level
                for key, when, level in RAISED_BY[name]
                if levels.get(key, self.level(key)) >= when
            }
        return found

    def needs_reason(self, new: Screening) -> Expected:
        """Tell whether levels fall so far that it needs a reason: by two, or from urgent; never where a hold opens."""
        if new.holds:
            return False
        falls = {
            key
            for key, level in new.levels.items()
            if (old := self.level(key)) - level >= 2 or (old == URGENT and level < URGENT)
        }
        before = {**self.answers}
        for key in falls:
            self._answer(key, new.levels[key], new)
        counts = any(self.answers[key].level < before[key].level for key in falls)
        self.answers = before
        return True if counts else None if falls else False

    def _answer(self, key: str, level: int, new: Screening) -> None:
        """Keep the newest asked answer of an item.

        A session of more than 72 hours ago, or of before the answer that counts, and fear that was not asked alone,
        only ever raise a level; they don't count as asking.
        """
        old = self.answers.get(key)
        in_time = Answer(level, new.session_at, new.alone, new.session_at, new.number)
        only_raises = new.late or key not in new.levels or (key == FEAR and not new.alone)
        if old is not None:
            only_raises |= old.session_at > new.session_at and new.recorded_at >= old.session_at
        if not only_raises:
            dates = (
                [old.asked_at] if old and old.asked_at and old.asked_at <= new.recorded_at else []
            )
            self.answers[key] = replace(in_time, asked_at=max([new.session_at, *dates]))
        elif old is None or level > old.level:
            self.answers[key] = replace(in_time, asked_at=old.asked_at if old else None)

    def finish(self, task_id: UUID, at: datetime) -> Task:
        """Complete an action."""
        task = self.tasks.pop(task_id)
        self.done.append((task, at))
        return task

    # What was recorded in error.

    def may_mark(self, one: Screening, by: UUID, at: datetime, *, is_supervisor: bool) -> Expected:
        """Tell whether a person may mark a screening as recorded in error.

        Whoever recorded it may for 60 minutes, and while no action of its episode has a result; a supervisor always
        may who didn't record it.
        """
        if one not in self.screenings:
            return False
        if by != one.by:
            return is_supervisor
        has_result = any(
            task.episode == one.number and task.kind != "tell_supervisor" for task, _at in self.done
        )
        if at < one.recorded_at - SKEW:
            return False
        return not has_result and at - one.recorded_at <= OWN_CORRECTION

    def mark_in_error(self, marked: Screening, at: datetime) -> dict[str, set[str]]:
        """Let none of a screening's answers count: what only they have opened or set ends.

        A counting level that demands a hold has an open one that stands for it, and a flag that one sets is active.
        Return, by kind of hold, the actions that are required anew.
        """
        self.screenings.remove(marked)
        first = self._raise_first(marked)
        self.answers.clear()
        for one in self.screenings:
            for key, level in one.counting.items():
                self._answer(key, level, one)
        for kind, hold in [*self.holds.items()]:
            hold.raising = [one for one in hold.raising if one != marked]
            hold.episodes.discard(marked.number)
            hold.reasons = [each for each in hold.reasons if each.number != marked.number]
            if not hold.raising:
                del self.holds[kind]
                self.released |= dict.fromkeys(marked.levels, marked.recorded_at)
        for flag, set_by in [*self.flags.items()]:
            self.flags[flag] = [number for number in set_by if number != marked.number]
            self.flags[flag] += [first.number] if first and flag in first.flags else []
            if not self.flags[flag]:
                del self.flags[flag]
        return self._restore(at, first)

    def _raise_first(self, marked: Screening) -> Screening | None:
        """Let the first tick of what never expires raise its item, when the one before counts no more; return it."""
        index = next((n for n, one in enumerate(self.screenings) if "choking" in one.ticked), None)
        if index is None or "choking" not in marked.ticked:
            return None
        one = self.screenings[index]
        if one.at_least.get(FEAR, NONE) == URGENT or one.number < marked.number:
            return None
        raised = replace(one, raised=one.raised | {"choking": {FEAR: URGENT}})
        self.screenings[index] = raised
        for hold in self.holds.values():
            hold.raising = [raised if each == one else each for each in hold.raising]
        return raised

    def _restore(self, at: datetime, first: Screening | None) -> dict[str, set[str]]:
        """Open and set what the answers that count demand, and what `first` raises now, and nothing stands for."""
        actions: dict[str, set[str]] = {}
        levels: dict[str, dict[str, int]] = {}
        numbers = {key: answer.number for key, answer in self.answers.items()}
        reasons = self.holds["safety"].reasons if "safety" in self.holds else []
        if first and not any(each.item == FEAR and each.level == URGENT for each in reasons):
            levels["safety"] = {FEAR: URGENT}
            if self.level(FEAR) < URGENT:
                numbers[FEAR] = first.number
        for key, answer in self.answers.items():
            for flag, causes in FLAGS_SET.items():
                is_set = any(key == item and answer.level >= level for item, level in causes)
                if is_set and flag not in self.flags:
                    self.set_flags({flag}, answer.number)
            kind = answer.demands(key)
            known = self.holds[kind].reasons if kind in self.holds else []
            if kind and not any(each.item == key and each.level >= answer.level for each in known):
                found = levels.setdefault(kind, {})
                found[key] = max(answer.level, found.get(key, NONE))
        for kind, found in levels.items():
            self._end_exception(kind)
            hold = self.holds.setdefault(kind, Hold([], [], set()))
            for key, level in found.items():
                number = numbers[key]
                one = next(each for each in self.screenings if each.number == number)
                hold.add(one, {key: level}, at)
                hold.episodes.add(number)
            again = replace(hold.raising[-1], levels=found, raised={}, repeats=frozenset())
            actions[kind] = again.actions
            if again.flags & SENDING_IS_UNSAFE:
                self.confirmed = False
        return actions

    def _end_exception(self, kind: str) -> None:
        """Allow no handout any more when the care hold is renewed, or a safety hold opens."""
        if "care" in self.holds and (kind == "care" or kind not in self.holds):
            self.holds["care"].allowed = None

    def was_asked_for(self, kind: str, since: datetime) -> bool:
        """Tell whether an action of a kind is open, or was completed after a moment."""
        return any(task.kind == kind for task in self.tasks.values()) or any(
            task.kind == kind and at >= since for task, at in self.done
        )

    def set_flags(self, flags: Collection[str], number: int | None = None) -> None:
        """Set flags; one that makes sending unsafe asks anew which ways of contact are safe."""
        for flag in flags:
            self.flags.setdefault(flag, []).append(number)
        if SENDING_IS_UNSAFE & {*flags}:
            self.confirmed = False

    def level(self, key: str) -> int:
        """Return the level of an item that counts now; none when it was never asked."""
        return self.answers[key].level if key in self.answers else NONE

    @property
    def facts(self) -> dict[str, str]:
        """Return the facts of the open case, or of the newest one."""
        return next((case.facts for case in self.cases if case.is_open), self.cases[-1].facts)

    @property
    def has_order(self) -> bool:
        """Tell whether an order is in force in any case: it is the client's, whichever case is open."""
        return any(case.facts.get("order", "none") != "none" for case in self.cases)

    @property
    def asked_for_none(self) -> bool:
        """Tell whether the spouse asked for no contact."""
        return any(case.facts.get("spouse_contact_wish") == "asked_for_none" for case in self.cases)

    @property
    def contact_barred(self) -> bool:
        """Tell whether contact is barred: the one predicate, (d) "The hold"."""
        return self.has_order or self.asked_for_none or bool(self.flags.keys() & BAR_CONTACT)

    @property
    def is_frozen(self) -> bool:
        """Tell whether nothing may be sent until the client confirms in person what is safe."""
        return not self.confirmed and bool(self.flags.keys() & SENDING_IS_UNSAFE)

    # What is known now.

    def is_asked(self, key: str) -> bool:
        """Tell whether an item has an answer, about fear one given alone."""
        answer = self.answers.get(key)
        return answer is not None and (key != FEAR or answer.alone)

    def is_current(self, key: str, at: datetime) -> bool:
        """Tell whether an item was asked within 14 days."""
        answer = self.answers.get(key)
        if answer is None or answer.asked_at is None:
            return False
        return -SKEW <= at - answer.asked_at <= VALID

    def is_screened(self, at: datetime) -> bool:
        """Tell whether no item is unknown or too old: each has its own date."""
        return all(self.is_asked(key) and self.is_current(key, at) for key in ITEMS)

    def is_in_need(self) -> bool:
        """Tell whether somebody has to be responsible: an open hold, a flag or an action."""
        return bool(self.holds or self.flags or self.tasks)

    @property
    def is_calm(self) -> bool:
        """Tell whether no answer that counts is above watch."""
        return all(answer.level <= WATCH for answer in self.answers.values())

    def is_proposed(self, key: str, at: datetime) -> Expected:
        """Tell whether an item is proposed as a concern: 14 days at watch, (e) "Sustained"; never a safety item."""
        held = any(key in hold.items for hold in self.holds.values())
        if key in SAFETY_ITEMS or self.level(key) != WATCH or held:
            return False
        asked = [one for one in self.screenings if key in one.levels]
        raised = [one for one in asked if one.levels[key] >= WATCH]
        if at - min(one.session_at for one in raised) < SUSTAINED:
            return False
        declined = self.declined.get(key)
        if declined and declined <= at < declined + ASKED_AGAIN:
            return None if any(one.levels[key] == NONE for one in asked) else False
        sessions = [one.session_at for one in asked]
        is_plain = sessions == sorted(sessions) and not any(one.late for one in asked)
        if not is_plain or declined or key in self.released:
            return None
        calm = [number for number, one in enumerate(asked) if one.levels[key] == NONE]
        began = asked[calm[-1] + 1 if calm else 0]
        return at - began.session_at >= SUSTAINED

    # Releasing a hold and clearing a flag.

    def may_release(self, kind: str, by: UUID, at: datetime) -> Expected:
        """Tell whether a supervisor may release an open hold now, (d) "The hold", and (e), numbers 4 and 9."""
        hold = self.holds[kind]
        open_tasks = [task for task in self.tasks.values() if task.kind not in NO_HOLD_TASKS]
        if any(task.episode in hold.episodes for task in [*open_tasks, *self.ended]):
            return False
        if not self.is_calm:
            return False
        since = [
            one
            for one in self.screenings
            if one.number > hold.raising[-1].number and one.full and not one.late
            if hold.restored_at is None or one.session_at >= hold.restored_at
        ]
        expected = (
            self._care_facts(hold, since, at)
            if kind == "care"
            else self._safety_facts(hold, since, by, at)
        )
        is_behind = any(one.behind for one in (*hold.raising, *since))
        return None if is_behind or (expected and open_tasks) else expected

    def _care_facts(self, hold: Hold, since: list[Screening], at: datetime) -> Expected:
        """Judge the two reassessments at none or watch, at least 7 days apart and with nothing worse in between."""
        raised = [one.number for one in self.screenings if max(one.counting.values()) > WATCH]
        opened_at = max(one.session_at for one in hold.raising)
        lenient = [
            one
            for one in since
            if one.number > raised[-1] and opened_at <= one.session_at <= at + SKEW
        ]
        if not has_pair(lenient) or at - max(one.session_at for one in lenient) > VALID:
            return False
        strict = [
            one
            for one in lenient
            if one.alone and one.session_at >= hold.raising[-1].recorded_at and one.session_at <= at
        ]
        return True if has_pair(strict) and strict == since else None

    def _safety_facts(self, hold: Hold, since: list[Screening], by: UUID, at: datetime) -> Expected:
        """Judge the full screening, asked alone, long enough after the last concern, and the second person."""
        if by in hold.authors:
            return False
        wait = BEFORE_RELEASE_FEAR if FEAR in hold.items else BEFORE_RELEASE
        restored = [hold.restored_at] if hold.restored_at else []
        last = hold.raising[-1]
        fear = [one for one in hold.raising if one.new_levels.get(FEAR, NONE) >= CONCERN]
        soonest = max(
            [
                last.session_at + BEFORE_RELEASE,
                *(since + wait for since in restored),
                *(min(one.session_at, last.recorded_at) + BEFORE_RELEASE_FEAR for one in fear),
            ]
        )
        lenient = [
            one
            for one in since
            if one.steady
            and one.alone
            and soonest <= one.session_at <= at + SKEW
            and at - one.session_at <= VALID
        ]
        if not lenient or {one.by for one in lenient} == {by}:
            return False
        began = [max(one.session_at, one.recorded_at) for one in hold.raising]
        latest = max([*began, *restored]) + wait
        newest = max(since, key=lambda one: (one.session_at, one.number))
        is_met = newest in lenient and latest <= newest.session_at <= at and newest.by != by
        return True if is_met else None

    def may_clear(self, flag: str) -> Expected:
        """Tell whether a supervisor may clear a flag: never while what set it stands, such as an open safety hold."""
        if any(self.level(key) >= level for key, level in FLAGS_SET[flag]):
            return False
        if flag == "contact_block" and (self.has_order or self.asked_for_none):
            return False
        if flag in SENDING_IS_UNSAFE and not self.confirmed:
            return False
        if "safety" not in self.holds:
            return True
        set_by, hold = self.flags[flag], self.holds["safety"]
        if None not in set_by:
            return False
        if any(flag in one.flags for one in hold.raising):
            return None if hold.restored_at else False
        return None if {*set_by} != {None} else True

    def is_planned(self, task: Task) -> bool:
        """Tell whether plans were written since an action asked for them; clocks may differ."""
        return (
            self.planned_at is not None
            and task.asked_at is not None
            and self.planned_at >= task.asked_at - SKEW
        )

    # Moving and closing a case.

    def may_advance(self, case: Case, to: str, at: datetime) -> Expected:
        """Tell whether a case may move forward, with every criterion that a coach attests attested."""
        if self.holds or not case.is_open:
            return False
        if to in CONTACT_STAGES and self.contact_barred:
            return False
        return self.is_screened(at) and self._criteria(case, to)

    def _criteria(self, case: Case, to: str) -> Expected:
        """Judge the criteria of a gate that the program computes, (d); asking about fear again is part of all items."""
        if to == "close":
            return True
        if case.stage == "steady":
            return self._two_steady()
        if case.stage == "understand":
            return case.goal_chosen
        if case.stage == "rebuild":
            return case.goal_chosen and case.facts.get("spouse_contact_wish") == "open"
        return True

    def _two_steady(self) -> Expected:
        """Judge two screenings at least 7 days apart with every item at none or watch, (d) `steady`."""
        steady = [one for one in self.screenings if one.steady]
        if not has_pair(steady):
            return False
        in_order = all(one.session_at <= later.session_at for one, later in pairwise(steady))
        pair = [one for one in steady if steady[-1].session_at - one.session_at >= STEADY_APART]
        between = self.screenings[self.screenings.index(pair[-1]) :] if pair else []
        return True if pair and in_order and all(one.steady for one in between) else None

    def may_close(self, outcome: str, at: datetime) -> Expected:
        """Tell whether a case may be closed by its coach with a final screening done."""
        if "safety" in self.holds:
            return False
        today = at.astimezone(ZONE).date()
        full = [
            one
            for one in self.screenings
            if one.full and not one.late and one.session_at <= at + SKEW
        ]
        of_today = [one for one in full if one.session_at.astimezone(ZONE).date() == today]
        if not self.is_screened(at) or (outcome in APART and not of_today):
            return False
        return None if self.holds else True

    def may_close_without_screening(self, at: datetime, *, by_supervisor: bool) -> Expected:
        """Tell whether a case may be closed for lost contact, during a safety hold only by a second person."""
        if "safety" in self.holds:
            if self.lost_at is None or not by_supervisor:
                return False
            # A screening that a clock which ran ahead has dated later may count as a sign of life.
            is_ahead = any(one.session_at > self.lost_at for one in self.screenings)
            return None if is_ahead or self.lost_at > at else True
        return by_supervisor or self.is_calm

    # Handouts.

    def conditions(self, at: datetime) -> set[str]:
        """Return the conditions of the table of bars that are met."""
        facts = self.facts
        afraid = "violence_flag" in self.flags or self.level(FEAR) >= CONCERN
        harms = "client_harm_flag" in self.flags or any(
            self.level(key) >= CONCERN for key in ("harm_to_others", "following")
        )
        met = {
            "contact block": self.contact_barred or afraid or harms,
            "harmed or afraid": afraid,
            "harms others": harms,
            "self-harm": "self_harm_flag" in self.flags or self.level("self_harm") >= WATCH,
            "safety unknown": not all(map(self.is_asked, SAFETY_ITEMS)),
            "fear unknown": not self.is_asked(FEAR),
            "fear at watch": self.level(FEAR) >= WATCH,
            "old screening": not all(self.is_current(key, at) for key in SAFETY_ITEMS),
            "no consent": facts.get("spouse_willingness") not in {"several", "agreed"}
            or facts.get("spouse_contact_wish") != "open",
            "not far apart": facts.get("living_arrangement") != "long_distance",
            "affair": facts.get("affair_disclosed") in {"spouse", "client", "both"},
            "order": self.has_order,
            "eating disorder": "eating_disorder_flag" in self.flags
            or self.level("eating") >= CONCERN,
            "withdrawal": "withdrawal_risk" in self.flags or self.level("substances") == URGENT,
            "no safe channel": "unsafe_delivery" in self.flags or self.level(FEAR) >= CONCERN,
        }
        return {name for name, applies in met.items() if applies}

    def may_allow(self, slug: str, at: datetime) -> Expected:
        """Tell whether a supervisor may allow a handout that only an open care hold bars; never in a safety hold."""
        if {*self.holds} != {"care"} or not self.cases[-1].is_open:
            return False
        hold = self.holds["care"]
        if "care" in TABLE[slug]["holds"] or hold.allowed == (self.cases[-1].id, slug):
            return False
        before, hold.allowed = hold.allowed, (self.cases[-1].id, slug)
        possible = {
            self.may_read(slug, channel, at) for channel in ("in_person", "print", "portal")
        }
        hold.allowed = before
        return True if True in possible else None if None in possible else False

    def may_read(self, slug: str, channel: str, at: datetime) -> Expected:
        """Tell whether a handout may be assigned through a channel, or read there by a client who has it."""
        row = TABLE[slug]
        barring = {kind for kind in self.holds if kind not in row["holds"]}
        if barring == {"care"} and self.holds["care"].allowed == (self.cases[-1].id, slug):
            barring = set()
        if barring:
            return False
        if channel not in row.get("channels", ("in_person", "print", "portal")):
            return False
        met = self.conditions(at)
        if met & {*row.get("block", ())}:
            return False
        if met & {*row.get("in_session", ())} and channel != "in_person":
            return False
        if channel == "portal" and met & {"no safe channel", "harmed or afraid"}:
            return False if self.is_frozen else None
        return True


def has_pair(screenings: Iterable[Screening]) -> bool:
    """Tell whether two sessions are at least 7 days apart."""
    times = [one.session_at for one in screenings]
    return bool(times) and max(times) - min(times) >= STEADY_APART


NO_HOLD_TASKS = {"custom", "close_screening", "close_check_in"}
"""Kinds of tasks that no screening requires."""


@dataclass(frozen=True)
class Required:
    """What a screening requires: actions, those that may also be asked again, and whether they are of a new episode."""

    actions: set[str]
    possible: set[str]
    starts_episode: bool


def next_working_day(moment: datetime, days: int) -> datetime:
    """Return the same time of day so many working days later, Monday to Friday."""
    local = moment.astimezone(ZONE)
    day = local.date()
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < 5
    return datetime.combine(day, time(local.hour, local.minute, local.second), ZONE).astimezone(UTC)
