"""Operations on screenings, proposals and flags: every change appends to the client's safety events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.errors import Invalid
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.text import count_written
from caseapp.domain.alerts.codes import KINDS
from caseapp.domain.alerts.operations import raise_alert
from caseapp.domain.alerts.recipients import get_escalation
from caseapp.domain.audit.operations import record, record_safety
from caseapp.domain.clients.operations import withdraw_contact_confirmation
from caseapp.domain.clients.queries import lock_team
from caseapp.domain.clients.rules import UNSAFE_FLAGS
from caseapp.domain.followups.operations import create_required_followups
from caseapp.domain.followups.queries import find_newest_episode
from caseapp.domain.practice.queries import local_day, today
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.events import (
    FlagCleared,
    FlagConfirmed,
    FlagSet,
    HoldOpened,
    HoldRenewed,
    ProposalDeclined,
    RecordedEvent,
    ScreeningRecorded,
)
from caseapp.domain.screening.proposals import (
    check_decided,
    check_lasting_since,
    keep_right_days,
    list_proposals,
)
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, SHORTEST_REASON, Level
from caseapp.domain.screening.queries import get_flag
from caseapp.domain.screening.records import merge_levels
from caseapp.domain.screening.rules import (
    SESSION_IN_FUTURE,
    check_clear_flag,
    derive_required_actions,
    explain_missing_reason,
    list_ever_at_least,
    list_stated,
    list_steep_falls,
    starts_episode,
)
from caseapp.domain.screening.schemas import NewScreening
from caseapp.domain.screening.state import apply, make_screening
from caseapp.domain.screening.stream import append

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from caseapp.domain.clients.queries import LockedClient, TeamAccounts
    from caseapp.domain.screening.events import Fact
    from caseapp.domain.screening.records import ScreeningRecord
    from caseapp.domain.screening.rules import RequiredActions
    from caseapp.domain.screening.schemas import Decisions
    from caseapp.domain.screening.sealing import CurrentSafety

NO_REPEATS: Mapping[str, UUID] = {}


def record_screening(
    actor: Actor,
    client: LockedClient,
    new: NewScreening,
    *,
    note_id: UUID | None = None,
    session_at: datetime | None = None,
    repeats: Mapping[str, UUID] = NO_REPEATS,
    current: CurrentSafety | None = None,
) -> ScreeningRecord:
    """Record a screening with the holds, flags and tasks that it requires, in one transaction.

    When a hold of the required kind is already open, the reasons are added to it. `session_at` is when it was asked,
    by default now. `repeats` are the answers and circumstances, by key, that an earlier screening has recorded already:
    they require nothing more. `current` is the client's state as read after the lock, where that was done already.
    Raises Invalid when nothing was asked or ticked, for a session in the future, for an item that is said to have
    lasted since a day in the future or too long ago, and when a level falls steeply without a reason. Where a hold is
    opened, no reason is asked for: that never waits.
    """
    require(actor, Action.SCREENING_RECORD)
    answers = merge_levels(new.levels)
    if not (answers or new.circumstances):
        raise Invalid({"levels": ["Record at least one answer other than “Not asked”."]})
    screening_id, moment, team = new_id(), now(), lock_team(client.id)
    current = current or get_current_safety(client.key)
    if session_at and session_at > moment:
        raise Invalid({"session_at": [SESSION_IN_FUTURE]})
    if new.lasting_since:
        check_lasting_since(new, today())
        new = keep_right_days(new, today())
    before = {item: answer.level for item, answer in current.state.answers.items()}
    known_before = current.state.circumstances
    at_least, stated = list_stated(new, before=before, known=known_before, repeats=repeats)
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
        ever_at_least=list_ever_at_least(new, before=before, known=known_before, repeats=repeats),
    )
    escalation = get_escalation(client.id)
    local = moment.astimezone(ZoneInfo(escalation.zone))
    required = derive_required_actions(stated, local)
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
    facts: list[tuple[UUID, Fact]] = [(screening_id, screening), *flags, *hold_facts]
    recorded_at = append(actor, client, current, facts, team=team)
    for flag_id, _ in flags:
        record_safety(actor, Action.FLAG_SET, "flag", flag_id, client.key)
    for hold_id in holds.values():
        record_safety(actor, Action.HOLD_OPEN, "hold", hold_id, client.key)
    record(actor, Action.SCREENING_RECORD, "screening", screening_id, client_id=client.id)
    if required.holds:
        # One alert, of the most urgent kind.
        raise_alert(actor, client, min(required.holds, key=KINDS.index), escalation)
    tasks = _list_tasks(required, stated, local)
    _create_tasks(actor, client, current, tasks, holds, screening_id, team, is_new=is_new)
    place = (screening_id, client.id, current.seq + 1, recorded_at, actor.id)
    return make_screening(RecordedEvent(*place, screening), known=known_before)


def _list_tasks(
    required: RequiredActions, stated: Mapping[str, int], local: datetime
) -> dict[str, dict[str, datetime]]:
    """List the tasks that a screening's levels require by the kind of hold, or by "" without one, with their due times.

    All of them belong to the strictest hold; another hold waits for its own too. `local` is when the screening is
    recorded, in the practice's time zone.
    """
    kinds = sorted(required.holds, reverse=True) or [""]
    found = {kinds[0]: required.tasks}
    for kind in kinds[1:]:
        levels = {key: stated[key] for key in required.holds[kind]}
        found[kind] = derive_required_actions(levels, local).tasks
    return found


def _create_tasks(
    actor: Actor,
    client: LockedClient,
    current: CurrentSafety,
    tasks: Mapping[str, dict[str, datetime]],
    holds: Mapping[str, UUID],
    screening_id: UUID,
    team: TeamAccounts,
    *,
    is_new: bool,
) -> None:
    """Create the tasks that a screening requires, which opened or renewed `holds`, given by kind.

    Unless it starts an episode, they go on in the newest one of each hold: another hold waits for its own actions too,
    where its newest episode is not the same. A recheck alone belongs to the screening, so it blocks no release.
    """
    opened: list[str] = []
    for kind, wanted in tasks.items():
        hold_id, episode_id = holds.get(kind), None
        if hold_id is not None:
            episode_id = screening_id if is_new else _find_episode(client, current, hold_id)
        opened += create_required_followups(
            actor,
            client,
            wanted,
            assigned_to=actor.id,
            origin_kind="screening" if hold_id is None else "hold",
            origin_id=hold_id or screening_id,
            episode_id=episode_id,
            latest_at=current.state.latest_at,
            open_kinds=opened if is_new else None,
            team=team,
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
        append(actor, client, current, facts)
        for event_id, _ in facts:
            record(actor, Action.SCREENING_RECORD, "proposal", event_id, client_id=client.id)
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
    if falls and count_written(new.below_reason) < SHORTEST_REASON:
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
            append(actor, client, current, [(new_id(), confirmed)])
            record_safety(actor, Action.FLAG_SET, "flag", active.id, client.key)
        return False
    flag_id = new_id()
    append(actor, client, current, [(flag_id, FlagSet(kind, source))])
    record_safety(actor, Action.FLAG_SET, "flag", flag_id, client.key)
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
    append(actor, client, current, [(new_id(), cleared)])
    record_safety(actor, Action.FLAG_CLEAR, "flag", flag.id, client.key)


def _find_episode(client: LockedClient, current: CurrentSafety, hold_id: UUID) -> UUID | None:
    """Find the newest episode inside an open hold that was not recorded in error."""
    reasons = next((hold.reasons for hold in current.state.holds if hold.id == hold_id), [])
    in_error = {UUID(reason["screening"]) for reason in reasons if reason.get("in_error")}
    standing = {UUID(reason["screening"]) for reason in reasons} - in_error
    return find_newest_episode(client.id, hold_id, standing, but=in_error)
