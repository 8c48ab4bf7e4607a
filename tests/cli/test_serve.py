"""The server and its worker as real processes, ended in every way that they can be ended."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.support.loopback import MailServer, own_port

ROUNDS = int(os.environ.get("ROUNDS", "1"))
LONGEST = 60
ORDER_A_MAIL = """
import os
from caseapp.domain.auth.portal_access import invite
from caseapp.domain.clients.schemas import SafeContact
from caseapp.core.settings import load_settings
from caseapp.core.transaction import transaction
from caseapp.factory import create_app
from tests.support import builders as build, staff as people

with create_app(load_settings(os.environ)).app_context():
    coach = people.add("coach")
    ines = build.client(coach, email="ines@example.test", safe=SafeContact(("email", "portal")))
    with transaction():
        invite(coach, ines)
"""

SWEEP_A_LITTLE_LATER = """
import os
from caseapp.core import clock, outbox
from caseapp.core.settings import load_settings
from caseapp.factory import create_app

with create_app(load_settings(os.environ)).app_context():
    with clock.at(clock.now() + outbox.CLAIM_PERIOD):
        assert outbox.sweep() == 1
"""

MAKE_A_CASE = """
import os
from caseapp.core.settings import load_settings
from caseapp.core.transaction import transaction
from caseapp.factory import create_app
from caseapp.domain.auth.operations import make_token
from tests.support import builders as build, staff as people

with create_app(load_settings(os.environ)).app_context():
    coach = people.add("coach")
    made = build.case(coach)
    build.draft(coach, made.case_id)
    with transaction():
        print(make_token(coach.id, "test")[1], made.case_id)
"""


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def worker_of(pid):
    [found] = [c for c in children(pid) if b"worker" in Path(f"/proc/{c}/cmdline").read_bytes()]
    return found


@contextmanager
def watched(pid):
    """Give a way to wait for a process's end, whosever child it is."""
    handle = os.pidfd_open(pid)

    def has_ended(within=LONGEST):
        return bool(select.select([handle], [], [], within)[0])

    yield has_ended
    os.close(handle)


@contextmanager
def serving(home, *arguments, **environ):
    """Serve on a port of its own until the block ends; give the process and its address."""
    with (
        own_port() as port,
        home.start("serve", *arguments, PORT=str(port), **environ) as process,
    ):
        try:
            said = ""
            while "listening on" not in said:
                line = process.stdout.readline()
                assert line, process.stderr.read()
                said += line
            yield process, f"http://127.0.0.1:{port}", said
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def practice(home, sqlite_template):
    """Give a home whose database has been set up already."""
    home.data.mkdir()
    shutil.copy(sqlite_template, home.data / "caseapp.db")
    return home


@pytest.mark.process
def test_nothing_is_served_without_a_database(home):
    with own_port() as port:
        code, _, err = home.run("serve", PORT=str(port))
    assert code == 1
    assert err == "The database is not at this version. Run: caseapp init\n"


@pytest.mark.process
def test_it_serves_and_ends_with_its_worker(practice):
    with serving(practice, "--processes", "1") as (server, address, said):
        assert "Nobody can sign in yet." in server.stdout.readline() + said
        with urlopen(f"{address}/readyz") as answer:  # noqa: S310 - our own address
            assert answer.status == 200
        with watched(worker_of(server.pid)) as worker_ended:
            server.send_signal(signal.SIGTERM)
            assert server.wait(LONGEST) == 0
            assert worker_ended()


def supervisor_pid(pid):
    mark = b"caseapp.core.pdf\0"
    [found] = [c for c in children(pid) if mark in Path(f"/proc/{c}/cmdline").read_bytes()]
    return found


class Asking(threading.Thread):
    """Ask the API in a thread, and keep what was heard."""

    def __init__(self, address, token, path):
        """Begin at once."""
        super().__init__(daemon=True)
        self.request = Request(  # noqa: S310 - our own address
            f"{address}/api/v1{path}", headers={"Authorization": f"Bearer {token}"}
        )
        self.status, self.headers, self.body = 0, {}, b""
        self.start()

    def run(self):
        try:
            answer = urlopen(self.request, timeout=LONGEST)  # noqa: S310
        except HTTPError as refused:
            answer = refused
        with answer:
            self.status, self.headers, self.body = answer.status, answer.headers, answer.read()


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)


@pytest.mark.fault
@pytest.mark.parametrize("harm", ["killed", "stopped", "a hand stopped"])
def test_renderers_that_fail_harm_nothing_else_and_come_back(practice, harm):
    token, case = practice.python(MAKE_A_CASE).split()

    def ask(address, path):
        asking = Asking(address, token, path)
        asking.join(LONGEST)
        return asking.status, asking.headers, asking.body

    with serving(practice, "--processes", "1") as (server, address, _):
        assert ask(address, "/handouts/better-nights/pdf")[2].startswith(b"%PDF")
        supervisor = supervisor_pid(server.pid)
        with watched(supervisor) as has_ended:
            if harm == "killed":
                os.kill(supervisor, signal.SIGKILL)
            else:
                stop(supervisor if harm == "stopped" else children(supervisor)[0])
            for path in (f"/cases/{case}", f"/cases/{case}/notes", "/handouts/better-nights/pdf"):
                assert ask(address, path)[0] == 200
            # Whoever asks it for something finds out that it stands still, and ends it.
            assert has_ended(0 if harm != "killed" else LONGEST) == (harm == "killed")
            status, headers, body = ask(address, "/handouts/keep-the-day-running/pdf")
            if status == 503:
                assert headers["Retry-After"] == "60"
                status, headers, body = ask(address, "/handouts/keep-the-day-running/pdf")
            assert (status, body[:4]) == (200, b"%PDF")
            assert has_ended()
        assert server.poll() is None


