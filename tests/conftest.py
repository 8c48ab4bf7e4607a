"""One template database of each kind is made whole once; every test gets a fresh copy of it, with real commits."""

from __future__ import annotations

import gc
import io
import os
from contextvars import Context
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import hypothesis
import pytest
import sqlalchemy as sa
import structlog
from argon2 import PasswordHasher
from flask.testing import FlaskClient

from caseapp.cli.handouts import release_date
from caseapp.core import clock, runtime
from caseapp.core.database import configure_engine, db
from caseapp.core.fonts import find_missing_glyphs
from caseapp.core.sandbox import pool
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import load_settings
from caseapp.core.settings import use as use_settings
from caseapp.domain.audit import operations as audit
from caseapp.domain.auth import credentials
from caseapp.domain.clients import matches
from caseapp.domain.handouts.provenance import claims
from caseapp.domain.keys.purposes import FINGERPRINT_PURPOSES
from caseapp.domain.keys.queries import get_ring_key, load_ring
from caseapp.factory import create_app
from tests.support import staff, temporary, usage
from tests.support.patience import PATIENCE, be_patient
from tests.support.templates import CONTENTS, Templates, use_engine

if TYPE_CHECKING:
    from caseapp.core.vault import RingKey

# One cheap hash for every test; the real parameters have a test of their own.
credentials._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # noqa: SLF001
credentials._NOBODY = credentials._hasher.hash("nobody")  # noqa: SLF001
_is_guessable = credentials._is_guessable  # noqa: SLF001
_ESTIMATES: dict[tuple[str, ...], bool] = {}


def _estimate_once(password: str, words: list[str]) -> bool:
    """Estimate the password of a sample person once in a process: it takes long, and the answer is always the same."""
    if (password, *words) not in _ESTIMATES:
        _ESTIMATES[password, *words] = _is_guessable(password, words)
    return _ESTIMATES[password, *words]


credentials._is_guessable = _estimate_once  # noqa: SLF001
_want_names = matches._wanted_names  # noqa: SLF001
_WANTED: dict[tuple[bytes, str, str], dict[str, bool]] = {}


def _want_names_once(name: str, preferred: str = "") -> dict[str, bool]:
    """Hash the hundreds of names like one once in a process under each key: tests use few names."""
    key = get_ring_key(FINGERPRINT_PURPOSES["name"]).secret, name, preferred
    if key not in _WANTED:
        _WANTED[key] = _want_names(name, preferred)
    return _WANTED[key]


matches._wanted_names = _want_names_once  # noqa: SLF001
# The same examples in every run, each for as long as it takes: what fails does so for what was changed, not by luck.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")
be_patient()
# `make coverage` measures the sandbox too; it passes on what coverage tells the programs that it measures.
if "COVERAGE_PROCESS_CONFIG" in os.environ:
    measured = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE")
    pool.PASSED_ENVIRONMENT = (*pool.PASSED_ENVIRONMENT, *measured)  # type: ignore[assignment]
    pool.WRITABLE = (os.path.dirname(os.environ["COVERAGE_FILE"]),)  # noqa: PTH120


class Browser(FlaskClient):
    """Run each request in an empty context, as a server would, so that nothing leaks from one into the next."""

    def open(self, *args, **kwargs):
        db.session.remove()
        kwargs.setdefault("base_url", "https://localhost")
        # A streamed body is read here too, since it needs the same context.
        kwargs.setdefault("buffered", True)
        return Context().run(self._open_at, clock._pinned.get(), args, kwargs)  # noqa: SLF001

    def _open_at(self, moment, args, kwargs):
        """Take a pretended moment along into the empty context."""
        clock._pinned.set(moment)  # noqa: SLF001
        return super().open(*args, **kwargs)


@pytest.fixture(scope="session")
def data_dir():
    made = temporary.folder("caseapp-")
    temporary.share_fonts(made)
    return made


