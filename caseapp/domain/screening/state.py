"""What a client's events add up to: pure functions from events to screenings, holds, flags and the current state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from caseapp.domain.screening.events import (
    CircumstanceEnded,
    FlagCleared,
    FlagConfirmed,
    FlagInError,
    FlagSet,
    HandoutAllowed,
    HoldInError,
    HoldOpened,
    HoldReleased,
    HoldRenewed,
    ProposalDeclined,
    ScreeningInError,
    ScreeningRecorded,
    SecondPersonNamed,
    from_plain,
    to_plain,
)
from caseapp.domain.screening.protocol import CIRCUMSTANCES, FEAR_AT_HOME, ITEMS, Level
from caseapp.domain.screening.records import (
    Answer,
    Flag,
    Hold,
    InError,
    Raised,
    ScreeningRecord,
    merge_levels,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    from caseapp.domain.screening.events import RecordedEvent


@dataclass(frozen=True)
class DerivedState:
    """A client's current state: open holds, active flags, the answer to each item that counts.

    `last_full_at` is the time of the session in which every question was last asked, and recorded in time,
    `last_full_protocol` the version of the protocol that had these questions. `raised` has the items at watch or above,
    `circumstances` those that were ticked and have not ended since, with the time of the newest session.
    """

    holds: tuple[Hold, ...] = ()
    flags: tuple[Flag, ...] = ()
    answers: dict[str, Answer] = field(default_factory=dict)
    last_full_at: datetime | None = None
    last_full_protocol: int | None = None
    raised: dict[str, Raised] = field(default_factory=dict)
    circumstances: dict[str, datetime] = field(default_factory=dict)
    latest_at: datetime | None = None
    """The latest time at which an event was recorded: no further event happens before it, whatever the clock says."""


def apply(
    state: DerivedState, event: RecordedEvent, in_error: Collection[UUID] = ()
) -> DerivedState:
    """Return the state after one more event; `in_error` are the screenings that count for nothing.

    That a screening was recorded in error changes what the events before it add up to: `fold` tells that.
    """
    latest_at = max(filter(None, (state.latest_at, event.recorded_at)))
    return replace(_apply(state, event, in_error), latest_at=latest_at)


def _apply(state: DerivedState, event: RecordedEvent, in_error: Collection[UUID]) -> DerivedState:
    if isinstance(event.fact, ScreeningRecorded):
        if event.id in in_error:
            return state
        screening = make_screening(event, in_error, state.circumstances)
        counting = dict(_list_answers(screening, state.answers))
        raised = _change_raised(state, screening, counting)
        said = {
            key: _last_said(state, key, screening)
            for key in screening.circumstances
            # What a note had recorded already has ended since, if it isn't current any more.
            if key in state.circumstances or key not in event.fact.repeats
        }
        state = replace(
            state,
            answers=state.answers | counting,
            raised=raised,
            circumstances=state.circumstances | said,
        )
        full_at = state.last_full_at
        if (
            not screening.full
            or screening.is_late
            or (full_at and screening.is_older_than(full_at))
        ):
            return state
        return replace(
            state, last_full_at=screening.session_at, last_full_protocol=screening.protocol
        )
    if isinstance(event.fact, FlagSet | FlagCleared | FlagConfirmed | FlagInError):
        flags = change_flags({flag.id: flag for flag in state.flags}, event)
        return replace(state, flags=tuple(f for f in flags.values() if f.cleared_at is None))
    if isinstance(event.fact, CircumstanceEnded):
        ended = event.fact.circumstance
        current = {key: at for key, at in state.circumstances.items() if key != ended}
        return replace(state, circumstances=current)
    if isinstance(event.fact, ProposalDeclined):
        return replace(state, raised=_decline(state.raised, event, event.fact))
    holds = change_holds({hold.id: hold for hold in state.holds}, event)
    if isinstance(event.fact, HoldReleased):
        state = replace(state, raised=_restart(state.raised, holds[event.fact.hold_id]))
    return replace(state, holds=tuple(h for h in holds.values() if h.released_at is None))


def _list_answers(
    screening: ScreeningRecord, before: Mapping[str, Answer]
) -> Iterator[tuple[str, Answer]]:
    """List the answers of a screening that count from now on; those `before` counted until now."""
    for item, level in screening.counting.items():
        if level is None:
            continue
        asked_at = _asked_at(before.get(item), screening, item)
        answer = Answer(level, screening.session_at, screening.asked_alone, screening.id, asked_at)
        if _counts(item, answer, before.get(item), screening):
            yield item, answer


def _last_said(state: DerivedState, key: str, screening: ScreeningRecord) -> datetime:
    before = state.circumstances.get(key)
    return before if before and screening.is_older_than(before) else screening.session_at


def _asked_at(before: Answer | None, screening: ScreeningRecord, item: str) -> datetime | None:
    """Return when an item was last asked, with this screening; a late one says nothing about that.

    Neither does a level that circumstances have raised without the question being asked.
    A time that lay in the future when this screening was recorded is of a clock that ran ahead, so it doesn't count.
    """
    is_asked = screening.levels[item] is not None and not screening.is_late
    times = [screening.session_at] if is_asked else []
    if before and before.asked_at and before.asked_at <= screening.recorded_at:
        times.append(before.asked_at)
    return max(times, default=None)


def _counts(item: str, answer: Answer, before: Answer | None, screening: ScreeningRecord) -> bool:
    """Tell whether an answer of a screening counts from now on instead of the one before.

    A higher level always counts. It is lowered neither by an answer of an older session, nor by one of a session so
    long ago that it says nothing about now, nor, for fear at home, by one that was not given alone. Content map,
    section (e), 4c; awaiting clinical sign-off.
    """
    if before is None or answer.level > before.level:
        return True
    if screening.is_late or screening.is_older_than(before.session_at):
        return False
    if screening.levels[item] is None:
        return False
    return answer.asked_alone or item != FEAR_AT_HOME


def _change_raised(
    state: DerivedState, screening: ScreeningRecord, counting: Mapping[str, Answer]
) -> dict[str, Raised]:
    """Return the items at watch or above after a screening, of whose answers those that count are given.

    Only an answer of none that counts ends the time of an item. What doesn't count can still show that it began
    earlier, but not before the time before it ended.
    """
    raised = {
        item: found
        for item, found in state.raised.items()
        if item not in counting or counting[item].level >= Level.WATCH
    }
    for item, level in screening.levels.items():
        if (level or Level.NONE) < Level.WATCH:
            continue
        before = raised.get(item) or _begin(state.answers.get(item), screening)
        is_of_this_time = before.ended_at is None or screening.session_at > before.ended_at
        days = filter(None, (before.reported_since, screening.lasting_since.get(item)))
        raised[item] = replace(
            before,
            began_at=min(before.began_at, screening.session_at)
            if is_of_this_time
            else before.began_at,
            reported_since=min(days, default=None),
        )
    return raised


def _begin(before: Answer | None, screening: ScreeningRecord) -> Raised:
    """Begin the time of an item; a session of before the last none shows nothing earlier than that none."""
    if before is None:
        return Raised(screening.session_at)
    if screening.is_older_than(before.session_at):
        return Raised(before.session_at, before.session_at)
    return Raised(screening.session_at, before.session_at)


def _restart(raised: Mapping[str, Raised], hold: Hold) -> dict[str, Raised]:
    """Let the time of the items that a hold was about begin again when it is released.

    The client has recovered from the concern (content map, section (e): none or watch at two contacts), and what lasted
    until then was judged with the hold.
    """
    items = {reason["item"] for reason in hold.standing}
    return {
        item: Raised(hold.released_at, hold.released_at)
        if item in items and hold.released_at
        else found
        for item, found in raised.items()
    }


def _decline(
    raised: Mapping[str, Raised], event: RecordedEvent, fact: ProposalDeclined
) -> dict[str, Raised]:
    if fact.item not in raised:
        return dict(raised)
    declined = replace(
        raised[fact.item],
        declined_at=event.recorded_at,
        declined_by=event.recorded_by,
        declined_because=fact.reason,
    )
    return {**raised, fact.item: declined}


def find_errors(events: Iterable[RecordedEvent]) -> dict[UUID, InError]:
    """Find the screenings that were recorded in error."""
    return {
        event.fact.screening_id: InError(
            event.recorded_at, event.recorded_by, event.fact.reason, event.recorded_by_name
        )
        for event in events
        if isinstance(event.fact, ScreeningInError)
    }


def fold(events: Iterable[RecordedEvent], *more: UUID) -> DerivedState:
    """Return the state after all events of a client; `more` are screenings that will count for nothing too."""
    found, state = [*events], DerivedState()
    in_error = {*find_errors(found), *more}
    for event in found:
        state = apply(state, event, in_error)
    return state


def list_delays(events: Iterable[RecordedEvent], moment: datetime) -> dict[UUID, timedelta]:
    """List by how much the clock was behind when events were recorded: none happened before those before it.

    Times that lie in the future at `moment` are of a clock that ran ahead, so they say nothing about later events.
    """
    found: dict[UUID, timedelta] = {}
    latest_at: datetime | None = None
    for event in events:
        if latest_at and event.recorded_at < latest_at:
            found[event.id] = latest_at - event.recorded_at
        elif event.recorded_at <= moment:
            latest_at = event.recorded_at
    return found


def make_screening(
    event: RecordedEvent, in_error: Collection[UUID] = (), known: Container[str] = ()
) -> ScreeningRecord:
    """Build the screening that an event recorded, without what it repeats of a screening that was recorded in error.

    `known` are the circumstances that earlier screenings have which count. One that never expires raises its items in
    the first of those that count, also if one before it was recorded in error meanwhile.
    Raises TypeError for another kind of event.
    """
    fact = event.fact
    if not isinstance(fact, ScreeningRecorded):
        raise TypeError
    lost = {key for key, origin in fact.repeats.items() if UUID(origin) in in_error}
    circumstances = [key for key in fact.circumstances if key not in lost]
    at_least = (
        fact.at_least
        if len(circumstances) == len(fact.circumstances)
        else _keep_raised(fact.at_least, circumstances)
    )
    first = (fact.ever_at_least.get(key, {}) for key in circumstances if key not in known)
    return ScreeningRecord(
        id=event.id,
        client_id=event.client_id,
        recorded_at=event.recorded_at,
        recorded_by=event.recorded_by,
        levels={
            item.key: None if item.key in lost else fact.answers.get(item.key) for item in ITEMS
        },
        asked_alone=fact.asked_alone,
        actions_taken=fact.actions_taken,
        comment=fact.comment,
        session_at=fact.session_at,
        seq=event.seq,
        protocol=fact.protocol,
        lasting_since=fact.lasting_since,
        note_id=fact.note_id,
        circumstances=circumstances,
        at_least=merge_levels(at_least, *first),
        below_reason=fact.below_reason,
    )


def list_screenings(
    events: Iterable[RecordedEvent], in_error: Collection[UUID]
) -> list[tuple[RecordedEvent, ScreeningRecord]]:
    """List the screenings of a client in their order, each with its event, also those that were recorded in error."""
    found, known = [], set[str]()
    for event in events:
        if isinstance(event.fact, ScreeningRecorded):
            screening = make_screening(event, in_error, known)
            found.append((event, screening))
            if event.id not in in_error:
                known.update(screening.circumstances)
        elif isinstance(event.fact, CircumstanceEnded):
            known.discard(event.fact.circumstance)
    return found


def _keep_raised(at_least: Mapping[str, int], circumstances: Iterable[str]) -> dict[str, int]:
    """Return the levels to which these circumstances raise items, of those that more of them have raised."""
    highest: dict[str, int] = {}
    for key in circumstances:
        for rule in CIRCUMSTANCES[key].raises:
            highest[rule.item] = max(rule.level, highest.get(rule.item, Level.NONE))
    return {item: min(level, highest[item]) for item, level in at_least.items() if item in highest}


def _decide(hold: Hold, fact: HandoutAllowed | SecondPersonNamed, who: UUID) -> Hold:
    """Return a hold after a person has decided something about it."""
    hold = replace(hold, version=hold.version + 1)
    if isinstance(fact, SecondPersonNamed):
        return replace(hold, second_person_id=fact.user_id)
    return replace(
        hold,
        allowed_handout=fact.handout,
        allowed_case_id=fact.case_id,
        allowed_reason=fact.reason,
        allowed_by=who,
    )


def _end_exception(hold: Hold) -> Hold:
    """Return a hold that is renewed, or whose client has a safety hold now: no handout is allowed any more."""
    if not hold.allowed_handout:
        return hold
    return replace(
        hold,
        version=hold.version + 1,
        allowed_handout="",
        allowed_case_id=None,
        allowed_reason="",
        allowed_by=None,
    )


def list_ended_exceptions(before: Mapping[UUID, Hold], after: Mapping[UUID, Hold]) -> list[Hold]:
    """List the holds, as they were before an event, whose allowed handout is no longer allowed after it."""
    return [
        hold
        for hold in before.values()
        if hold.allowed_handout and not after[hold.id].allowed_handout
    ]


def change_holds(holds: Mapping[UUID, Hold], event: RecordedEvent) -> dict[UUID, Hold]:
    """Return a client's holds after one more event; each change of a hold counts up its version."""
    fact, changed = event.fact, dict(holds)
    if isinstance(fact, HoldOpened):
        if fact.kind == "safety":
            changed = {hold.id: _end_exception(hold) for hold in holds.values()}
        changed[event.id] = Hold(
            id=event.id,
            client_id=event.client_id,
            kind=fact.kind,
            opened_at=event.recorded_at,
            opened_by=event.recorded_by,
            reasons=fact.reasons,
            version=1,
            seq=event.seq,
        )
    elif isinstance(fact, HoldRenewed):
        before = changed[fact.hold_id]
        changed[before.id] = replace(
            _end_exception(before),
            reasons=[*before.reasons, *fact.reasons],
            version=before.version + 1,
            renewed_at=event.recorded_at,
        )
    elif isinstance(fact, HoldReleased):
        before = changed[fact.hold_id]
        changed[before.id] = replace(
            before,
            version=before.version + 1,
            released_at=event.recorded_at,
            released_by=event.recorded_by,
            release_reason=fact.reason,
        )
    elif isinstance(fact, HoldInError):
        before = changed[fact.hold_id]
        changed[before.id] = replace(
            before,
            version=before.version + 1,
            released_at=event.recorded_at,
            released_by=event.recorded_by,
            in_error=True,
        )
    elif isinstance(fact, ScreeningInError):
        for hold in holds.values():
            reasons = [_mark_reason(reason, fact.screening_id) for reason in hold.reasons]
            if reasons != hold.reasons:
                changed[hold.id] = replace(hold, reasons=reasons, version=hold.version + 1)
    elif isinstance(fact, HandoutAllowed | SecondPersonNamed):
        changed[fact.hold_id] = _decide(changed[fact.hold_id], fact, event.recorded_by)
    return changed


