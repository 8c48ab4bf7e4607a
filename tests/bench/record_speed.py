"""What the record costs: a case with many notes, and verifying the log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.settings import load_settings
from caseapp.domain.audit.stored_log_verification import verify_log
from caseapp.domain.cases.models import Case
from caseapp.factory import create_app
from tests.bench import rows
from tests.bench.http_client import HttpClient
from tests.bench.ratios import Ratio, compare
from tests.bench.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caseapp.core.actor import Actor

FEW_NOTES, MANY_NOTES = 30, 500
"""More than a page of a list shows in both cases."""
EVENTS = 20_000
LEAST_RATE = 100_000
"""How many events of the log are to be verified in a second of a processor at least; design of the record, 11."""
PATHS = ("/case/{}", "/case/{}/notes", "/case/{}/timeline")


@dataclass(frozen=True)
class Cases:
    """The numbers of two cases of the same coach, without needs: one has FEW_NOTES, the other MANY_NOTES."""

    short: str
    long: str


def _prepare(coach: Actor) -> Cases:
    found = db.session.execute(
        sa.select(Case.id, Case.number)
        .where(Case.coach_id == coach.id)
        .order_by(Case.opened_at.desc())
        .limit(2)
    ).all()
    # The older one has more, so that none of them is from the future.
    short, long = found
    rows.add_notes(short.id, FEW_NOTES - rows.NOTES)
    rows.add_notes(long.id, MANY_NOTES - rows.NOTES)
    rows.add_log(coach, EVENTS)
    return Cases(short.number, long.number)


def measure_records(
    engine: str, environ: dict[str, str], cookie: str, coach: Actor, rounds: int, each: int
) -> Iterator[Ratio]:
    """Compare the pages of a case with many notes with those of one with few, and verify the log."""
    app = create_app(load_settings(environ))
    with app.app_context():
        cases = _prepare(coach)
    with serving("wsgi:app", environ) as port:
        for path in PATHS:
            yield compare(
                f"{engine}: {path.format('…')}, {MANY_NOTES} notes against {FEW_NOTES}",
                _prepare_page(port, cookie, path.format(cases.short)),
                _prepare_page(port, cookie, path.format(cases.long)),
                rounds=rounds,
                each=each,
                at_most=1.3,
            )
    with app.app_context():
        yield _verify(engine)
        db.session.remove()
        db.engine.dispose()


def _prepare_page(port: int, cookie: str, path: str) -> Callable[[], object]:
    send = HttpClient(port, {"Cookie": f"__Host-desk={cookie}"}).prepare("GET", path)
    status, body = send()
    if status != HTTPStatus.OK:
        raise RuntimeError(f"{path}: {status} {body[:300]!r}")
    return send


def _verify(engine: str) -> Ratio:
    """Measure the processor time of verifying the whole log, for as many events as may take a second."""
    times = []
    for _ in range(3):
        began = time.process_time()
        found = verify_log()
        times.append(time.process_time() - began)
        if found.faults or found.events < EVENTS:
            raise RuntimeError(f"{found.events} events, {found.faults}")
    ratios = [LEAST_RATE * seconds / found.events for seconds in times]
    middle = sorted(ratios)[1]
    return Ratio(
        f"{engine}: verifying {LEAST_RATE} events of the log, against a processor second",
        middle,
        min(ratios),
        max(ratios),
        min(ratios),
        1000,
        1000 * middle,
        at_most=1.0,
    )
