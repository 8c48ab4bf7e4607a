"""Shared by all commands: the application, created on demand, and errors printed as plain lines."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.exc import IntegrityError, OperationalError

from caseapp.core.actor import Actor, operator
from caseapp.core.errors import DomainError, Invalid, RuleBroken
from caseapp.core.settings import InvalidSettings, Settings, load_settings
from caseapp.domain.audit.operations import reads_recorded
from caseapp.domain.handouts.library import InvalidHandoutFile
from caseapp.domain.users.queries import get_operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

EXIT_FAILED = 1
EXIT_SETTINGS = 2
OPERATOR_VARIABLE = "CASEAPP_OPERATOR"


@dataclass
class CommandContext:
    """The environment and the application factory that a command runs with.

    `operator_email` is the address of whoever runs the command, as they say themselves; empty when nobody was named.
    """

    make_app: Callable[[Settings], Flask]
    environ: dict[str, str]
    operator_email: str = ""

    @cached_property
    def settings(self) -> Settings:
        """Read the settings.

        Raises InvalidSettings.
        """
        return load_settings(self.environ)

    @cached_property
    def app(self) -> Flask:
        """Create the application."""
        return self.make_app(self.settings)

    @contextmanager
    def open(self) -> Iterator[Flask]:
        """Run a block in the application context; what it reads of clients' records is written to the log."""
        with self.app.app_context(), reads_recorded(operator()):
            yield self.app

    @contextmanager
    def open_as(self) -> Iterator[Actor]:
        """Do the same for a command that acts; yield who acts, with the rights of their role.

        It is whoever was named, by the option or the environment, and without a name the operator, who has an admin's
        rights. Raises NotFound for an address that no active account has.
        """
        email = self.operator_email or self.environ.get(OPERATOR_VARIABLE, "").strip()
        with self.app.app_context():
            actor = get_operator(email) if email else operator()
            with reads_recorded(actor):
                yield actor

    @contextmanager
    def open_named(self) -> Iterator[Actor]:
        """Do the same as `open_as` for a command that keeps who did it as an account.

        Raises UsageError without a name.
        """
        if not (self.operator_email or self.environ.get(OPERATOR_VARIABLE, "").strip()):
            raise click.UsageError("Say who you are: --as EMAIL, before the name of the command.")
        with self.open_as() as actor:
            yield actor


def read_text(label: str) -> str:
    """Read a text from standard input, since arguments show in lists of processes; at a terminal ask for it."""
    if sys.stdin.isatty():
        return str(click.prompt(label, default="", show_default=False))
    return sys.stdin.read().strip()


class Commands(click.Group):
    """A command group that prints errors as plain lines; wrong settings exit with 2, other errors with 1."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - any command's result
        """Run the command and turn its errors into lines and exit codes."""
        try:
            return super().invoke(ctx)
        except InvalidSettings as fault:
            print_error_lines(str(fault).splitlines())
            ctx.exit(EXIT_SETTINGS)
        except (DomainError, InvalidHandoutFile) as fault:
            print_error_lines(describe_error(fault))
            ctx.exit(EXIT_FAILED)
        except OperationalError as fault:
            print_error_lines([f"The database cannot be used: {fault.orig}"])
            ctx.exit(EXIT_FAILED)
        except IntegrityError as fault:
            # The name of the constraint says which table and column; a row may hold personal data.
            reason = str(fault.orig).partition("DETAIL")[0].strip()
            print_error_lines(
                [f"The database refused the change, and nothing was changed: {reason}"]
            )
            ctx.exit(EXIT_FAILED)


def describe_error(fault: Exception) -> list[str]:
    """Return the lines for an error: what was refused and what to do."""
    if isinstance(fault, Invalid):
        return [f"{name}: {text}" for name, texts in fault.fields.items() for text in texts]
    if isinstance(fault, RuleBroken):
        return [f"{reason.message} {reason.way_out}".strip() for reason in fault.reasons]
    if isinstance(fault, DomainError):
        return [fault.message]
    return [str(fault)]


def print_error_lines(lines: list[str]) -> None:
    """Write lines to standard error."""
    for line in lines:
        click.echo(line, err=True)
