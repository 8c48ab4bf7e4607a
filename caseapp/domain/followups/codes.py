"""Kinds of follow-ups: which results each allows, how long it takes, and when it is tried again.

Everything here is a product proposal that awaits sign-off by a licensed clinician. The protocol says which levels
require which kinds, what they are called, when they are due and before when they can't be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from caseapp.domain.protocol.file import PROTOCOL

RESULT_LABELS = {
    "done": "Done",
    "reached": "Reached",
    "not_reached": "Not reached",
    "declined": "Declined",
    "yes": "Yes, there is a duty to report",
    "no": "No duty to report",
    "not_sure": "Not sure: the supervisor decides",
    "emergency_services": "Call the emergency services",
    "named_person": "Contact a named person",
    "keep_trying": "Keep trying",
    "lost_contact": "Lost contact",
    "accepted": "Coaching can go on without it",
    "try_again": "Try again",
    "in_error": "Recorded in error",
}
METHOD_LABELS = {
    "call": "Phone call",
    "message": "Message",
    "in_person": "In person",
    "video": "Video",
    "other": "Another way",
}
UNKNOWN_METHOD = "unknown"
"""The method of a task that was completed before methods were recorded."""

NOTE_LENGTHS = {
    "not_reached": 0,
    "declined": 20,
    "no": 20,
    "emergency_services": 20,
    "named_person": 20,
    "keep_trying": 20,
    "lost_contact": 20,
    "accepted": 20,
    "try_again": 20,
}
"""The least number of characters that the note of a result needs; for every other result the kind of task says it.

Characters that can't be seen don't count, and neither do repeated blanks.
"""

ATTEMPTS_BEFORE_WELFARE_CHECK = 3
"""After this many attempts without reaching the client a supervisor decides what to do."""

BETWEEN_ATTEMPTS = timedelta(hours=1)
"""The least time between two attempts of which every third asks a supervisor for a decision."""

CLOCK_SKEW = timedelta(minutes=5)
"""By how much the clocks of two servers may differ."""

BEFORE_CREATION = timedelta(minutes=5)
"""How long before a task of the protocol was added whatever it led to may have happened."""

_CONTACT = ("reached", "not_reached", "declined")
_SPOKEN = ("call", "in_person", "video", "other")


@dataclass(frozen=True)
class TaskKind:
    """A kind of task.

    `minutes` is about how long it takes. `results` and `methods` are the allowed codes; a kind without methods is a
    decision or something that was written down. Results in `repeated_only` need an earlier task of the same kind.
    `told_for` are the results that need the name of whoever was told. The note of a result that is not in
    `NOTE_LENGTHS` has at least `note_length` characters. A task is due "now", and not yet overdue, for `grace` after
    its due time. After "not reached" it is due again after `retry_after`; with `welfare_check` every third such attempt
    asks a supervisor for a decision, and there is at least `BETWEEN_ATTEMPTS` between them.
    """

    minutes: int
    results: tuple[str, ...]
    methods: tuple[str, ...] = ()
    told_for: tuple[str, ...] = ()
    note_length: int = 1
    grace: timedelta = timedelta(0)
    retry_after: timedelta = timedelta(0)
    welfare_check: bool = False
    repeated_only: tuple[str, ...] = ()

    def list_results(self, attempt: int) -> tuple[str, ...]:
        """List the codes of the results that the so many-eth task of this kind can have."""
        return tuple(code for code in self.results if attempt > 1 or code not in self.repeated_only)


_SAFETY_CHECK = TaskKind(
    15,
    _CONTACT,
    _SPOKEN,
    grace=timedelta(hours=4),
    retry_after=timedelta(hours=4),
    welfare_check=True,
)


TASK_LABELS = {action.key: action.label for action in PROTOCOL.actions}
CUSTOM = "custom"
"""The kind of task for which a title is entered."""
WELFARE_CHECK = "welfare_check"
DUTY_CHECK = "duty_check"
DECLINED_DECISION = "declined_decision"
SUPERVISOR_DECISIONS = frozenset({WELFARE_CHECK, DECLINED_DECISION})
"""What a supervisor decides about another task: the one that led to it."""
DECIDED_WHEN_DECLINED = frozenset({"referral", "referral_outcome", "safety_plan"})
"""If the client declines one of these, a supervisor decides whether coaching can go on without it.

Product proposal, awaiting clinical sign-off.
"""
LOST_CONTACT = "lost_contact"
"""A supervisor's decision that the client can't be reached, and how a task ends when the case is closed for that."""
TELL_SUPERVISOR = "tell_supervisor"
IN_ERROR = "in_error"
"""The result of a task that was required by a screening that was recorded in error; nobody can choose it."""
SAFETY_PLAN = "safety_plan"
PLAN_REVIEW = "plan_review"
ABOUT_PLANS = (SAFETY_PLAN, PLAN_REVIEW)
"""The kinds of task that are done on the page of the safety plan."""

TASK_KINDS = {
    "recheck": TaskKind(
        10,
        _CONTACT,
        _SPOKEN,
        retry_after=timedelta(hours=24),
        welfare_check=True,
    ),
    "referral": TaskKind(20, ("done", "declined"), tuple(METHOD_LABELS)),
    "referral_outcome": TaskKind(
        10,
        ("done", "not_reached", "declined"),
        tuple(METHOD_LABELS),
        retry_after=timedelta(hours=24),
    ),
    SAFETY_PLAN: TaskKind(
        40,
        ("done", "declined"),
        _SPOKEN,
        grace=timedelta(hours=1),
    ),
    # A review is recorded with the plan, which moves this task to the day of the next one.
    PLAN_REVIEW: TaskKind(
        20,
        ("not_reached", "declined"),
        tuple(METHOD_LABELS),
        retry_after=timedelta(hours=24),
    ),
    "safety_24h": _SAFETY_CHECK,
    "safety_72h": _SAFETY_CHECK,
    "safety_7d": _SAFETY_CHECK,
    "emergency_steps": TaskKind(5, ("done",), note_length=20, grace=timedelta(hours=1)),
    DUTY_CHECK: TaskKind(
        15,
        ("yes", "no", "not_sure"),
        told_for=("yes", "no", "not_sure"),
        grace=timedelta(hours=1),
    ),
    TELL_SUPERVISOR: TaskKind(
        5,
        ("done",),
        ("call", "message", "in_person", "video"),
        told_for=("done",),
        grace=timedelta(hours=1),
    ),
    WELFARE_CHECK: TaskKind(
        15,
        ("emergency_services", "named_person", "keep_trying", LOST_CONTACT),
        told_for=("emergency_services", "named_person"),
        grace=timedelta(hours=1),
        # Not before another welfare check was decided, and three more attempts reached nobody.
        repeated_only=(LOST_CONTACT,),
    ),
    DECLINED_DECISION: TaskKind(10, ("accepted", "try_again"), grace=timedelta(hours=1)),
    "close_screening": TaskKind(
        30,
        _CONTACT,
        _SPOKEN,
        retry_after=timedelta(hours=24),
        welfare_check=True,
    ),
    "close_check_in": TaskKind(
        15,
        _CONTACT,
        tuple(METHOD_LABELS),
        retry_after=timedelta(days=7),
    ),
    CUSTOM: TaskKind(
        15,
        ("done", *_CONTACT),
        tuple(METHOD_LABELS),
        retry_after=timedelta(hours=24),
    ),
}
LONGEST_GRACE = max(kind.grace for kind in TASK_KINDS.values())
"""A required task that has been due for so long is overdue, whatever its kind."""