def _mark_reason(reason: dict[str, Any], screening_id: UUID) -> dict[str, Any]:
    is_of_it = UUID(reason["screening"]) == screening_id
    return {**reason, "in_error": True} if is_of_it else reason


def change_flags(flags: Mapping[UUID, Flag], event: RecordedEvent) -> dict[UUID, Flag]:
    """Return a client's flags after one more event."""
    fact, changed = event.fact, dict(flags)
    if isinstance(fact, FlagSet):
        changed[event.id] = Flag(
            id=event.id,
            client_id=event.client_id,
            kind=fact.kind,
            source=fact.source,
            set_at=event.recorded_at,
            set_by=event.recorded_by,
        )
    elif isinstance(fact, FlagCleared):
        changed[fact.flag_id] = replace(
            changed[fact.flag_id],
            cleared_at=event.recorded_at,
            cleared_by=event.recorded_by,
            clear_reason=fact.reason,
        )
    elif isinstance(fact, FlagConfirmed):
        changed[fact.flag_id] = replace(changed[fact.flag_id], stands_alone=True)
    elif isinstance(fact, FlagInError):
        changed[fact.flag_id] = replace(
            changed[fact.flag_id],
            cleared_at=event.recorded_at,
            cleared_by=event.recorded_by,
            in_error=True,
        )
    return changed


