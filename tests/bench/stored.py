"""A PDF that was made before: through the app, which asks who it is and what they may read, and as a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.sessions import begin_session
from caseapp.core.settings import load_settings
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.portal_access import invite_client
from caseapp.domain.handouts.operations import publish_library
from caseapp.factory import create_app
from tests.bench.ratios import Ratio, compare
from tests.bench.servers import serving
from tests.bench.wire import Wire
from tests.support import builders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from caseapp.core.actor import Actor

SHEET = "keep-the-day-running"


@dataclass(frozen=True)
class Given:
    """Hold for both doors who asks for the sheet, and where it lies."""

    case_id: UUID
    doors: dict[str, tuple[str, str]]


def stored(engine: str, environ: Mapping[str, str], coach: Actor, rounds: int) -> Iterator[Ratio]:
    """Compare a download with session, role and suitability check with `send_file` of the same bytes.

    The app asks three questions of the database, so `send_file` behind three plain ones stands between the two.
    """
    given = _give(environ, coach)
    file = Path(environ["CASEAPP_DATA_DIR"]) / "stored.pdf"
    floor = {"FLOOR_URL": environ["CASEAPP_DATABASE_URL"], "FLOOR_FILE": str(file)}
    with serving("wsgi:app", environ) as app, serving("tests.bench.floor:app", floor) as bare:
        plainly = Wire(bare).prepare("GET", "/file")
        asking = Wire(bare).prepare("GET", f"/case/{given.case_id}/file")
        for door, (cookie, path) in given.doors.items():
            ask = Wire(app, {"Cookie": cookie}).prepare("GET", path)
            file.write_bytes(_whole(ask))
            for name, base, at_most in (
                ("send_file", plainly, 1.6),
                ("send_file behind three queries", asking, None),
            ):
                yield compare(
                    f"{engine}: a stored PDF through {door}, against {name}",
                    base,
                    lambda ask=ask: _whole(ask),  # type: ignore[misc]
                    rounds=rounds,
                    each=12,
                    at_most=at_most,
                )
        yield compare(
            f"{engine}: send_file behind three queries, against send_file",
            plainly,
            asking,
            rounds=rounds,
            each=12,
        )


def _whole(ask: Callable[[], tuple[int, bytes]]) -> bytes:
    status, body = ask()
    if status != 200 or not body.startswith(b"%PDF"):
        raise RuntimeError(f"{status}: {body[:300]!r}")
    return body


def _give(environ: Mapping[str, str], coach: Actor) -> Given:
    """Give a screened client a sheet, and sign them and their coach in."""
    app = create_app(load_settings(environ))
    with app.app_context():
        with transaction():
            publish_library()
        made = builders.case(coach)
        builders.screen(coach, made.client_id)
        with transaction():
            sheet = assign_handout(
                coach, made.case_id, SHEET, message="", channel="portal", confirmed=True
            )
            invite_client(coach, made.client_id)
        with transaction() as session:
            session.execute(
                sa.update(PortalAccess)
                .where(PortalAccess.client_id == made.client_id)
                .values(first_signed_in_at=now())
            )
            desk = begin_session("staff", coach.id)
            reader = begin_session("client", made.client_id)
        db.session.remove()
        db.engine.dispose()
    return Given(
        made.case_id,
        {
            "the portal": (f"__Host-reader={reader}", "/portal/h/1/reading-01.pdf"),
            "the desk": (
                f"__Host-desk={desk}",
                f"/case/{made.number}/handouts/{sheet}/pdf",
            ),
        },
    )
