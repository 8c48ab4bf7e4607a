"""Marks: rows that tell a person which of their clients need attention, and that tell nobody else anything.

There is one for each open hold and each person who may see the client: the coaches of the care team and their
supervisors. A client with items at watch has one for the week in which the first of them is proposed as a concern, if
nothing is recorded until then, and one while a declined proposal is not made again. Lists read the marks of one person,
then check again who may see the clients, and what their state says now.
"""

from __future__ import annotations

import hmac
import json
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.core.database import db, run_for_each
from caseapp.core.pagination import literal_limit
from caseapp.core.vault import SealBroken, seal_bound, unseal_bound
from caseapp.domain.clients.queries import lock_team
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.screening.models import ViewerMark
from caseapp.domain.screening.proposals import list_coming_proposals

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from caseapp.domain.clients.queries import TeamAccounts
    from caseapp.domain.screening.state import DerivedState

HOLD_KINDS = ("safety", "care")
"""The kinds of hold, the strictest first."""
PROPOSED, DECLINED = "proposed", "declined"
KINDS = (*HOLD_KINDS, PROPOSED, DECLINED)
INSERT_UNLESS_PRESENT = {
    name: dialect.insert(ViewerMark.__table__).on_conflict_do_nothing(index_elements=["id"])
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


@dataclass(frozen=True)
class Marked:
    """What a mark stands for: an open hold, or that a client's items are proposed or declined, with its week."""

    id: UUID
    kind: str
    week: int


@dataclass(frozen=True)
class Mark:
    """What a mark tells: a client of the person's has this open hold, or another thing of this kind."""

    client_id: UUID
    hold_id: UUID
    kind: str


def list_marked(state: DerivedState, client_id: UUID) -> set[Marked]:
    """List what is marked of a client in a state."""
    found = {Marked(hold.id, hold.kind, _week(hold.opened_at)) for hold in state.holds}
    coming = list_coming_proposals(state)
    if coming:
        found.add(_mark_of_items(client_id, PROPOSED, coming[0].proposed_at))
    declined = [proposal.raised.declined_at for proposal in coming if proposal.raised.declined_at]
    if declined:
        found.add(_mark_of_items(client_id, DECLINED, max(declined)))
    return found


def _mark_of_items(client_id: UUID, kind: str, moment: datetime) -> Marked:
    week = _week(moment)
    return Marked(uuid5(client_id, f"{kind} {week}"), kind, week)


def add_marks(marked: Iterable[Marked], client_id: UUID, team: TeamAccounts | None = None) -> None:
    """Mark something of a locked client for everybody who may see the client; marks that stand are left alone.

    `team` is the client's care team as this transaction has locked it; without it, it is locked here.
    """
    viewers = (team or lock_team(client_id)).viewers
    rows = [_make_row(each, client_id, viewer) for each in marked for viewer in viewers]
    if rows:
        run_for_each(INSERT_UNLESS_PRESENT[db.engine.dialect.name], rows)


def remove_marks(
    marked: Iterable[Marked], client_id: UUID, team: TeamAccounts | None = None
) -> None:
    """Remove marks of a locked client; `team` is as for `add_marks`."""
    viewers = (team or lock_team(client_id)).viewers
    ids = [_mark_id(each.id, viewer) for each in marked for viewer in viewers]
    db.session.execute(sa.delete(ViewerMark).where(ViewerMark.id.in_(ids)))


def remove_all_marks(client_id: UUID) -> None:
    """Remove every mark of a locked client by what the marks of the care team say, whatever the client's state says.

    A mark that doesn't open stays.
    """
    viewers = lock_team(client_id).viewers
    buckets = [_bucket(viewer, kind) for viewer in viewers for kind in KINDS]
    rows = db.session.execute(
        sa.select(ViewerMark.id, ViewerMark.sealed).where(ViewerMark.bucket.in_(buckets))
    )
    ids = []
    for row in rows:
        with suppress(SealBroken):
            if _open_mark(row.id, row.sealed, "").client_id == client_id:
                ids.append(row.id)
    db.session.execute(sa.delete(ViewerMark).where(ViewerMark.id.in_(ids)))


def list_marks(
    viewer: UUID,
    kinds: Collection[str],
    limit: int | None = None,
    *,
    covered: Collection[UUID] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Mark]:
    """List a person's marks, the strictest kind of hold first, then by the week of what is marked, newest first.

    `covered` are coaches for whom the person covers, whose marks are all listed too: which of their clients the
    person covers is known only once a mark is open. `limit` is the largest number of the person’s own marks of each
    kind. What was declined in a week before `since`, or is proposed in a week after `until`, is left out. The
    caller checks which of the clients the person may see.
    """
    parts = []
    for (rank, kind), own in product(enumerate(KINDS), (True, False)):
        viewers = (viewer,) if own else tuple(covered)
        if kind in kinds and viewers:
            of_kind = (
                sa.select(
                    sa.literal(rank).label("rank"),
                    ViewerMark.week,
                    ViewerMark.id,
                    ViewerMark.sealed,
                )
                .where(_in_buckets(viewers, kind))
                .order_by(ViewerMark.week.desc(), ViewerMark.id.desc())
            )
            if until is not None and kind == PROPOSED:
                of_kind = of_kind.where(ViewerMark.week <= _week(until))
            if since is not None and kind == DECLINED:
                of_kind = of_kind.where(ViewerMark.week >= _week(since))
            if limit is not None and own:
                of_kind = of_kind.limit(literal_limit(limit))
            parts.append(sa.select(of_kind.subquery()))
    marks = sa.union_all(*parts).subquery()
    order = (marks.c.rank, marks.c.week.desc(), marks.c.id.desc())
    rows = db.session.execute(sa.select(marks).order_by(*order))
    return [_open_mark(row.id, row.sealed, KINDS[row.rank]) for row in rows]


def _in_buckets(viewers: Sequence[UUID], kind: str) -> sa.ColumnElement[bool]:
    if len(viewers) == 1:
        return ViewerMark.bucket == _bucket(viewers[0], kind)
    return ViewerMark.bucket.in_([_bucket(viewer, kind) for viewer in viewers])


def _week(moment: datetime) -> int:
    year, week, _ = moment.isocalendar()
    return year * 100 + week


def _make_row(marked: Marked, client_id: UUID, viewer: UUID) -> dict[str, object]:
    mark_id = _mark_id(marked.id, viewer)
    content = {"client_id": client_id.hex, "hold_id": marked.id.hex}
    return {
        "id": mark_id,
        "bucket": _bucket(viewer, marked.kind),
        "week": marked.week,
        "sealed": seal_bound(
            json.dumps(content).encode(), _binding(mark_id), get_ring_key("safety")
        ),
    }


def _open_mark(mark_id: UUID, sealed: bytes, kind: str) -> Mark:
    content = json.loads(unseal_bound(sealed, _binding(mark_id), get_ring_key("safety")))
    return Mark(UUID(content["client_id"]), UUID(content["hold_id"]), kind)


def _binding(mark_id: UUID) -> bytes:
    return f"viewer_mark\x1f{mark_id.hex}".encode()


def _mark_id(hold_id: UUID, viewer: UUID) -> UUID:
    """Return the id of a mark: a keyed hash, so that only the application can tell whose and which it is."""
    return UUID(bytes=_keyed_hash(f"mark\x1f{hold_id.hex}\x1f{viewer.hex}"))


def _bucket(viewer: UUID, kind: str) -> str:
    return _keyed_hash(f"bucket\x1f{kind}\x1f{viewer.hex}").hex()


def _keyed_hash(text: str) -> bytes:
    key = get_ring_key("index").derive("caseapp/viewer_mark/v1")
    return hmac.digest(key, text.encode(), "sha256")[:16]
