"""The worker: a queue of tasks, and beside it a thread that passes on alerts whatever the queue is doing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING

import click
import structlog

from caseapp.cli.context import CommandContext, print_error_lines
from caseapp.core import heartbeat, outbox
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import ALERT_STEP, enqueue_waiting_alerts
from caseapp.domain.audit.checkpoints import write_checkpoint
from caseapp.domain.audit.start import refuse_unsafe_start
from caseapp.domain.clients.operations import enqueue_comparison
from caseapp.domain.dashboard.weekly_mail import enqueue_board_mails

if TYPE_CHECKING:
    from flask import Flask

# How often alerts are looked at, in seconds.
TICK_SECONDS = 5
# How often an alert that has reached nobody is tried again, in seconds.
RETRY_SECONDS = 15 * 60
# A worker whose alerts have stood still for so many seconds ends itself, so that it is restarted.
HANG_SECONDS = 300
# How often the ends of the log are written down outside the database, in seconds.
CHECKPOINT_SECONDS = 60
# A worker that dies again at once is restarted at most this often.
RESTART_SECONDS = 5
# A task (one mail, a hundred assignments, one sweep) is short; one that takes longer is retried later.
STOP_SECONDS = 30

log = structlog.get_logger()


class DueWorkTimer(threading.Thread):
    """A thread that takes the due steps of alerts, enqueues other work that is due, and says that it is alive.

    It has its own thread because one email to a server that doesn't answer may take longer than a step may wait.
    """

    def __init__(self, app: Flask, stop: threading.Event) -> None:
        """Take the application and the event that ends the thread."""
        super().__init__(name="alerts", daemon=True)
        self.app, self.stop = app, stop
        self.last_turn = monotonic()
        self.next_retry = monotonic()

    def run(self) -> None:
        """Look at once and then every few seconds, until the worker stops."""
        while True:
            self.do_due_work()
            if self.stop.wait(TICK_SECONDS):
                return

    def do_due_work(self) -> None:
        """Do what is due and beat; an error is logged, and the heartbeat stays away."""
        try:
            with self.app.app_context():
                if monotonic() >= self.next_retry:
                    with transaction():
                        enqueue_waiting_alerts()
                        enqueue_board_mails()
                        enqueue_comparison()
                    self.next_retry = monotonic() + RETRY_SECONDS
                outbox.sweep(kind=ALERT_STEP)
                heartbeat.beat()
        except Exception as fault:  # noqa: BLE001 - the next turn tries again
            log.error("alerts.failed", fault=type(fault).__name__)  # noqa: TRY400 - a trace may quote a person
        self.last_turn = monotonic()

    @property
    def hangs(self) -> bool:
        """Whether a turn has taken so long that it will not end."""
        return monotonic() - self.last_turn > HANG_SECONDS


class CheckpointTimer(threading.Thread):
    """A thread that writes down the ends of the log, and once more when the worker stops."""

    def __init__(self, app: Flask, stop: threading.Event) -> None:
        """Take the application and the event that ends the thread."""
        super().__init__(name="checkpoints", daemon=True)
        self.app, self.stop = app, stop

    def run(self) -> None:
        """Write at once and then every minute, and at the end."""
        stopped = False
        while True:
            try:
                with self.app.app_context():
                    write_checkpoint()
            except Exception as fault:  # noqa: BLE001 - the next turn tries again
                log.error("audit.checkpoint_failed", fault=type(fault).__name__)  # noqa: TRY400
            if stopped:
                return
            stopped = self.stop.wait(CHECKPOINT_SECONDS)


@click.command()
@click.option("--with-parent", is_flag=True, hidden=True)
@click.pass_obj
def worker(context: CommandContext, *, with_parent: bool) -> None:
    """Run background tasks: alerts, mail and bulk assignments. SIGTERM lets a running task finish."""
    with context.app.app_context():
        refuse_unsafe_start()
    consumer = context.app.extensions["queue"].create_consumer(
        workers=1, max_delay=1, graceful_signal="TERM"
    )
    if with_parent:
        threading.Thread(target=_wait_for_parent, args=(consumer.stop_flag,), daemon=True).start()
    timer = DueWorkTimer(context.app, consumer.stop_flag)
    timer.start()
    checkpoints = CheckpointTimer(context.app, consumer.stop_flag)
    checkpoints.start()
    threading.Thread(target=_end_if_hanging, args=(timer,), daemon=True).start()
    consumer.run()
    consumer.stop(graceful=True)
    checkpoints.join(STOP_SECONDS)


def _wait_for_parent(stop: threading.Event) -> None:
    """Stop when standard input ends, which happens however the parent process ended."""
    sys.stdin.buffer.read()
    stop.set()


def _end_if_hanging(timer: DueWorkTimer) -> None:
    """End the process when alerts stand still; whoever started it starts it again."""
    while not timer.stop.wait(TICK_SECONDS):
        if timer.hangs:
            log.error("worker.hangs")
            os._exit(1)


class WorkerProcess:
    """The worker as a child process of `caseapp serve`, which restarts it when it has ended."""

    def __init__(self, environ: dict[str, str]) -> None:
        """Start the worker."""
        self.environ = environ
        self.is_stopping = False
        self._start()

    def _start(self) -> None:
        self.started = monotonic()
        self.child = subprocess.Popen(
            [sys.executable, "-m", "caseapp", "worker", "--with-parent"],
            stdin=subprocess.PIPE,
            env=self.environ,
            # Ctrl-C reaches the whole process group; the worker must be stopped only once, by us.
            start_new_session=True,
        )

    def ensure_running(self) -> None:
        """Start the worker again if it has ended, at most every few seconds."""
        if self.is_stopping or self.child.poll() is None:
            return
        if monotonic() - self.started > RESTART_SECONDS:
            log.warning("worker.restarted")
            self.close_pipe()
            self._start()

    def close_pipe(self) -> None:
        """Close this end of the worker's input; the worker stops when all ends are closed."""
        if self.child.stdin is not None:
            self.child.stdin.close()

    def end(self) -> None:
        """Let the worker finish its task and end."""
        self.is_stopping = True
        self.close_pipe()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print_error_lines(["The worker will stop when it finishes its current task."])
