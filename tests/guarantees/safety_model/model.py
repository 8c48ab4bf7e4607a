"""What must hold for one client, worked out from the sources and not from the program.

Nothing here imports a rule of the program. Where the sources leave room, the answer is None: the program may do either.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.guarantees.safety_model.changes import Known
from tests.guarantees.safety_model.sources import (
    APART,
    ASKED_AGAIN,
    BEFORE_RELEASE,
    BEFORE_RELEASE_FEAR,
    CONCERN,
    CONTACT_STAGES,
    FEAR,
    FLAGS_SET,
    ITEMS,
    NO_HOLD_TASKS,
    NONE,
    SAFETY_ITEMS,
    SENDING_IS_UNSAFE,
    SKEW,
    STEADY_APART,
    SUSTAINED,
    URGENT,
    VALID,
    WATCH,
    ZONE,
    Expected,
    opens_safety_hold,
)
from tests.support.bars_table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from tests.guarantees.safety_model.state import Case, Hold, Screening, Task


@dataclass
class Client(Known):
    """One client, with what the sources say about each thing that somebody may want to do."""

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

    def may_end(self, name: str, last: datetime | None) -> Expected:
        """Tell whether a circumstance can be said to have ended, by somebody who saw its last mention, decision 47."""
        current = self.circumstances
        return name in current and name != "choking" and current[name] == last

    # Plans.

    def is_planned(self, task: Task) -> Expected:
        """Tell whether the plans that an action asks for were worked on since; clocks may differ.

        Fear at home asks for an exit plan, everything else for a safety plan, (d).
        """
        if task.asked_at is None:
            return False
        done = {kind for kind, at in self.plans.items() if at >= task.asked_at - SKEW}
        reasons = [reason for hold in self.holds.values() for reason in hold.reasons]
        items = {
            each.item
            for each in reasons
            if each.number == task.episode and opens_safety_hold(each.item, each.level)
        }
        if items:
            return {"exit" if item == FEAR else "safety" for item in items} <= done
        return True if {"safety", "exit"} <= done else None if done else False

    def may_show_plan(self, kind: str) -> bool:
        """Tell whether a plan may be in the portal: where the client fears nobody, and a safety plan only, (e), 4c."""
        fear = self.answers.get(FEAR)
        is_excluded = fear is not None and fear.alone and fear.level == NONE
        is_safe = not SENDING_IS_UNSAFE & self.flags.keys()
        return kind == "safety" and kind in self.plans and is_excluded and is_safe

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
            is_ahead = any(one.session_at >= self.lost_at for one in self.screenings)
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