def state_to_json(state: DerivedState) -> dict[str, Any]:
    """Return a state as plain data."""
    return {
        "holds": [to_plain(hold) for hold in state.holds],
        "flags": [to_plain(flag) for flag in state.flags],
        "answers": {item: to_plain(answer) for item, answer in state.answers.items()},
        "last_full_at": state.last_full_at.isoformat() if state.last_full_at else None,
        "last_full_protocol": state.last_full_protocol,
        "raised": {item: to_plain(raised) for item, raised in state.raised.items()},
        "circumstances": {key: at.isoformat() for key, at in state.circumstances.items()},
        "latest_at": state.latest_at.isoformat() if state.latest_at else None,
    }


def state_from_json(data: dict[str, Any]) -> DerivedState:
    """Build a state from plain data.

    Answers that were stored without the time when they were asked have that of their session.
    """
    full, latest = data["last_full_at"], data.get("latest_at")
    return DerivedState(
        holds=tuple(from_plain(Hold, hold) for hold in data["holds"]),
        flags=tuple(from_plain(Flag, flag) for flag in data["flags"]),
        answers={
            item: from_plain(Answer, {"asked_at": answer["session_at"]} | answer)
            for item, answer in data["answers"].items()
        },
        last_full_at=datetime.fromisoformat(full) if full else None,
        last_full_protocol=data.get("last_full_protocol", 1 if full else None),
        raised={item: from_plain(Raised, raised) for item, raised in data["raised"].items()},
        circumstances={
            key: datetime.fromisoformat(at) for key, at in data.get("circumstances", {}).items()
        },
        latest_at=datetime.fromisoformat(latest) if latest else None,
    )
