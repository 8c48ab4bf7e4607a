"""Serving: gunicorn with the application loaded before it forks, and the worker as its child process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from werkzeug.serving import is_running_from_reloader, run_simple

from caseapp.cli.buffering import BufferingWorker
from caseapp.cli.context import CommandContext, print_error_lines
from caseapp.cli.setup import fill_demo, list_sign_ins, set_up_demo
from caseapp.cli.worker import WorkerProcess
from caseapp.core import migrate, pdf, uploads
from caseapp.core.database import db
from caseapp.core.errors import Reason, RenderFailed, RuleBroken
from caseapp.core.sandbox.pool import PoolUnavailable
from caseapp.core.settings import ROOT
from caseapp.domain.audit.start import refuse_unsafe_start
from caseapp.domain.users.queries import list_users
from caseapp.http import assets

if TYPE_CHECKING:
    from flask import Flask

WILDCARD_ADDRESSES = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


class WatchfulArbiter(Arbiter):  # type: ignore[misc]
    """Gunicorn's main process, which once a second also looks after our worker.

    A thread of its own would be one that processes are forked beside.
    """

    def murder_workers(self) -> None:
        """End server processes that hang, as gunicorn does, and restart our worker if it has ended."""
        super().murder_workers()
        self.app.worker.ensure_running()


class Server(BaseApplication):  # type: ignore[misc]
    """A gunicorn server for our application, configured in code."""

    def __init__(self, app: Flask, options: dict[str, Any], worker: WorkerProcess) -> None:
        """Store the application, gunicorn's options and the worker to look after."""
        self.application = app
        self.options = options
        self.worker = worker
        super().__init__()

    def run(self) -> None:
        """Serve until a signal ends it."""
        WatchfulArbiter(self).run()

    def load_config(self) -> None:
        """Apply the options."""
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application."""
        return self.application


@click.command()
@click.option("--host", envvar="HOST", default="127.0.0.1", show_default=True, show_envvar=True)
@click.option(
    "--port",
    envvar="PORT",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    show_envvar=True,
)
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="With SQLite, using more than one cuts throughput by 40%.",
)
@click.option("--reload", is_flag=True, help="For development: restart whenever a file changes.")
@click.pass_obj
def serve(
    context: CommandContext, host: str, port: int, processes: int, threads: int, *, reload: bool
) -> None:
    """Serve the web pages, the portal and the API, and run the worker."""
    if context.environ.get("CASEAPP_ENV") == "demo":
        # Links in the demo's mail must lead to this server; over HTTP browsers accept its cookies only from localhost.
        here = "127.0.0.1" if host in WILDCARD_ADDRESSES else host
        context.environ.setdefault("CASEAPP_BASE_URL", f"http://{here}:{port}")
    with context.open() as app:
        lines = _prepare(context)
        _start_sandboxes()
        # Both server processes must give the same address for the same files.
        assets.content_stamp()
        if reload and not is_running_from_reloader():
            # This process only watches the files; the one that it starts serves.
            _announce(context, host, port, lines)
            _serve_and_reload(app, host, port)
            return
        worker = WorkerProcess(context.environ)
        # Open connections must not be shared with forked processes, which open their own.
        db.session.remove()
        db.engine.dispose()
        app.extensions["queue"].storage.close()

    def announce(_server: object) -> None:
        _announce(context, host, port, lines)

    def close_worker_pipe(_server: object, _worker: object) -> None:
        worker.close_pipe()

    def end_worker(_server: object) -> None:
        worker.end()

    if reload:
        _serve_and_reload(app, host, port)
        worker.end()
        return
    Server(
        app,
        {
            "bind": f"{host}:{port}",
            "workers": processes,
            "threads": threads,
            "worker_class": BufferingWorker,
            "keepalive": 0,
            "preload_app": True,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": announce,
            "post_fork": close_worker_pipe,
            "on_exit": end_worker,
        },
        worker,
    ).run()


def _announce(context: CommandContext, host: str, port: int, lines: list[str]) -> None:
    click.echo(
        f"\nOpen {context.settings.base_url} (listening on {host}:{port}; press Ctrl-C to stop)"
    )
    for line in lines:
        click.echo(f"  {line}")


def _serve_and_reload(app: Flask, host: str, port: int) -> None:
    """Serve with Werkzeug's development server, which starts this command again whenever a file changes."""
    watched = (
        str(path)
        for folder in ("templates", "handouts", "caseapp")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".html", ".txt", ".md", ".yaml", ".css", ".js"}
    )
    run_simple(host, port, app, use_reloader=True, extra_files=watched)


def _prepare(context: CommandContext) -> list[str]:
    """Check the database, set up the demo practice if this is the demo, and return the sign-in lines.

    Raises RuleBroken when the schema is out of date.
    """
    if context.settings.demo:
        set_up_demo(context)
        refuse_unsafe_start()
        if not list_users():
            click.echo("Creating the demo practice. This takes a moment, but only the first time …")
            return list(fill_demo(context))
        return list_sign_ins(context)
    with db.engine.connect() as connection:
        if not migrate.is_current(connection):
            raise RuleBroken(
                Reason("not_set_up", "The database schema is out of date.", "Run: caseapp init")
            )
    refuse_unsafe_start()
    return list_sign_ins(context)


def _start_sandboxes() -> None:
    """Start the workers for PDFs and uploads; the rest is served without them, and the next job tries again."""
    try:
        pdf.start_pool()
    except RuleBroken as fault:
        print_error_lines([f"{reason.message} {reason.way_out}" for reason in fault.reasons])
    except RenderFailed as fault:
        print_error_lines([fault.message])
    try:
        uploads.start_pool()
    except PoolUnavailable as fault:
        print_error_lines(
            [f"Uploaded worksheets and images cannot be read on this machine: {fault}."]
        )
