"""Operations on intakes that need a supervisor: ask, decide, open the case, delete those whose time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, refuse_for
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.schemas import dump_case
from caseapp.domain.clients.matches import DecidedMatches, list_denied
from caseapp.domain.clients.operations import create_client
from caseapp.domain.clients.queries import dump_client, lock_client
from caseapp.domain.intakes.models import Intake
from caseapp.domain.intakes.queries import (
    count_waiting,
    find_intake_matches,
    identify_intake,
    is_kept,
    seal_part,
)
from caseapp.domain.intakes.rules import (
    check_decision,
    check_opening,
    list_asking_blockers,
    list_unshown_blockers,
)
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.practice.queries import lock_practice_row
from caseapp.domain.users.queries import find_supervisor_id

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.intakes.queries import LockedIntake
    from caseapp.domain.intakes.schemas import EnteredIntake, IntakeDecision


def put_to_supervisor(actor: Actor, entered: EnteredIntake) -> UUID:
    """Keep an intake for the coach until a supervisor has decided, and return its id.

    Nothing is compared here, so that asking tells nobody who is a client. Raises RuleBroken.
    """
    require(actor, Action.CONFLICT_ASK)
    lock_practice_row()
    has_supervisor = find_supervisor_id(actor.id) is not None
    waiting = count_waiting(actor)
    refuse_for(list_asking_blockers(has_supervisor=has_supervisor, waiting=waiting))
    number = get_ring_key("drafts").number
    intake = Intake(id=new_id(), asked_by=actor.id, asked_at=now(), ring_number=number)
    words = {"client": dump_client(entered.client), "case": dump_case(entered.case)}
    intake.words = seal_part(intake, "words", words)
    db.session.add(intake)
    db.session.flush()
    record(actor, Action.CONFLICT_ASK, "intake", intake.id)
    return intake.id


def ask_again(actor: Actor, intake: LockedIntake, entered: EnteredIntake) -> UUID:
    """Put an intake to a supervisor as it is entered now, in place of what was asked; return the id of the new one.

    What was decided counts no longer. Raises NotFound for anybody but the coach, and RuleBroken.
    """
    _forget_own(actor, intake)
    return put_to_supervisor(actor, entered)


def decide_intake(actor: Actor, intake: LockedIntake, decision: IntakeDecision) -> None:
    """Allow an intake although it fits other records, or refuse it.

    A decision is about the clients who match now, who all were shown: when others match later, it needs another one.
    Raises NotFound where the supervisor must not see one of these, and RuleBroken when one was not shown or there is a
    decision already.
    """
    require(actor, Action.CONFLICT_DECIDE)
    check_decision(intake, actor.id)
    found = find_intake_matches(intake.record)
    if found and list_denied(actor, found):
        raise NotFound
    refuse_for(list_unshown_blockers(found, decision.shown))
    row = intake.row
    row.is_allowed = decision.is_allowed
    row.decided_at, row.decided_by = now(), actor.id
    row.about = seal_part(row, "about", sorted(other.hex for other in found))
    db.session.flush()
    details = {"allowed": decision.is_allowed}
    record(actor, Action.CONFLICT_DECIDE, "intake", row.id, details=details)


def open_intake(actor: Actor, intake: LockedIntake, entered: EnteredIntake) -> UUID:
    """Create the client and the case of an intake, as its coach has entered them by now; return the case's id.

    What a supervisor has allowed needs no decision, as long as nothing has changed that is compared; what else fits
    does, see `create_client`. Raises NotFound for anybody but the coach, and RuleBroken.
    """
    require(actor, Action.CLIENT_CREATE)
    check_opening(intake)
    allowed = None
    if intake.row.decided_by:
        identity = identify_intake(intake.record)
        allowed = DecidedMatches(intake.row.decided_by, identity, intake.decided_about)
    _forget_own(actor, intake)
    client_id = create_client(
        actor, entered.client, coach_id=actor.id, agreed=entered.agreed, allowed=allowed
    )
    return open_case(actor, lock_client(actor, client_id), entered.case, coach_id=actor.id)


def _forget_own(actor: Actor, intake: LockedIntake) -> None:
    if intake.row.asked_by != actor.id:
        raise NotFound
    db.session.delete(intake.row)
    db.session.flush()


def delete_old_intakes() -> int:
    """Delete the intakes whose time is over and return how many there were."""
    done = db.session.execute(sa.delete(Intake).where(sa.not_(is_kept())))
    return cast("sa.CursorResult[Any]", done).rowcount
