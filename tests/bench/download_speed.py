"""Downloads of a cached PDF through the application, with its checks, and as a plain file."""

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
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.handouts.operations import publish_library
from caseapp.domain.keys.writing import keep_in_session
from caseapp.factory import create_app
from tests.bench.http_client import HttpClient
from tests.bench.ratios import Ratio, compare
from tests.bench.servers import serving
from tests.support import builders
from tests.support.portal_client import reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from caseapp.core.actor import Actor

HANDOUT = "keep-the-day-running"


@dataclass(frozen=True)
class Download:
    """One assigned handout with cookie and path for each interface."""

    case_id: UUID
    interfaces: dict[str, tuple[str, str]]


def measure_downloads(
    engine: str, environ: Mapping[str, str], coach: Actor, rounds: int
) -> Iterator[Ratio]:
    """Compare a download with session, role and suitability check with `send_file` of the same bytes.

    The application runs three queries, so a `send_file` after three plain queries is measured too.
    """
    download = _assign(environ, coach)
    file = Path(environ["CASEAPP_DATA_DIR"]) / "stored.pdf"
    floor = {"FLOOR_URL": environ["CASEAPP_DATABASE_URL"], "FLOOR_FILE": str(file)}
    with serving("wsgi:app", environ) as app, serving("tests.bench.floor:app", floor) as bare:
        plain = HttpClient(bare).prepare("GET", "/file")
        after_queries = HttpClient(bare).prepare("GET", f"/case/{download.case_id}/file")
        for interface, (cookie, path) in download.interfaces.items():
            request = HttpClient(app, {"Cookie": cookie}).prepare("GET", path)
            file.write_bytes(_get_pdf(request))
            for name, base, at_most in (
                ("send_file", plain, 1.6),
                ("send_file after three queries", after_queries, None),
            ):
                yield compare(
                    f"{engine}: a stored PDF through {interface}, against {name}",
                    base,
                    lambda request=request: _get_pdf(request),  # type: ignore[misc]
                    rounds=rounds,
                    each=12,
                    at_most=at_most,
                )
        yield compare(
            f"{engine}: send_file after three queries, against send_file",
            plain,
            after_queries,
            rounds=rounds,
            each=12,
        )


def _get_pdf(request: Callable[[], tuple[int, bytes]]) -> bytes:
    status, body = request()
    if status != 200 or not body.startswith(b"%PDF"):
        raise RuntimeError(f"{status}: {body[:300]!r}")
    return body


def _assign(environ: Mapping[str, str], coach: Actor) -> Download:
    """Assign a handout to a screened client and sign in the client and the coach."""
    app = create_app(load_settings(environ))
    with app.app_context():
        with transaction():
            publish_library()
        made = builders.case(coach)
        builders.screen(coach, made.client_id)
        with transaction():
            assignment_id = assign_handout(
                coach,
                lock_case(coach, made.case_id),
                HANDOUT,
                message="",
                channel="portal",
                confirmed=True,
            )
            invite_client(coach, lock_client(coach, made.client_id))
        writing = reader(made.client_id).writing
        with transaction() as session:
            session.execute(
                sa.update(PortalAccess)
                .where(PortalAccess.client_id == made.client_id)
                .values(first_signed_in_at=now())
            )
            staff_session = begin_session("staff", coach.id)
            client_session = begin_session("client", made.client_id)
            keep_in_session(writing, made.client_id, client_session)
        db.session.remove()
        db.engine.dispose()
    return Download(
        made.case_id,
        {
            "the portal": (f"__Host-reader={client_session}", "/portal/h/1/reading-01.pdf"),
            "the staff pages": (
                f"__Host-desk={staff_session}",
                f"/case/{made.number}/handouts/{assignment_id}/pdf",
            ),
        },
    )
