"""Operations on erasures: request one, decide about it, and what follows outside the database."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
import structlog

from caseapp.core.actor import SYSTEM_ID, Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, empty_journal
from caseapp.core.errors import refuse_for
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import after_commit, locked_clients
from caseapp.core.vault import vault_key_ids
from caseapp.domain.audit.checkpoints import is_list_cut
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.tombstones import TombstoneBroken, add_tombstones
from caseapp.domain.erasure.codes import (
    DONE,
    HOLDING,
    REFUSED,
    REQUESTED,
    RETENTION,
    WITHDRAWN,
)
from caseapp.domain.erasure.models import Erasure
from caseapp.domain.erasure.queries import list_done
from caseapp.domain.erasure.rules import (
    check_decision,
    check_erasure,
    check_request,
    check_withdrawal,
)
from caseapp.domain.erasure.schemas import as_utc, describe_certificate, hash_certificate
from caseapp.domain.erasure.treatments import erase_rows
from caseapp.domain.legal_holds.operations import end_returned_holds, place_for_refusal
from caseapp.domain.legal_holds.queries import lock_legal_holds_of
from caseapp.domain.legal_holds.rules import check_return
from caseapp.domain.merges.queries import list_merged, list_survivors
from caseapp.domain.practice.queries import today
from caseapp.domain.retention.queries import find_term_of
from caseapp.domain.retention.rules import list_term_faults
from caseapp.domain.screening.marks import remove_all_marks
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from caseapp.domain.audit.tombstones import Tombstone
    from caseapp.domain.erasure.queries import LockedErasure, LockedRecord

log = structlog.get_logger()


def request_erasure(actor: Actor, locked: LockedRecord, ground: str) -> UUID:
    """Request that a client's record is erased, about which somebody else decides; return the request's id.

    `ground` is a code of GROUNDS. Nothing is erased yet. A request that is outdated ends. Raises RuleBroken, see
    `check_request`, and for the ground of retention unless the record is due.
    """
    require(actor, Action.ERASURE_REQUEST)
    check_request(locked)
    _check_term(ground, locked.client_id, is_seen=True)
    if locked.matters.is_outdated:
        _end_request(actor, locked.client_id)
    row = Erasure(
        id=new_id(),
        client_id=locked.client_id,
        ground=ground,
        state=REQUESTED,
        requested_at=now(),
        requested_by=actor.id,
    )
    db.session.add(row)
    db.session.flush()
    _record(actor, Action.ERASURE_REQUEST, row)
    return row.id


def withdraw_erasure(actor: Actor, erasure: LockedErasure) -> None:
    """Withdraw a request of the actor's own.

    Raises RuleBroken for somebody else's, and for one that was decided.
    """
    require(actor, Action.ERASURE_REQUEST)
    check_withdrawal(erasure, actor.id)
    _decide(actor, erasure.row, WITHDRAWN)
    _record(actor, Action.ERASURE_REQUEST, erasure.row)


def refuse_erasure(actor: Actor, erasure: LockedErasure, refusal: str) -> None:
    """Keep a record that somebody wants erased; `refusal` is a code of REFUSALS.

    For the law or a claim a legal hold is placed on the record, unless there is one of this kind.

    Raises RuleBroken for a request of the actor's own, and for one that was decided.
    """
    require(actor, Action.ERASURE_DECIDE)
    check_decision(erasure, actor.id)
    if kind := HOLDING.get(refusal):
        place_for_refusal(actor, lock_legal_holds_of(erasure.row.client_id), kind)
    erasure.row.refusal = refusal
    _decide(actor, erasure.row, REFUSED)
    _record(actor, Action.ERASURE_DECIDE, erasure.row)


def erase_record(actor: Actor, erasure: LockedErasure) -> None:
    """Erase a client's record, as somebody else has requested: destroy the key, delete or empty what is plain.

    The request becomes the certificate. After the commit a tombstone is written outside the database. Raises
    RuleBroken, see `check_erasure`, and for the ground of retention unless the record is still due.
    """
    require(actor, Action.ERASURE_DECIDE)
    check_erasure(erasure, actor.id)
    _check_term(erasure.row.ground, erasure.row.client_id, is_seen=erasure.is_seen)
    assert erasure.record is not None  # noqa: S101 - the request waits
    row = erasure.row
    row.counts = _erase(erasure.record.client_id)
    row.vault_keys = [*vault_key_ids()]
    _decide(actor, row, DONE)
    _erase_merged(actor, row)
    _record(actor, Action.ERASURE_DECIDE, row)
    after_commit(_finish)


def repeat_erasure(actor: Actor, tombstone: Tombstone) -> None:
    """Erase again a client whom a tombstone names and an earlier database has brought back.

    Two people have decided about it before. The certificate is made anew, from what the tombstone says. Another request
    that this database still has about the client ends, and so does a legal hold from before the erasure, which had been
    lifted. Raises RuleBroken when one was placed since.
    """
    require(actor, Action.ERASURE_REPEAT)
    client_id = tombstone.client_id
    holds = lock_legal_holds_of(client_id)
    # A hold keeps what was merged into the record too, on which none can be placed.
    for kept_id in list_survivors(client_id):
        check_return(lock_legal_holds_of(kept_id), tombstone.erased_at)
    end_returned_holds(actor, holds, tombstone.erased_at)
    counts = _erase(client_id)
    row = db.session.get(Erasure, tombstone.erasure_id, populate_existing=True)
    db.session.execute(
        sa.update(Erasure)
        .where(
            Erasure.client_id == client_id,
            Erasure.state == REQUESTED,
            Erasure.id != tombstone.erasure_id,
        )
        .values(state=WITHDRAWN, decided_at=now())
    )
    if row is None or row.state != DONE:
        row = row or Erasure(id=tombstone.erasure_id, client_id=client_id)
        _fill_certificate(row, tombstone, counts)
        db.session.add(row)
    row.repeated_at, row.repeated_by = now(), None if actor.id == SYSTEM_ID else actor.id
    row.vault_keys, row.keys_gone_at = sorted({*row.vault_keys, *vault_key_ids()}), None
    db.session.flush()
    details = {"repeated": True, "rows": sum(counts.values())}
    action = Action.ERASURE_REPEAT
    record(actor, action, "erasure", row.id, client_id=client_id, details=details)
    after_commit(empty_journal)


def _fill_certificate(row: Erasure, tombstone: Tombstone, counts: dict[str, int]) -> None:
    """Fill in what a tombstone says of the erasure; somebody whom this database doesn't know is left out."""
    erased_at = f"{tombstone.erased_at:%Y-%m-%d %H:%M:%S}"
    found = tombstone.certificate or {
        "ground": None,
        "requested": [erased_at, None],
        "decided": [erased_at, None],
        "counts": counts,
    }
    (asked_at, asked_by), (decided_at, decided_by) = found["requested"], found["decided"]
    row.state, row.refusal, row.sha256 = DONE, None, tombstone.sha256
    row.ground, row.counts, row.vault_keys = found["ground"], found["counts"], tombstone.vault_keys
    row.requested_at, row.requested_by = as_utc(asked_at), _find_person(asked_by)
    row.decided_at, row.decided_by = as_utc(decided_at), _find_person(decided_by)


