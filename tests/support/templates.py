"""Databases that are filled once in a process, of which each test gets a copy."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa

from caseapp.core import clock
from caseapp.core.database import configure_engine, db
from caseapp.core.migrate import upgrade
from caseapp.core.transaction import transaction
from caseapp.domain.handouts.operations import publish_library
from caseapp.domain.keys.operations import open_ring
from caseapp.domain.keys.queries import load_ring
from caseapp.domain.practice.operations import set_up_practice
from tests.support import staff

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from flask import Flask

BEFORE = timedelta(days=400)
"""How long before the tests the usual people have been added: no test does anything earlier."""


def use_engine(engine: sa.Engine) -> sa.Engine:
    """Have the app use an engine; return the one before. Needs an application context."""
    engines = cast("dict[str | None, sa.Engine]", db.engines)
    before, engines[None] = engines[None], engine
    return before


def _new_practice(_app: Flask, url: sa.URL) -> None:
    """Bring an empty database up to date, with a practice and the library."""
    upgrade(url)
    open_ring()
    with transaction():
        set_up_practice()
        publish_library()


def adding(add: Callable[[], object]) -> Callable[[Flask, sa.URL], None]:
    """Return how a template is filled: people are added to a practice, long before the tests."""

    def fill(_app: Flask, _url: sa.URL) -> None:
        load_ring()
        with clock.at(clock.now() - BEFORE):
            add()

    return fill


@dataclass(frozen=True)
class Content:
    """What a template holds: that of the template below it, and what `fill` adds."""

    below: str | None
    fill: Callable[[Flask, sa.URL], object]


CONTENTS = {
    "practice": Content(None, _new_practice),
    "lone_coach": Content("practice", adding(lambda: staff.add("coach"))),
    "team": Content("practice", adding(staff.team)),
    "second_supervisor": Content("team", adding(lambda: staff.add("supervisor2"))),
}
"""By name, the fuller one after the one below it."""


class Templates:
    """The templates of a process on both databases, each made when it is first asked for."""

    def __init__(
        self,
        app: Flask,
        folder: Path,
        server: Callable[[], sa.Engine],
        not_counted: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`server` starts the PostgreSQL server, or returns the engine of the one that runs.

        What is done in a block of `not_counted` is not counted as the work of the test that comes first.
        """
        self.app, self.folder, self.server, self.not_counted = app, folder, server, not_counted
        self.made: dict[tuple[str, str], tuple[sa.URL, object]] = {}

    def find(self, kind: str, name: str) -> sa.URL:
        """Return the address of a template on a kind of database."""
        return self._make(kind, name)[0]

    def result(self, kind: str, name: str) -> object:
        """Return what filling a template has returned."""
        return self._make(kind, name)[1]

    def copy(self, kind: str, name: str, target: str) -> sa.URL:
        """Copy a template to a file, or a database of that name, and return its address."""
        return self._copy(kind, self.find(kind, name), target)

    def _make(self, kind: str, name: str) -> tuple[sa.URL, object]:
        if (kind, name) not in self.made:
            content = CONTENTS[name]
            below = self.find(kind, content.below) if content.below else None
            target = str(self.folder / f"template-{name}.db") if kind == "sqlite" else f"t_{name}"
            with self.not_counted():
                url = self._copy(kind, below, target)
                self.made[kind, name] = url, self._fill(url, content.fill)
        return self.made[kind, name]

    def _copy(self, kind: str, template: sa.URL | None, target: str) -> sa.URL:
        if kind == "sqlite":
            if template is not None:
                shutil.copy(str(template.database), target)
            return sa.make_url(f"sqlite:///{target}")
        server = self.server()
        source = template.database if template else "template1"
        with server.connect() as connection:
            # Copied file by file it takes the server two thirds of the time.
            connection.exec_driver_sql(
                f'CREATE DATABASE "{target}" TEMPLATE "{source}" STRATEGY FILE_COPY'
            )
        return server.url.set(database=target)

    def _fill(self, url: sa.URL, fill: Callable[[Flask, sa.URL], object]) -> object:
        engine = sa.create_engine(url)
        configure_engine(engine)
        with self.app.app_context():
            before = use_engine(engine)
            try:
                found = fill(self.app, url)
                db.session.remove()
            finally:
                use_engine(before)
        engine.dispose()
        if url.get_backend_name() == "sqlite":
            with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return found
