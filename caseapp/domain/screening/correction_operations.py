"""Marking a screening as recorded in error, and beginning anew what earlier answers then demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.domain.alerts.codes import KINDS
from caseapp.domain.alerts.operations import raise_alert
from caseapp.domain.alerts.recipients import get_escalation
from caseapp.domain.audit.operations import record, record_safety
from caseapp.domain.clients.operations import withdraw_contact_confirmation
from caseapp.domain.clients.queries import find_coach_id
from caseapp.domain.clients.rules import UNSAFE_FLAGS
from caseapp.domain.followups.operations import create_required_followups, end_in_error
from caseapp.domain.followups.queries import list_episode_kinds, list_hold_tasks
from caseapp.domain.practice.queries import local_now
from caseapp.domain.screening.corrections import check_correction, derive_correction
from caseapp.domain.screening.events import (
    FlagInError,
    FlagSet,
    HoldInError,
    HoldOpened,
    HoldRenewed,
    ScreeningInError,
)
from caseapp.domain.screening.rules import (
    derive_flags,
    derive_required_actions,
    list_episodes,
    opens_safety_hold,
)
from caseapp.domain.screening.sealing import CurrentSafety
from caseapp.domain.screening.state import fold
from caseapp.domain.screening.stream import append

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.corrections import Correction
    from caseapp.domain.screening.events import Fact
    from caseapp.domain.screening.queries import LockedScreening
    from caseapp.domain.screening.records import Hold


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
    append(actor, client, before, facts, fold(history.events))
    for flag_id, _ in flags:
        record_safety(actor, Action.FLAG_SET, "flag", flag_id, client.key)
    for hold_id in holds.values():
        record_safety(actor, Action.HOLD_OPEN, "hold", hold_id, client.key)
    ended = end_in_error(actor, client, screening.id, correction.holds)
    coach_id = find_coach_id(client.id) or actor.id
    _create_restored_tasks(actor, client, correction, holds, coach_id)
    _restore_tasks(actor, client, correction, ended, coach_id)
    _ask_again(actor, client, correction, coach_id)
    is_safety = any(opens_safety_hold(*answer) for answer in screening.counting.items())
    # One alert, of the most urgent kind.
    kinds = {"safety_in_error" if is_safety else "in_error", *holds}
    raise_alert(actor, client, min(kinds, key=KINDS.index), get_escalation(client.id))
    record(actor, Action.SCREENING_CORRECT, "screening", screening.id, client_id=client.id)


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
            latest_at=correction.before.latest_at,
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
    known = list_episode_kinds(client.key)
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
                latest_at=correction.before.latest_at,
            )


def _ask_again(actor: Actor, client: LockedClient, correction: Correction, coach_id: UUID) -> None:
    """Create, from now on, the tasks of answers below a hold that count again, unless they are open."""
    answers = correction.asked_again
    if not answers:
        return
    newest = max(answers.values(), key=lambda answer: answer.session_at)
    levels = {item: answer.level for item, answer in answers.items()}
    create_required_followups(
        actor,
        client,
        derive_required_actions(levels, local_now()).tasks,
        assigned_to=coach_id,
        origin_kind="screening",
        origin_id=newest.screening_id,
        latest_at=correction.before.latest_at,
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
    tasks = list_hold_tasks(client.key, {hold.id: list_episodes(hold)})
    return lost - {task.kind for task in tasks if task.completed_at is None}
