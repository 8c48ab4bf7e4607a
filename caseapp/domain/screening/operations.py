"""Operations on screenings, flags and holds: every change appends to the client's safety events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import Invalid, Stale
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action, Role
from caseapp.core.text import count_visible
from caseapp.domain.alerts.codes import KINDS
from caseapp.domain.alerts.operations import raise_alert
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import SECOND_PERSON
from caseapp.domain.clients.operations import (
    join_for,
    leave_for,
    withdraw_contact_confirmation,
)
from caseapp.domain.clients.queries import find_coach_id
from caseapp.domain.clients.rules import UNSAFE_FLAGS
from caseapp.domain.followups.operations import create_required_followups, end_in_error
from caseapp.domain.followups.queries import (
    find_newest_episode,
    list_episode_kinds,
    list_hold_followups,
)
from caseapp.domain.practice.queries import local_day, local_now, today
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.screening.corrections import check_correction, derive_correction
from caseapp.domain.screening.events import (
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
    RecordedEvent,
    ScreeningInError,
    ScreeningRecorded,
    SecondPersonNamed,
)
from caseapp.domain.screening.marks import HOLD_KINDS, add_marks, list_marked, remove_marks
from caseapp.domain.screening.models import ClientSafety, SafetyEvent
from caseapp.domain.screening.proposals import (
    check_decided,
    check_lasting_since,
    keep_right_days,
    list_proposals,
)
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, SHORTEST_REASON, Level
from caseapp.domain.screening.queries import (
    get_current_safety,
    get_flag,
    list_safety_histories,
)
from caseapp.domain.screening.rules import (
    SESSION_IN_FUTURE,
    check_clear_flag,
    check_name_second_person,
    check_release,
    derive_flags,
    derive_required_actions,
    explain_missing_reason,
    list_episodes,
    list_stated,
    list_steep_falls,
    opens_safety_hold,
    starts_episode,
)
from caseapp.domain.screening.schemas import NewScreening, merge_levels
from caseapp.domain.screening.sealing import CurrentSafety, seal_events, seal_state
from caseapp.domain.screening.state import apply, fold
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import require_active

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.corrections import Correction
    from caseapp.domain.screening.events import Fact
    from caseapp.domain.screening.queries import LockedHold, LockedScreening
    from caseapp.domain.screening.schemas import Decisions, Hold, NewException
    from caseapp.domain.screening.state import DerivedState

INSERT_EVENTS = sa.insert(SafetyEvent.__table__)  # type: ignore[arg-type]
INSERT_STATES = sa.insert(ClientSafety.__table__)  # type: ignore[arg-type]
UPDATE_STATE = sa.update(ClientSafety.__table__).where(  # type: ignore[arg-type]
    ClientSafety.client_id == sa.bindparam("of")
)
DERIVED_AT_ONCE = 500
NO_REPEATS: Mapping[str, UUID] = {}


def record_screening(
    actor: Actor,
    client: LockedClient,
    new: NewScreening,
    *,
    note_id: UUID | None = None,
    session_at: datetime | None = None,
    repeats: Mapping[str, UUID] = NO_REPEATS,
) -> UUID:
    """Record a screening with the holds, flags and tasks that it requires, in one transaction.

    When a hold of the required kind is already open, the reasons are added to it. `session_at` is when it was asked,
    by default now. `repeats` are the answers and circumstances, by key, that an earlier screening has recorded already:
    they require nothing more. Raises Invalid when nothing was asked or ticked, for a session in the future, for an item
    that is said to have lasted since a day in the future or too long ago, and when a level falls steeply without a
    reason. Where a hold is opened, no reason is asked for: that never waits.
    """
    require(actor, Action.SCREENING_RECORD)
    answers = merge_levels(new.levels)
    if not (answers or new.circumstances):
        raise Invalid({"levels": ["Record at least one answer other than “Not asked”."]})
    screening_id, moment, current = new_id(), now(), get_current_safety(client.key)
    if session_at and session_at > moment:
        raise Invalid({"session_at": [SESSION_IN_FUTURE]})
    if new.lasting_since:
        check_lasting_since(new, today())
        new = keep_right_days(new, today())
    before = {item: answer.level for item, answer in current.state.answers.items()}
    at_least, stated = list_stated(
        new, before=before, known=current.state.circumstances, repeats=repeats
    )
    screening = ScreeningRecorded(
        note_id=note_id,
        session_at=session_at or moment,
        answers=answers,
        asked_alone=new.asked_alone,
        actions_taken=list(new.actions_taken),
        comment=new.comment,
        repeats={key: str(origin) for key, origin in repeats.items()},
        protocol=PROTOCOL.version,
        lasting_since=new.reported_days,
        circumstances=list(new.circumstances),
        at_least=at_least,
        below_reason=new.below_reason,
    )
    required = derive_required_actions(stated, local_now())
    if not required.holds:
        place = (screening_id, client.id, current.seq + 1, moment, actor.id)
        after = apply(current.state, RecordedEvent(*place, screening))
        _require_reason(new, list_steep_falls(current.state.answers, after.answers))
    if required.flags & UNSAFE_FLAGS:
        withdraw_contact_confirmation(client)
    active = {flag.kind for flag in current.state.flags}
    flags = [(new_id(), FlagSet(kind, "screening")) for kind in sorted(required.flags - active)]
    known = {
        hold.kind: {reason["item"] for reason in hold.standing} for hold in current.state.holds
    }
    is_new = starts_episode(stated, required.holds, known)
    open_holds = {hold.kind: hold.id for hold in current.state.holds}
    holds, hold_facts = {}, []
    for kind, keys in sorted(required.holds.items()):
        reasons: list[dict[str, Any]] = [
            {"item": key, "level": stated[key], "screening": str(screening_id)} for key in keys
        ]
        event_id = new_id()
        holds[kind] = open_holds.get(kind, event_id)
        fact = (
            HoldRenewed(holds[kind], reasons) if kind in open_holds else HoldOpened(kind, reasons)
        )
        hold_facts.append((event_id, fact))
    _append(actor, client, current, [(screening_id, screening), *flags, *hold_facts])
    for flag_id, _ in flags:
        _record(actor, Action.FLAG_SET, "flag", flag_id, client)
    for hold_id in holds.values():
        _record(actor, Action.HOLD_OPEN, "hold", hold_id, client)
    if required.holds:
        # One alert, of the most urgent kind.
        raise_alert(actor, client, min(required.holds, key=KINDS.index))
    _create_tasks(actor, client, current, stated, holds, screening_id, is_new=is_new)
    _record(actor, Action.SCREENING_RECORD, "screening", screening_id, client)
    return screening_id


def _create_tasks(
    actor: Actor,
    client: LockedClient,
    current: CurrentSafety,
    stated: Mapping[str, int],
    holds: Mapping[str, UUID],
    screening_id: UUID,
    *,
    is_new: bool,
) -> None:
    """Create the tasks of a screening's levels; it opened or renewed `holds`, given by kind, and may start an episode.

    They belong to the strictest hold. Without an episode of their own, they go on in the newest one of each hold:
    another hold waits for its own actions too, where its newest episode is not the same. A recheck alone belongs to the
    screening, so it blocks no release.
    """
    required = derive_required_actions(stated, local_now())
    for kind, hold_id in sorted(holds.items(), reverse=True):
        levels = {key: stated[key] for key in required.holds[kind]}
        own = derive_required_actions(levels, local_now())
        create_required_followups(
            actor,
            client,
            (required if kind == max(holds) else own).tasks,
            assigned_to=actor.id,
            origin_kind="hold",
            origin_id=hold_id,
            episode_id=screening_id if is_new else _find_episode(client, current, hold_id),
        )
    if not holds:
        create_required_followups(
            actor,
            client,
            required.tasks,
            assigned_to=actor.id,
            origin_kind="screening",
            origin_id=screening_id,
        )


def decide_proposals(actor: Actor, client: LockedClient, decisions: Decisions) -> None:
    """Decide about items that are proposed as concerns: record them as concerns, or why they are none.

    The concerns are one screening, with all that it requires. Raises RuleBroken when one of the items isn't proposed.
    """
    require(actor, Action.SCREENING_RECORD)
    current, moment = get_current_safety(client.key), now()
    proposals = list_proposals(current.state, moment)
    check_decided((*decisions.concerns, *decisions.declined), proposals)
    if decisions.declined:
        facts = [
            (new_id(), ProposalDeclined(item, reason))
            for item, reason in decisions.declined.items()
        ]
        _append(actor, client, current, facts)
        for event_id, _ in facts:
            _record(actor, Action.SCREENING_RECORD, "proposal", event_id, client)
    if decisions.concerns:
        since = {found.item: local_day(found.lasts_since) for found in proposals}
        lasted = [
            f"{ITEMS_BY_KEY[item].label}: at Watch or above since {since[item].isoformat()}."
            for item in decisions.concerns
        ]
        levels: dict[str, int | None] = dict.fromkeys(decisions.concerns, Level.CONCERN)
        comment = "\n".join(filter(None, [*lasted, decisions.comment]))
        record_screening(actor, client, NewScreening(levels, comment=comment))


def _require_reason(new: NewScreening, falls: Mapping[str, tuple[int, int]]) -> None:
    """Require a written reason when levels fall steeply.

    Raises Invalid.
    """
    if falls and count_visible(new.below_reason) < SHORTEST_REASON:
        raise Invalid({"below_reason": [explain_missing_reason(falls)]})


def ensure_flag(actor: Actor, client: LockedClient, kind: str, *, source: str) -> bool:
    """Set a flag unless it is already set, and tell whether it is new; one that answers have set stands alone then.

    A flag that makes sending unsafe also withdraws the confirmation of the safe ways of contact.
    """
    if kind in UNSAFE_FLAGS:
        withdraw_contact_confirmation(client)
    current = get_current_safety(client.key)
    if active := next((flag for flag in current.state.flags if flag.kind == kind), None):
        if active.source == "screening" and not active.stands_alone:
            confirmed = FlagConfirmed(active.id, source)
            _append(actor, client, current, [(new_id(), confirmed)])
            _record(actor, Action.FLAG_SET, "flag", active.id, client)
        return False
    flag_id = new_id()
    _append(actor, client, current, [(flag_id, FlagSet(kind, source))])
    _record(actor, Action.FLAG_SET, "flag", flag_id, client)
    return True


def set_manual_flag(actor: Actor, client: LockedClient, kind: str) -> None:
    """Set a flag by hand; setting it again changes nothing, unless answers have set it."""
    require(actor, Action.FLAG_SET)
    ensure_flag(actor, client, kind, source="person")


def clear_flag(actor: Actor, client: LockedClient, flag_id: UUID, reason: str) -> None:
    """Clear a client's flag with a written reason; supervisors only.

    Raises NotFound, or RuleBroken when it is already cleared or has to stay.
    """
    require(actor, Action.FLAG_CLEAR)
    flag, current = get_flag(client.id, flag_id), get_current_safety(client.key)
    check_clear_flag(client, flag, current.state)
    cleared = FlagCleared(flag.id, reason)
    _append(actor, client, current, [(new_id(), cleared)])
    _record(actor, Action.FLAG_CLEAR, "flag", flag.id, client)


def release_hold(actor: Actor, locked: LockedHold, reason: str, version: int) -> None:
    """Release a hold with a written reason when nothing blocks it; supervisors only.

    Raises RuleBroken with every blocker, or Stale when the hold has changed since `version`.
    """
    require(actor, Action.HOLD_RELEASE)
    check_release(actor, locked, now())
    hold = locked.hold
    if hold.version != version:
        raise Stale
    released = HoldReleased(hold.id, reason)
    _append(actor, locked, get_current_safety(locked.key), [(new_id(), released)])
    _record(actor, Action.HOLD_RELEASE, "hold", hold.id, locked)


def name_second_person(actor: Actor, locked: LockedHold, user_id: UUID, version: int) -> None:
    """Name the supervisor who may release a hold, also of another team; naming them again changes nothing.

    They can read the hold and release it, until it is released or another one is named. Raises RuleBroken unless they
    are an active supervisor who recorded none of its screenings, or Stale when the hold has changed since `version`.
    """
    require(actor, Action.HOLD_NAME)
    user = db.session.get(User, user_id)
    is_supervisor = user is not None and user.role == Role.SUPERVISOR and user.disabled_at is None
    check_name_second_person(locked, user_id, is_supervisor=is_supervisor)
    hold = locked.hold
    if hold.version != version:
        raise Stale
    if hold.second_person_id == user_id:
        return
    named = SecondPersonNamed(hold.id, user_id)
    _append(actor, locked, get_current_safety(locked.key), [(new_id(), named)])
    record(
        actor,
        Action.HOLD_NAME,
        "hold",
        hold.id,
        client_id=hold.client_id,
        details={"user": str(user_id)},
    )


def record_allowed_handout(
    actor: Actor, client: LockedClient, hold: Hold, new: NewException, version: int
) -> None:
    """Record that a handout, which only an open care hold bars, is allowed in a case; it replaces an earlier one.

    Raises Stale when the hold has changed since `version`.
    """
    require(actor, Action.HOLD_ALLOW)
    if hold.version != version:
        raise Stale
    allowed = HandoutAllowed(hold.id, new.handout, new.case_id, new.reason)
    _append(actor, client, get_current_safety(client.key), [(new_id(), allowed)])
    record(actor, Action.HOLD_ALLOW, "hold", hold.id, client_id=client.id)


def mark_in_error(actor: Actor, locked: LockedScreening, reason: str) -> None:
    """Mark a screening as recorded in error with a written reason: none of its answers counts any more.

    Everything is derived again without them. A hold without another reason ends, and so does a flag that nothing else
    has set; the open tasks of its episode end. What an earlier answer demands that counts again begins anew: its hold,
    flags and tasks. Everybody who must know is alerted. Raises RuleBroken.
    """
    require(actor, Action.SCREENING_CORRECT)
    moment = now()
    check_correction(actor, locked, moment)
    screening, history, client = locked.screening, locked.history, locked.client
    correction = derive_correction(history, screening)
    facts: list[tuple[UUID, Fact]] = [(new_id(), ScreeningInError(screening.id, reason))]
    facts += [(new_id(), HoldInError(hold_id)) for hold_id in correction.holds]
    facts += [(new_id(), FlagInError(flag_id)) for flag_id in correction.flags]
    flags = [
        (new_id(), FlagSet(kind, "screening", screening_id))
        for kind, screening_id in sorted(correction.flags_to_set.items())
    ]
    holds, hold_facts = _restore_holds(correction, moment)
    facts += [*flags, *hold_facts]
    restored = {
        item: answer.level
        for answers in correction.restored.values()
        for item, answer in answers.items()
    }
    if (correction.flags_to_set.keys() | derive_flags(restored)) & UNSAFE_FLAGS:
        withdraw_contact_confirmation(client)
    before = CurrentSafety(len(history.events), history.tag, correction.before)
    _append(actor, client, before, facts, fold(history.events))
    for flag_id, _ in flags:
        _record(actor, Action.FLAG_SET, "flag", flag_id, client)
    for hold_id in holds.values():
        _record(actor, Action.HOLD_OPEN, "hold", hold_id, client)
    ended = end_in_error(actor, client, screening.id, correction.holds)
    coach_id = find_coach_id(client.id) or actor.id
    _create_restored_tasks(actor, client, correction, holds, coach_id)
    _restore_tasks(actor, client, correction, ended, coach_id)
    is_safety = any(opens_safety_hold(*answer) for answer in screening.counting.items())
    # One alert, of the most urgent kind.
    kinds = {"safety_in_error" if is_safety else "in_error", *holds}
    raise_alert(actor, client, min(kinds, key=KINDS.index))
    _record(actor, Action.SCREENING_CORRECT, "screening", screening.id, client)


def _restore_holds(
    correction: Correction, moment: datetime
) -> tuple[dict[str, UUID], list[tuple[UUID, Fact]]]:
    """Return, by kind, the holds that open or get further reasons with a correction at a moment, and their events."""
    open_holds = {
        hold.kind: hold.id for hold in correction.before.holds if hold.id not in correction.holds
    }
    holds: dict[str, UUID] = {}
    facts: list[tuple[UUID, Fact]] = []
    for kind, answers in sorted(correction.restored.items()):
        reasons: list[dict[str, Any]] = [
            {
                "item": item,
                "level": answer.level,
                "screening": str(answer.screening_id),
                "restored_at": moment.isoformat(),
            }
            for item, answer in answers.items()
        ]
        event_id = new_id()
        holds[kind] = open_holds.get(kind, event_id)
        facts.append(
            (
                event_id,
                HoldRenewed(holds[kind], reasons)
                if kind in open_holds
                else HoldOpened(kind, reasons),
            )
        )
    return holds, facts


def _create_restored_tasks(
    actor: Actor,
    client: LockedClient,
    correction: Correction,
    holds: Mapping[str, UUID],
    coach_id: UUID,
) -> None:
    """Create, from now on, the tasks of the answers that demand a hold again, in the episode of their screening."""
    for kind, answers in correction.restored.items():
        levels = {item: answer.level for item, answer in answers.items()}
        newest = max(answers.values(), key=lambda answer: answer.session_at)
        create_required_followups(
            actor,
            client,
            derive_required_actions(levels, local_now()).tasks,
            assigned_to=coach_id,
            origin_kind="hold",
            origin_id=holds[kind],
            episode_id=newest.screening_id,
        )


def _restore_tasks(
    actor: Actor,
    client: LockedClient,
    correction: Correction,
    ended: set[str],
    coach_id: UUID,
) -> None:
    """Create the tasks that later screenings did not get, because those of the one in error were open already.

    A screening that went on in its episode gets an episode of its own: with everything that it requires when it now
    starts one, otherwise with what ended and isn't open in another episode of its hold.
    """
    staying = {
        hold.kind: hold for hold in correction.before.holds if hold.id not in correction.holds
    }
    known = list_episode_kinds(client.id)
    for screening in correction.later:
        required = derive_required_actions(screening.counting, local_now())
        kinds = [kind for kind in required.holds if kind in staying]
        if kinds and screening.id in correction.episodes:
            had = known.get(screening.id, set())
            wanted = {max(kinds): required.tasks.keys() - had}
        elif kinds:
            lost = ended - known.get(screening.id, set())
            wanted = {
                kind: _list_lost(client, hold, screening.id, lost) for kind, hold in staying.items()
            }
        elif screening.id == correction.later[-1].id:
            wanted = {"": required.tasks.keys() & ended}
        else:
            continue
        for kind, tasks in sorted(wanted.items(), reverse=True):
            create_required_followups(
                actor,
                client,
                {task: due for task, due in required.tasks.items() if task in tasks},
                assigned_to=coach_id,
                origin_kind="hold" if kind else "screening",
                origin_id=staying[kind].id if kind else screening.id,
                episode_id=screening.id if kind else None,
            )


def _list_lost(client: LockedClient, hold: Hold, screening_id: UUID, ended: set[str]) -> set[str]:
    """List the kinds of tasks that a screening required for a hold, have ended, and are not open there."""
    levels = {
        reason["item"]: reason["level"]
        for reason in hold.standing
        if UUID(reason["screening"]) == screening_id
    }
    lost = ended & derive_required_actions(levels, local_now()).tasks.keys()
    if not lost:
        return set()
    rows = list_hold_followups(client.id, {hold.id: list_episodes(hold)})
    return lost - {row.kind for row in rows if row.completed_at is None}


def _find_episode(client: LockedClient, current: CurrentSafety, hold_id: UUID) -> UUID | None:
    """Find the newest episode inside an open hold that was not recorded in error."""
    reasons = next((hold.reasons for hold in current.state.holds if hold.id == hold_id), [])
    in_error = {UUID(reason["screening"]) for reason in reasons if reason.get("in_error")}
    standing = {UUID(reason["screening"]) for reason in reasons} - in_error
    return find_newest_episode(client.id, hold_id, standing, but=in_error)


def mark_open_holds(client: LockedClient) -> None:
    """Mark a client's open holds and proposals for whoever has joined the care team, and for their supervisor."""
    if marked := list_marked(get_current_safety(client.key).state, client.id):
        add_marks(marked, client.id)


