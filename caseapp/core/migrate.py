"""Bring a database to the newest migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from sqlalchemy import Connection


def alembic_config(connection: Connection | None = None) -> Config:
    """Give Alembic's settings from pyproject.toml, for a connection or for the process's database."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection | None = None) -> None:
    """Run every migration that the database has not had."""
    command.upgrade(alembic_config(connection), "head")


def is_current(connection: Connection) -> bool:
    """Tell whether a database has had every migration."""
    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == newest
