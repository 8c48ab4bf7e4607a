"""Serving: gunicorn with the app made once before it forks, and the worker as a child that ends with it."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import click
from gunicorn.app.base import BaseApplication
from werkzeug.serving import is_running_from_reloader, run_simple

from caseapp.cli.context import CommandContext, print_error_lines
from caseapp.cli.setup import fill_demo, list_sign_ins, set_up_demo
from caseapp.core import migrate, pdf, pdf_forms
from caseapp.core.database import db
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.sandbox.pool import PoolUnavailable
from caseapp.core.settings import ROOT
from caseapp.domain.users.queries import list_users

if TYPE_CHECKING:
    from flask import Flask

# A running task (one mail, a hundred sheets, one sweep) is short; whatever takes longer is put off and done again.
WORKER_STOP_SECONDS = 30
WILDCARD_ADDRESSES = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


class Server(BaseApplication):  # type: ignore[misc]
    """Be gunicorn around our app, without files of settings."""

    def __init__(self, app: Flask, options: dict[str, Any]) -> None:
        """Take the app and gunicorn's own options."""
        self.application = app
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its options."""
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Give gunicorn the app."""
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
    help="More than one costs SQLite 40 % of its throughput.",
)
@click.option(
    "--reload", is_flag=True, help="For development: start again whenever a file changes."
)
@click.pass_obj
def serve(
    context: CommandContext, host: str, port: int, processes: int, threads: int, *, reload: bool
) -> None:
    """Serve the pages, the portal and the API; the worker runs beside them."""
    if context.environ.get("CASEAPP_ENV") == "demo":
        # Links in the demo's mail lead to wherever it is served; browsers keep its cookies only from this machine.
        here = "127.0.0.1" if host in WILDCARD_ADDRESSES else host
        context.environ.setdefault("CASEAPP_BASE_URL", f"http://{here}:{port}")
    with context.open() as app:
        lines = _prepare(context)
        _start_sandboxes()
        if reload and not is_running_from_reloader():
            # This process only watches the files; the one that it starts serves.
            _announce(context, host, port, lines)
            _serve_and_reload(app, host, port)
            return
        child = subprocess.Popen(
            [sys.executable, "-m", "caseapp", "worker", "--with-parent"],
            stdin=subprocess.PIPE,
            env=context.environ,
            # Ctrl-C goes to the whole group; the worker shall hear of it from us, once.
            start_new_session=True,
        )
        # Nothing that is open may be shared by two processes: children open their own.
        db.session.remove()
        db.engine.dispose()
        app.extensions["queue"].storage.close()

    def announce(_server: object) -> None:
        _announce(context, host, port, lines)

    def close_worker_pipe(_server: object, _worker: object) -> None:
        _close_pipe(child)

    def end_worker(_server: object) -> None:
        _close_pipe(child)
        try:
            child.wait(WORKER_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print_error_lines(["The worker is still at a task and ends by itself."])

    if reload:
        _serve_and_reload(app, host, port)
        end_worker(None)
        return
    Server(
        app,
        {
            "bind": f"{host}:{port}",
            "workers": processes,
            "threads": threads,
            "preload_app": True,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": announce,
            "post_fork": close_worker_pipe,
            "on_exit": end_worker,
        },
    ).run()


def _announce(context: CommandContext, host: str, port: int, lines: list[str]) -> None:
    click.echo(f"\nOpen {context.settings.base_url} (listening on {host}:{port}; Ctrl-C ends it)")
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
    """Make sure that there is a database; in the demo also that there are people in it."""
    if context.settings.demo:
        set_up_demo(context)
        if not list_users():
            click.echo("Filling the demo practice; this takes a moment, and only the first time …")
            return list(fill_demo(context))
        return list_sign_ins(context)
    with db.engine.connect() as connection:
        if not migrate.is_current(connection):
            raise RuleBroken(
                Reason("not_set_up", "The database is not at this version.", "Run: caseapp init")
            )
    return list_sign_ins(context)


def _start_sandboxes() -> None:
    try:
        pdf.start_pool()
    except RuleBroken as fault:
        print_error_lines([f"{reason.message} {reason.way_out}" for reason in fault.reasons])
    try:
        pdf_forms.start_pool()
    except PoolUnavailable as fault:
        print_error_lines([f"PDFs that clients send back cannot be read on this machine: {fault}."])


def _close_pipe(child: subprocess.Popen[bytes]) -> None:
    """Let go of the worker: it ends when nobody holds the other end of its input any more."""
    if child.stdin is not None:
        child.stdin.close()


@click.command()
@click.option("--with-parent", is_flag=True, hidden=True)
@click.pass_obj
def worker(context: CommandContext, *, with_parent: bool) -> None:
    """Do what was put off: mail, and sheets for many. SIGTERM lets a running task finish."""
    consumer = context.app.extensions["queue"].create_consumer(
        workers=1, max_delay=1, graceful_signal="TERM"
    )
    if with_parent:
        threading.Thread(target=_wait_for_parent, args=(consumer.stop_flag,), daemon=True).start()
    consumer.run()
    consumer.stop(graceful=True)


def _wait_for_parent(stop: threading.Event) -> None:
    """Stop once the input ends, which happens however the parent ended."""
    sys.stdin.buffer.read()
    stop.set()
