"""Marks: rows that tell a person which of their clients have an open hold, and that tell nobody else anything.

There is one for each open hold and each person who may see the client: the coaches of the care team and their
supervisors. Lists read the marks of one person, then check again who may see the clients.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.core.database import db
from caseapp.core.pagination import literal_limit
from caseapp.core.vault import seal_bound, unseal_bound
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.screening.models import ViewerMark
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from caseapp.domain.screening.schemas import Hold

HOLD_KINDS = ("safety", "care")
"""The kinds of hold, the strictest first."""
INSERT_UNLESS_PRESENT = {
    name: dialect.insert(ViewerMark.__table__).on_conflict_do_nothing(index_elements=["id"])
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


@dataclass(frozen=True)
class Mark:
    """What a mark tells: a client of the person's has this open hold."""

    client_id: UUID
    hold_id: UUID
    kind: str


def add_marks(holds: Iterable[Hold], client_id: UUID) -> None:
    """Mark open holds of a locked client for everybody who may see the client; marks that stand are left alone."""
    viewers = _list_viewers(client_id)
    rows = [_make_row(hold, viewer) for hold in holds for viewer in viewers]
    if rows:
        db.session.connection().execute(INSERT_UNLESS_PRESENT[db.engine.dialect.name], rows)


def remove_marks(holds: Iterable[Hold], client_id: UUID) -> None:
    """Remove the marks of released holds of a locked client."""
    viewers = _list_viewers(client_id)
    ids = [_mark_id(hold.id, viewer) for hold in holds for viewer in viewers]
    db.session.execute(sa.delete(ViewerMark).where(ViewerMark.id.in_(ids)))


def list_marks(viewer: UUID, kinds: Collection[str], limit: int | None = None) -> list[Mark]:
    """List a person's marks, the strictest kind of hold first, then by the week in which the hold opened, newest first.

    `limit` is the largest number of marks of each kind. The caller checks which of the clients the person may see.
    """
    parts = []
    for rank, kind in enumerate(HOLD_KINDS):
        if kind in kinds:
            of_kind = (
                sa.select(
                    sa.literal(rank).label("rank"),
                    ViewerMark.week,
                    ViewerMark.id,
                    ViewerMark.sealed,
                )
                .where(ViewerMark.bucket == _bucket(viewer, kind))
                .order_by(ViewerMark.week.desc(), ViewerMark.id.desc())
            )
            if limit is not None:
                of_kind = of_kind.limit(literal_limit(limit))
            parts.append(sa.select(of_kind.subquery()))
    marks = sa.union_all(*parts).subquery()
    order = (marks.c.rank, marks.c.week.desc(), marks.c.id.desc())
    rows = db.session.execute(sa.select(marks).order_by(*order))
    return [_open_mark(row.id, row.sealed, HOLD_KINDS[row.rank]) for row in rows]


def _list_viewers(client_id: UUID) -> set[UUID]:
    """List the coaches of a client's care team and their supervisors.

    Their rows are locked too: whoever gives a member another supervisor waits, and then sees these holds.
    """
    rows = db.session.execute(
        sa.select(User.id, User.supervisor_id)
        .join(CareTeamMember, CareTeamMember.user_id == User.id)
        .where(CareTeamMember.client_id == client_id, CareTeamMember.role == COACH)
        .order_by(User.id)
        .with_for_update(read=True, of=User)
    )
    return {viewer for row in rows for viewer in row if viewer is not None}


def _make_row(hold: Hold, viewer: UUID) -> dict[str, object]:
    mark_id = _mark_id(hold.id, viewer)
    year, week, _ = hold.opened_at.isocalendar()
    content = {"client_id": hold.client_id.hex, "hold_id": hold.id.hex}
    return {
        "id": mark_id,
        "bucket": _bucket(viewer, hold.kind),
        "week": year * 100 + week,
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
