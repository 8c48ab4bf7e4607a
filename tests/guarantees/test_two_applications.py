"""Two applications in one process keep their settings, databases and queues apart."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context

import pytest
import sqlalchemy as sa

from caseapp.core import outbox, runtime, settings
from caseapp.core.database import db
from caseapp.core.settings import load_settings
from caseapp.core.transaction import transaction
from caseapp.domain.practice.models import Practice
from caseapp.factory import create_app

# Each test makes two applications.
pytestmark = pytest.mark.slow

ROUNDS = 20


@pytest.fixture
def applications(session_app, data_dir, templates, tmp_path):
    """Return two more applications, each with a database, a data folder and a practice name of its own."""
    newest = runtime.current()
    made = []
    for name in ("North", "South"):
        folder = tmp_path / name
        folder.mkdir()
        templates.copy("sqlite", "practice", str(folder / "case.db"))
        shutil.copy(data_dir / "vault.key", folder)
        environ = {
            "CASEAPP_ENV": "test",
            "CASEAPP_DATA_DIR": str(folder),
            "CASEAPP_DATABASE_URL": f"sqlite:///{folder / 'case.db'}",
        }
        app = create_app(load_settings(environ))
        with app.app_context(), transaction() as session:
            session.execute(sa.update(Practice).values(name=name))
        made.append((name, app))
    yield made
    for _, app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()
    runtime.set_default(newest)


def seen_by(app):
    """Return what code inside an application's context sees of it."""
    with app.app_context():
        found = db.session.scalar(sa.select(Practice.name)), settings.active().data_dir.name
        db.session.remove()
    return found


def test_alternating_contexts_see_their_own_settings_and_database(applications):
    for _ in range(ROUNDS):
        for name, app in applications:
            assert seen_by(app) == (name, name)


def test_nested_contexts_return_to_the_outer_application(applications):
    (_, north), (_, south) = applications
    with north.app_context():
        with south.app_context():
            assert settings.active().data_dir.name == "South"
        assert settings.active().data_dir.name == "North"


def test_requests_in_threads_are_served_by_their_own_application(applications):
    def visit(number):
        name, app = applications[number % 2]
        page = Context().run(app.test_client().get, "/sign-in", base_url="https://localhost")
        return name in page.get_data(as_text=True), page.status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(visit, range(ROUNDS))) == {(True, 200)}


def test_outbox_row_reaches_the_queue_of_its_own_application(applications, monkeypatch):
    reached = []
    for name, app in applications:
        with app.app_context():
            monkeypatch.setattr(
                runtime.current(), "dispatch", lambda _row, name=name: reached.append(name)
            )
    for _, app in applications:
        with app.app_context(), transaction():
            outbox.enqueue("test", {})
    assert reached == ["North", "South"]