@pytest.fixture(scope="session")
def settings(data_dir):
    return load_settings({"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(data_dir)})


@pytest.fixture(scope="session")
def session_app(settings, request):
    app = create_app(settings)
    app.test_client_class = Browser
    if request.config.option.fast:
        # Read once in a process, by whichever test comes first: no test pays for it with its own time.
        claims()
        find_missing_glyphs("")
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="session")
def postgres():
    server = temporary.start_server("pg")
    url = server.get_uri(database="postgres").replace("postgresql://", "postgresql+psycopg://")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name, value in (
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
        ):
            connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = {value}")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    yield admin
    admin.dispose()
    server.cleanup()


@pytest.fixture(scope="session")
def templates(session_app, data_dir, request):
    """Give the databases that tests are given copies of."""
    guard = request.config.pluginmanager.get_plugin("usage-guard")
    return Templates(
        session_app, data_dir, lambda: request.getfixturevalue("postgres"), guard.not_counted
    )


@pytest.fixture
def database_url(request, templates, template_name, tmp_path):
    """Give the address of a fresh, complete database: SQLite, and PostgreSQL too in tests marked `both`."""
    if request.param == "sqlite":
        yield templates.copy("sqlite", template_name, str(tmp_path / "test.db"))
        return
    name = f"t{os.getpid()}_{tmp_path.name}".lower().replace("-", "_")[:60]
    yield templates.copy("postgresql", template_name, name)
    with templates.server().connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def template_name(request):
    """Give the name of the template that the test's database is copied from: the fullest that the test asks for."""
    asked = [name for name in CONTENTS if f"{name}_in_template" in request.fixturenames]
    return asked[-1] if asked else "practice"


@pytest.fixture
def moment(session_app):
    """Let all of a test happen at the moment it began: no midnight, quarter of an hour or slow machine comes between.

    A test about time going by goes on with `clock.at`.
    """
    with clock.at(clock.now()):
        yield


@pytest.fixture
def on_release_day(session_app):
    """Let all of a test happen at noon of the release's day.

    Later its texts fall due for review; and at noon so many days ago is so many dates ago, whatever summer time does.
    """
    with clock.at(datetime.combine(release_date(), time(12), UTC)):
        yield


ENGINES: dict[str, sa.Engine] = {}
RINGS: dict[str, dict[tuple[str, int | None], RingKey]] = {}
"""The key ring of each kind of database: all copies of the templates have the same."""


def engine_for(url: sa.URL) -> sa.Engine:
    """Return this process's engine for the kind of database, pointed at one database; compiled statements are kept."""
    kind = url.get_backend_name()
    if kind not in ENGINES:
        # However many threads a test has, each of them gets a connection in its turn.
        engine = sa.create_engine(url, pool_timeout=PATIENCE)

        @sa.event.listens_for(engine, "do_connect")
        def _point(
            dialect: sa.Dialect, _record: object, args: list[object], named: dict[str, object]
        ) -> None:
            found, more = dialect.create_connect_args(engine.url)
            args[:] = found
            named.clear()
            named.update(more)

        configure_engine(engine)
        ENGINES[kind] = engine
    ENGINES[kind].url = url
    return ENGINES[kind]


def use_ring(kind: str) -> None:
    """Give the application the key ring of a copied database, which is read once in a process."""
    if kind not in RINGS:
        load_ring()
        RINGS[kind] = runtime.current().ring
    runtime.current().ring = dict(RINGS[kind])
    # To read it begins a transaction.
    db.session.connection()


@pytest.fixture
def app(session_app, database_url, moment):
    """Give the app on a fresh database, inside an application context."""
    engine = engine_for(database_url)
    with session_app.app_context():
        before, settings_before = use_engine(engine), active_settings()
        # As an application does at its start; the same people in another test's database have read nothing here.
        use_ring(database_url.get_backend_name())
        audit._recorded.pop(engine, None)  # noqa: SLF001
        # So does what another test has erased, whose tombstones its own key ring has signed.
        (settings_before.checkpoint_dir / "erasures.jsonl").unlink(missing_ok=True)
        yield session_app
        db.session.remove()
        use_engine(before)
        use_settings(settings_before)
    engine.dispose()


@pytest.fixture
def team_in_template():
    """Have the test's database copied from one with the usual people."""


@pytest.fixture
def second_supervisor_in_template():
    """Have the test's database copied from one with another supervisor too."""


@pytest.fixture
def lone_coach_in_template():
    """Have the test's database copied from one with a coach who has no supervisor, and nobody else."""


@pytest.fixture
def team(team_in_template, app):
    """Give the usual people of a practice by their roles."""
    return staff.find_team()


@pytest.fixture
def scanner(session_app):
    """Give a function that chooses the program which looks at every uploaded file."""
    before = active_settings()
    yield lambda *command: use_settings(replace(before, scan_command=command))
    use_settings(before)


@pytest.fixture
def named_site(session_app):
    """Let the staff pages have a name, without which there are no passkeys."""
    before = active_settings()
    use_settings(replace(before, base_url="https://localhost"))
    yield
    use_settings(before)


@pytest.fixture
def visitor(app):
    """Give a browser that nobody has signed in with yet."""
    return app.test_client()


def pytest_addoption(parser):
    group = parser.getgroup("caseapp")
    group.addoption(
        "--all-databases", action="store_true", help="run every database test on both databases"
    )
    group.addoption(
        "--fast",
        action="store_true",
        help="run only tests that need no other process and little time",
    )
    group.addoption("--measure", metavar="FILE", help="append what each test used, as JSON lines")


SLOW_KINDS = ("browser", "pdf", "process", "fault", "slow", "postgresql")
KINDS = ("sqlite", "postgresql")


def pytest_configure(config):
    if config.option.fast:
        kept = f"not ({' or '.join(SLOW_KINDS)})"
        given = config.option.markexpr
        config.option.markexpr = f"({given}) and {kept}" if given else kept
    config.pluginmanager.register(
        usage.Guard(fast=config.option.fast, file=config.option.measure), "usage-guard"
    )


def pytest_generate_tests(metafunc):
    """Choose the databases of a test that names none itself."""
    if "database_url" not in metafunc.fixturenames:
        return
    own = metafunc.definition.iter_markers("parametrize")
    if any("database_url" in str(mark.args[0]) for mark in own):
        return
    mark = metafunc.definition.get_closest_marker("both")
    both = metafunc.config.option.all_databases or (mark and not mark.kwargs.get("later"))
    metafunc.parametrize(
        "database_url",
        [
            pytest.param(kind, marks=[pytest.mark.postgresql] if kind == "postgresql" else [])
            for kind in (KINDS if both else KINDS[:1])
        ],
        indirect=True,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark tests by what they ask for; keep one set of parameters on PostgreSQL, unless all are asked for."""
    config.stash[usage.COLLECTED] = [*items]
    kept, left_out, seen = [], [], set()
    for item in items:
        if "browser_type" in item.fixturenames:
            item.add_marker("browser")
        mark = item.get_closest_marker("both")
        if item.get_closest_marker("postgresql") and mark and not config.option.all_databases:
            function = (item.parent, item.originalname)
            if function in seen and not mark.kwargs.get("every_set"):
                left_out.append(item)
                continue
            seen.add(function)
        kept.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_collection_finish():
    """Let no collection of garbage look through the tests themselves, and let them be rare: each takes its time."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Count a skipped test as failed where CI=true: a build may leave nothing out."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CI=true allows no skipped test: {report.longrepr[2]}"
    return report


@pytest.fixture
def logged(session_app):
    """Give a function that reads every line logged so far, as it would stand on standard error."""
    before, lines = structlog.get_config()["logger_factory"], io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(lines))
    yield lines.getvalue
    structlog.configure(logger_factory=before)