def remove_proposal_marks(client: LockedClient) -> None:
    """Remove the marks of what is proposed about a client whose case closes; `mark_open_holds` adds them again."""
    marked = list_marked(get_current_safety(client.key).state, client.id)
    if proposed := {each for each in marked if each.kind not in HOLD_KINDS}:
        remove_marks(proposed, client.id)


def derive_missing_states() -> int:
    """Derive the states of the next clients whose events have none, as a migration leaves them, and mark their holds.

    Returns the number of clients; 0 when none is left. Raises SealBroken when an event was changed, moved or removed.
    """
    has_state = sa.exists().where(ClientSafety.client_id == SafetyEvent.client_id)
    missing = sa.select(SafetyEvent.client_id).where(SafetyEvent.seq == 1, ~has_state)
    client_ids = db.session.scalars(missing.limit(DERIVED_AT_ONCE)).all()
    rows = []
    for history in list_safety_histories(client_ids, without_state=True).values():
        current = CurrentSafety(len(history.events), history.tag, fold(history.events))
        rows.append({"client_id": history.client_id, **seal_state(current, history.key)})
        if marked := list_marked(current.state, history.client_id):
            add_marks(marked, history.client_id)
    if rows:
        db.session.connection().execute(INSERT_STATES, rows)
    return len(rows)