def _find_person(name: str | None) -> UUID | None:
    """Find the account that a tombstone names, which may be newer than this database."""
    return db.session.scalar(sa.select(User.id).where(User.id == UUID(hex=name))) if name else None


def note_keys_gone() -> None:
    """Note in the open transaction for each erasure since when none of the vault keys listed then is listed any more.

    It is taken back when one of them is listed again.
    """
    listed = {*vault_key_ids()}
    for row in list_done():
        if not listed.isdisjoint(row.vault_keys):
            row.keys_gone_at = None
        elif row.keys_gone_at is None:
            row.keys_gone_at = now()


def write_tombstones() -> None:
    """Write the tombstones that are missing; the worker does so again and again, in case an erasure was interrupted.

    Nothing is added to a list that was cut, since that would hide it. Raises TombstoneBroken.
    """
    if is_list_cut():
        raise TombstoneBroken
    add_tombstones(
        {
            "erasure": row.id.hex,
            "client": row.client_id.hex,
            "at": f"{row.decided_at:%Y-%m-%d %H:%M:%S}",
            "sha256": row.sha256 or hash_certificate(row),
            "certificate": describe_certificate(row),
            "vault_keys": row.vault_keys,
        }
        for row in list_done()
    )


def _check_term(ground: str | None, client_id: UUID, *, is_seen: bool) -> None:
    """Check that a record is due, if that is the ground; the caller holds the client's lock. Raises RuleBroken."""
    if ground == RETENTION:
        refuse_for(list_term_faults(find_term_of(client_id), today(), is_seen=is_seen))


def _erase(client_id: UUID) -> dict[str, int]:
    # Not by what the safety state says, which may not open.
    remove_all_marks(client_id)
    return erase_rows(client_id)


def _erase_merged(actor: Actor, row: Erasure) -> None:
    """Erase the records that were merged into an erased one, each with a certificate and a tombstone of its own.

    An earlier database may still have them, from before the merge.
    """
    for client_id in list_merged(row.client_id):
        # Nobody finds the record, so nobody else changes it.
        locked_clients().add(client_id)
        merged = Erasure(
            id=new_id(),
            client_id=client_id,
            ground=row.ground,
            state=DONE,
            requested_at=row.requested_at,
            requested_by=row.requested_by,
            decided_at=row.decided_at,
            decided_by=row.decided_by,
            counts=_erase(client_id),
            vault_keys=row.vault_keys,
        )
        db.session.add(merged)
        db.session.flush()
        _record(actor, Action.ERASURE_DECIDE, merged)


def _end_request(actor: Actor, client_id: UUID) -> None:
    waiting = db.session.scalars(
        sa.select(Erasure).where(Erasure.client_id == client_id, Erasure.state == REQUESTED)
    ).one()
    _decide(actor, waiting, WITHDRAWN)
    _record(actor, Action.ERASURE_REQUEST, waiting)


def _decide(actor: Actor, row: Erasure, state: str) -> None:
    row.state, row.decided_at, row.decided_by = state, now(), actor.id
    db.session.flush()


def _record(actor: Actor, action: Action, row: Erasure) -> None:
    details = {"state": row.state, "ground": row.ground}
    if row.refusal:
        details["refusal"] = row.refusal
    record(actor, action, "erasure", row.id, client_id=row.client_id, details=details)


def _finish() -> None:
    """Do what follows an erasure outside its transaction; what fails is left to the worker."""
    try:
        write_tombstones()
    except (OSError, TombstoneBroken) as fault:
        log.error("erasure.no_tombstone", fault=type(fault).__name__)  # noqa: TRY400 - the worker tries again
    empty_journal()