class StandingStill(threading.Thread):
    """Stop every supervisor of a server as soon as it is there, until told to let them go on."""

    def __init__(self, server):
        """Begin at once."""
        super().__init__(daemon=True)
        self.server, self.over, self.found = server, threading.Event(), set()
        self.start()

    def run(self):
        while not self.over.wait(0.01):
            for pid in self.foremen():
                if pid not in self.found:
                    self.found.add(pid)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)

    def foremen(self):
        """Look among the children of the server and of its processes."""
        for pid in (*children(self.server), *(c for p in children(self.server) for c in kin(p))):
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"caseapp.core.pdf" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield pid

    def end(self):
        self.over.set()
        self.join()
        for pid in self.found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def kin(pid):
    with suppress(FileNotFoundError, ProcessLookupError):
        return children(pid)
    return []


@pytest.mark.fault
def test_renderers_that_stand_still_hold_one_process_and_the_other_serves(practice):
    """Each supervisor is stopped while it starts, so that whoever asks for a PDF waits for all that time."""
    token, case = practice.python(MAKE_A_CASE).split()
    with serving(practice, "--processes", "2") as (server, address, _):
        stop(supervisor_pid(server.pid))
        still = StandingStill(server.pid)
        asked = {
            name: Asking(address, token, f"/handouts/{name}/pdf")
            for name in ("better-nights", "keep-the-day-running")
        }
        answered: set[str] = set()
        while not answered:
            answered = {name for name, asking in asked.items() if not asking.is_alive()}
            still.over.wait(0.01)
        [sent_away], [waiting] = answered, set(asked) - answered
        assert asked[sent_away].status == 503
        assert asked[sent_away].headers["Retry-After"] == "60"
        # The other one still waits, and everything else is done before it hears anything.
        for path in (f"/cases/{case}", f"/cases/{case}/notes", "/cases"):
            page = Asking(address, token, path)
            page.join(LONGEST)
            assert page.status == 200
        assert asked[waiting].is_alive()
        still.end()
        asked[waiting].join(LONGEST)
        for name in asked:
            again = Asking(address, token, f"/handouts/{name}/pdf")
            again.join(LONGEST)
            assert (again.status, again.body[:4]) == (200, b"%PDF")


@pytest.mark.fault
def test_a_killed_server_leaves_no_worker_behind(practice):
    for _ in range(ROUNDS):
        with serving(practice) as (server, address, _):
            urlopen(f"{address}/livez").close()  # noqa: S310
            with watched(worker_of(server.pid)) as worker_ended:
                server.kill()
                assert worker_ended()


class Slow:
    """Take a mail in only once somebody says so."""

    def __init__(self):
        """Begin with nothing taken."""
        self.address = ""
        self.arrived, self.go_on, self.taken = threading.Event(), threading.Event(), []

    async def handle_DATA(self, server, _session, envelope):  # noqa: N802 - aiosmtpd's own name
        self.arrived.set()
        await server.loop.run_in_executor(None, self.go_on.wait)
        self.taken.append(envelope.rcpt_tos)
        return "250 OK"


@pytest.fixture
def slow():
    found = Slow()
    server = MailServer(found)
    server.start()
    found.address = server.url
    yield found
    found.go_on.set()
    server.stop()


def sent(home):
    """Tell whether the one mail that was ordered counts as sent."""
    records = sqlite3.connect(home.data / "caseapp.db")
    [(done_at,)] = records.execute("SELECT done_at FROM outbox").fetchall()
    records.close()
    return done_at is not None


@pytest.mark.process
def test_a_worker_that_is_told_to_end_finishes_its_task(practice, slow):
    practice.python(ORDER_A_MAIL)
    with practice.start("worker", CASEAPP_SMTP_URL=slow.address) as worker:
        assert slow.arrived.wait(LONGEST), worker.kill()
        worker.send_signal(signal.SIGTERM)
        slow.go_on.set()
        assert worker.wait(LONGEST) == 0
    assert slow.taken == [["ines@example.test"]]
    assert sent(practice)


@pytest.mark.fault
def test_a_mail_that_was_being_sent_when_the_worker_was_killed_is_sent_again(practice, slow):
    practice.python(ORDER_A_MAIL)
    with practice.start("worker", CASEAPP_SMTP_URL=slow.address) as worker:
        assert slow.arrived.wait(LONGEST), worker.kill()
        worker.kill()
    assert not sent(practice)
    slow.go_on.set()
    practice.python(SWEEP_A_LITTLE_LATER, CASEAPP_SMTP_URL=slow.address)
    assert sent(practice)
    assert ["ines@example.test"] in slow.taken


@pytest.mark.process
def test_a_demo_whose_first_filling_was_killed_is_not_served_by_half(home):
    with home.start("serve", CASEAPP_ENV="demo") as process:
        begun, patience = home.data / "demo.filling", threading.Event()
        for _ in range(LONGEST * 20):
            if begun.exists():
                break
            patience.wait(0.05)
        process.kill()
    code, _, told = home.run("serve", CASEAPP_ENV="demo")
    assert code == 1
    assert "was interrupted" in told
