"""What the things that happen to a client change: screenings, corrections, results of actions, flags."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.guarantees.safety_model.sources import (
    BAR_CONTACT,
    FEAR,
    FLAGS_SET,
    NONE,
    OWN_CORRECTION,
    RAISED_BY,
    SENDING_IS_UNSAFE,
    SKEW,
    URGENT,
    Expected,
)
from tests.guarantees.safety_model.state import Answer, Case, Hold, Required, Screening, Task

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID


@dataclass
class Known:
    """Everything that is known about one client, and what each thing that happens changes about it."""

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
    plans: dict[str, datetime] = field(default_factory=dict)
    """When each kind of plan was last written or gone through."""
    plan_shown: bool = False
    """Whether the client wants the safety plan in the portal."""
    said_to_have_ended: dict[str, int] = field(default_factory=dict)
    """How many screenings were recorded when a circumstance was last said to have ended."""
    levels_of: dict[str, list[tuple[str, int, int]]] = field(default_factory=lambda: {**RAISED_BY})
    """What each circumstance raises as the protocol is now; earlier screenings keep what theirs said."""
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
            new.new_levels[key] == URGENT or key not in known.get(kind, set())
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
                for key, when, level in self.levels_of[name]
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

    @property
    def circumstances(self) -> dict[str, datetime]:
        """Return the circumstances that are current, each with its newest session.

        What was said before it ended no longer counts, nor does a note that had recorded it before.
        """
        found: dict[str, datetime] = {}
        for one in self.screenings:
            for name in one.ticked:
                before = found.get(name)
                is_new = name not in one.repeats or before is not None
                if one.number <= self.said_to_have_ended.get(name, 0) or not is_new:
                    continue
                is_older = before is not None and one.session_at < before <= one.recorded_at
                found[name] = before if before and is_older else one.session_at
        return found

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
        """Let the first tick of what never expires raise its item, when the one before no longer counts; return it."""
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
    def is_barred_by_another_case(self) -> bool:
        """Tell whether only the facts of other cases than the newest one bar contact."""
        own = self.cases[-1].facts
        is_own = own.get("order", "none") != "none"
        is_own |= own.get("spouse_contact_wish") == "asked_for_none"
        return (self.has_order or self.asked_for_none) and not is_own

    @property
    def contact_barred(self) -> bool:
        """Tell whether contact is barred: the one predicate, (d) "The hold"."""
        return self.has_order or self.asked_for_none or bool(self.flags.keys() & BAR_CONTACT)

    @property
    def is_frozen(self) -> bool:
        """Tell whether nothing may be sent until the client confirms in person what is safe."""
        return not self.confirmed and bool(self.flags.keys() & SENDING_IS_UNSAFE)
