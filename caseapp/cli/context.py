"""What every command stands on: the app, made only when a command needs it, and faults told in plain lines."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.exc import OperationalError

from caseapp.core.errors import DomainError, Invalid, RuleBroken
from caseapp.core.settings import BadSettings, Settings, from_environment
from caseapp.domain.handouts.library import BrokenHandout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

REFUSED = 1
BADLY_SET_UP = 2


@dataclass
class House:
    """Hold the environment and the way to make the app; the console script and the tests give both."""

    make_app: Callable[[Settings], Flask]
    environ: dict[str, str]

    @cached_property
    def settings(self) -> Settings:
        """Read the settings.

        Raises BadSettings.
        """
        return from_environment(self.environ)

    @cached_property
    def app(self) -> Flask:
        """Make the app."""
        return self.make_app(self.settings)

    @contextmanager
    def open(self) -> Iterator[Flask]:
        """Run a command inside the app."""
        with self.app.app_context():
            yield self.app


class Commands(click.Group):
    """Turn what the house refuses into lines for a person: settings exit with 2, everything else with 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - whatever a command gives
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BadSettings as fault:
            tell(str(fault).splitlines())
            ctx.exit(BADLY_SET_UP)
        except (DomainError, BrokenHandout) as fault:
            tell(lines_of(fault))
            ctx.exit(REFUSED)
        except OperationalError as fault:
            tell([f"The database cannot be used: {fault.orig}"])
            ctx.exit(REFUSED)


def lines_of(fault: Exception) -> list[str]:
    """Say in lines what was refused and how to go on."""
    if isinstance(fault, Invalid):
        return [f"{name}: {text}" for name, texts in fault.fields.items() for text in texts]
    if isinstance(fault, RuleBroken):
        return [f"{reason.message} {reason.how}".strip() for reason in fault.reasons]
    if isinstance(fault, DomainError):
        return [fault.message]
    return [str(fault)]


def tell(lines: list[str]) -> None:
    """Write lines to standard error."""
    for line in lines:
        click.echo(line, err=True)