def _append(
    actor: Actor,
    client: LockedClient | LockedHold,
    current: CurrentSafety,
    facts: Sequence[tuple[UUID, Fact]],
    stored: DerivedState | None = None,
) -> None:
    """Append facts with their ids to the events of a locked client, whose state `current` was read after the lock.

    `stored` is the state that was stored, when the one to which the facts are added is another. Raises Unauthenticated
    for somebody whose account has been disabled meanwhile: they couldn't be responsible.
    """
    require_active(actor)
    key = client.key
    rows, after = seal_events(current, key, actor.id, now(), facts)
    db.session.connection().execute(INSERT_EVENTS, rows)
    if current.seq:
        run(UPDATE_STATE, of=key.client_id, **seal_state(after, key))
    else:
        run(INSERT_STATES, client_id=key.client_id, **seal_state(after, key))
    stood = stored or current.state
    _change_second_people(stood.holds, after.state.holds, key.client_id)
    before = list_marked(stood, key.client_id)
    now_marked = list_marked(after.state, key.client_id)
    if new := now_marked - before:
        add_marks(new, key.client_id)
    if old := before - now_marked:
        remove_marks(old, key.client_id)


def _change_second_people(before: Iterable[Hold], after: Iterable[Hold], client_id: UUID) -> None:
    """Let whoever is named for an open hold into the client's care team, and whoever is no more out of it."""
    were, are = (
        {hold.second_person_id for hold in holds if hold.second_person_id}
        for holds in (before, after)
    )
    for user_id in were - are:
        leave_for(client_id, user_id, SECOND_PERSON)
    for user_id in are - were:
        join_for(client_id, user_id, SECOND_PERSON)


def _record(
    actor: Actor,
    action: Action,
    kind: str,
    object_id: UUID,
    client: LockedClient | LockedHold,
) -> None:
    """Record who did what to which record; which kind of hold or flag it is stays sealed."""
    record(actor, action, kind, object_id, client_id=client.key.client_id)
