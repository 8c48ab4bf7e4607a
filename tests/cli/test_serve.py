"""The server and its worker as real processes, ended in different ways."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from caseapp.cli import serve
from caseapp.core import pdf, uploads
from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.permissions import SCOPES
from caseapp.core.transaction import transaction
from caseapp.domain.auth.operations import create_token
from tests.core.sandboxes import make_pool
from tests.support import builders, staff
from tests.support.loopback import MailServer, own_port
from tests.support.patience import PATIENCE
from tests.support.processes import children, stop, watched
from tests.support.temporary import share_fonts

ROUNDS = int(os.environ.get("ROUNDS", "1"))
ENQUEUE_MAIL = """
import os
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.core.settings import load_settings
from caseapp.core.transaction import transaction
from caseapp.factory import create_app
from tests.support import builders, staff

with create_app(load_settings(os.environ)).app_context():
    coach = staff.add("coach")
    ines = builders.client(coach, email="ines@example.test", safe=SafeContact(("email", "portal")))
    with transaction():
        invite_client(coach, lock_client(coach, ines))
"""

SWEEP_LATER = """
import os
from caseapp.core import clock, outbox
from caseapp.core.settings import load_settings
from caseapp.factory import create_app

with create_app(load_settings(os.environ)).app_context():
    with clock.at(clock.now() + outbox.CLAIM_PERIOD):
        assert outbox.sweep() == 1
"""

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><include>/etc/fonts/fonts.conf</include></fontconfig>
"""


def worker_pid(pid):
    [found] = [c for c in children(pid) if b"\0worker\0" in Path(f"/proc/{c}/cmdline").read_bytes()]
    return found


@contextmanager
def serving(installation, *arguments, **environ):
    """Serve on a reserved port within the block; yield the process, its address and its output so far."""
    with (
        own_port() as port,
        installation.start("serve", *arguments, PORT=str(port), **environ) as process,
    ):
        try:
            output = ""
            while "listening on" not in output:
                line = process.stdout.readline()
                assert line, process.stderr.read()
                output += line
            yield process, f"http://127.0.0.1:{port}", output
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def practice(installation, data_dir, templates):
    """Return an installation with a database."""
    installation.data_dir.mkdir()
    templates.copy("sqlite", "practice", str(installation.data_dir / "caseapp.db"))
    shutil.copy(data_dir / "vault.key", installation.data_dir)
    return installation


# The installation gets a copy of the database's file.
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def coached(app, practice):
    """Let the practice have a coach with a case and a draft; return a token of theirs, and the case's id."""
    coach = staff.add("coach")
    case_id = builders.case(coach).case_id
    builders.draft(coach, case_id)
    with transaction():
        token = create_token(operator(), "coach@practice.test", "test", SCOPES)[1]
    db.session.remove()
    share_fonts(practice.data_dir)
    # The file is whole when nobody has it open any more.
    db.engine.dispose()
    shutil.copy(db.engine.url.database, practice.data_dir / "caseapp.db")
    return token, case_id


@pytest.mark.process
@pytest.mark.parametrize("command", ["serve", "worker", "check"])
def test_command_with_another_vault_key_fails_and_names_the_missing_one(practice, command):
    (practice.data_dir / "vault.key").write_bytes(os.urandom(32))
    with own_port() as port:
        code, out, err = practice.run(command, PORT=str(port))
    assert code == 1
    assert "Traceback" not in out + err
    assert re.match(r"The vault key [0-9a-f]{16} is not listed\.", err)
    assert "Add the file of that key to CASEAPP_VAULT_KEY_FILE" in err


@pytest.mark.process
def test_serve_without_a_database_fails(installation):
    with own_port() as port:
        code, _, err = installation.run("serve", PORT=str(port))
    assert code == 1
    assert err == "The database schema is out of date. Run: caseapp init\n"


def is_ready(address):
    try:
        with urlopen(f"{address}/readyz") as answer:  # noqa: S310 - our own address
            return answer.status == 200
    except HTTPError:
        return False


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def find_worker(server):
    try:
        return worker_pid(server.pid)
    except (ValueError, FileNotFoundError, ProcessLookupError):
        return None


@pytest.mark.fault
def test_serve_answers_restarts_a_killed_worker_and_ends_with_it(practice):
    with serving(practice, "--processes", "1") as (server, address, output):
        assert "Nobody can sign in yet." in server.stdout.readline() + output
        with urlopen(f"{address}/livez") as answer:  # noqa: S310 - our own address
            assert answer.status == 200
        wait_until(lambda: is_ready(address))
        open_to_others = [
            path for path in practice.data_dir.rglob("*") if path.stat().st_mode & 0o077
        ]
        assert open_to_others == []
        first = find_worker(server)
        assert first
        with watched(first) as has_ended:
            # Nobody restarts the worker before the test has looked.
            stop(server.pid)
            os.kill(first, signal.SIGKILL)
            assert has_ended()
        (practice.data_dir / "worker.heartbeat").unlink()
        assert not is_ready(address)
        server.send_signal(signal.SIGCONT)
        wait_until(lambda: find_worker(server) not in {None, first} and is_ready(address))
        with watched(find_worker(server)) as worker_ended:
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 0
            assert worker_ended()


@pytest.mark.process
@pytest.mark.parametrize("fault", ["OSError", "ImportError"])
def test_serve_starts_without_workers_and_says_so(session_app, monkeypatch, capsys, fault):
    for module in (pdf, uploads):
        monkeypatch.setattr(module, "_pool", make_pool(fault))
    serve._start_sandboxes()  # noqa: SLF001 - what follows would serve until it is stopped
    said = capsys.readouterr().err
    assert ("Pango is missing" if fault == "OSError" else "did not start") in said
    assert "Uploaded worksheets and images cannot be read" in said


def is_pdf_server(pid):
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"caseapp.core.sandbox.server" in command and b'"caseapp.core.pdf"' in command


def list_pdf_servers(server):
    """List the PDF servers that the server started, or one of its processes where it could not."""
    own = children(server.pid)
    later = [child for pid in own if not is_pdf_server(pid) for child in children(pid)]
    return [pid for pid in (*own, *later) if is_pdf_server(pid)]


class ApiRequest(threading.Thread):
    """A GET request to the API in a thread of its own, with its response."""

    def __init__(self, address, token, path):
        """Start at once."""
        super().__init__(daemon=True)
        self.request = Request(  # noqa: S310 - our own address
            f"{address}/api/v1{path}", headers={"Authorization": f"Bearer {token}"}
        )
        self.status, self.headers, self.body = 0, {}, b""
        self.start()

    def run(self):
        try:
            answer = urlopen(self.request, timeout=PATIENCE)  # noqa: S310
        except HTTPError as refused:
            answer = refused
        with answer:
            self.status, self.headers, self.body = answer.status, answer.headers, answer.read()


def get_pdf(address, token, name):
    """Get a handout, again where the answer is to come back later; return whether it came."""
    while True:
        request = ApiRequest(address, token, f"/handouts/{name}/pdf")
        request.join(PATIENCE)
        if request.status != 503:
            return (request.status, request.body[:4]) == (200, b"%PDF")
        assert request.headers["Retry-After"] == "60"


# How a PDF process fails, and the next handout that nobody has asked for yet.
FAILURES = (
    ("killed", "keep-the-day-running"),
    ("stopped", "first-days-pause"),
    ("worker stopped", "my-limits"),
)


@pytest.mark.fault
@ON_SQLITE
def test_failed_pdf_processes_affect_nothing_else_and_are_restarted(practice, coached):
    token, case = coached
    with serving(practice, "--processes", "1") as (server, address, _):

        def get(path):
            request = ApiRequest(address, token, path)
            request.join(PATIENCE)
            return request

        assert get_pdf(address, token, "better-nights")
        for failure, handout in FAILURES:
            [pdf_server] = list_pdf_servers(server)
            failing = children(pdf_server)[0] if failure == "worker stopped" else pdf_server
            with watched(failing) as has_ended:
                if failure == "killed":
                    os.kill(failing, signal.SIGKILL)
                else:
                    stop(failing)
                for path in (
                    f"/cases/{case}",
                    f"/cases/{case}/notes",
                    "/handouts/better-nights/pdf",
                ):
                    assert get(path).status == 200, failure
                if failure == "stopped":
                    # Only the next PDF request notices it and kills it.
                    assert not has_ended(0)
                assert get_pdf(address, token, handout), failure
                assert has_ended(), failure
            assert server.poll() is None


@contextmanager
def hanging_starts(fonts, server):
    """Stop the PDF server, and let every new one wait for the list of fonts; at the end they are killed."""
    for pid in list_pdf_servers(server):
        stop(pid)
    kept = fonts.rename(fonts.with_suffix(".kept"))
    os.mkfifo(fonts)
    # Opened for both, it waits for nobody, and keeps whoever reads it waiting.
    held = os.open(fonts, os.O_RDWR)
    yield
    kept.replace(fonts)
    for pid in list_pdf_servers(server):
        os.kill(pid, signal.SIGKILL)
    os.close(held)


@pytest.mark.fault
@ON_SQLITE
def test_hanging_pdf_servers_block_only_one_server_process(practice, coached, tmp_path):
    """Let each PDF server hang while it starts, so that a PDF request waits for the whole time."""
    token, case = coached
    fonts = tmp_path / "fonts.conf"
    fonts.write_text(FONTS)
    with serving(practice, "--processes", "2", FONTCONFIG_FILE=str(fonts)) as (server, address, _):
        with hanging_starts(fonts, server):
            requests = {
                name: ApiRequest(address, token, f"/handouts/{name}/pdf")
                for name in ("better-nights", "keep-the-day-running")
            }
            answered: set[str] = set()
            while not answered:
                time.sleep(0.01)
                answered = {name for name, request in requests.items() if not request.is_alive()}
            [refused], [waiting] = answered, set(requests) - answered
            assert requests[refused].status == 503
            assert requests[refused].headers["Retry-After"] == "60"
            # The other one is still waiting, and everything else is answered before it.
            for path in (f"/cases/{case}", f"/cases/{case}/notes", "/cases"):
                page = ApiRequest(address, token, path)
                page.join(PATIENCE)
                assert page.status == 200
            assert requests[waiting].is_alive()
        requests[waiting].join(PATIENCE)
        assert all(get_pdf(address, token, name) for name in requests)


@pytest.mark.fault
def test_worker_ends_when_the_server_is_killed(practice):
    share_fonts(practice.data_dir)
    for _ in range(ROUNDS):
        with serving(practice) as (server, address, _):
            urlopen(f"{address}/livez").close()  # noqa: S310
            with watched(worker_pid(server.pid)) as worker_ended:
                server.kill()
                assert worker_ended()


class BlockingMailHandler:
    """A mail server handler that accepts a mail only after an event is set."""

    def __init__(self):
        """Start without mails."""
        self.address = ""
        self.arrived, self.proceed, self.received = threading.Event(), threading.Event(), []

    async def handle_DATA(self, server, _session, envelope):  # noqa: N802 - aiosmtpd's own name
        self.arrived.set()
        await server.loop.run_in_executor(None, self.proceed.wait)
        self.received.append(envelope.rcpt_tos)
        return "250 OK"


@pytest.fixture
def mail_handler():
    found = BlockingMailHandler()
    server = MailServer(found)
    server.start()
    found.address = server.url
    yield found
    found.proceed.set()
    server.stop()


def is_delivered(installation):
    """Return whether the only outbox row is marked as delivered."""
    database = sqlite3.connect(installation.data_dir / "caseapp.db")
    [(delivered_at,)] = database.execute("SELECT delivered_at FROM outbox").fetchall()
    database.close()
    return delivered_at is not None


@pytest.mark.process
def test_worker_finishes_its_task_on_sigterm(practice, mail_handler):
    practice.python(ENQUEUE_MAIL)
    with practice.start("worker", CASEAPP_SMTP_URL=mail_handler.address) as worker:
        assert mail_handler.arrived.wait(PATIENCE), worker.kill()
        worker.send_signal(signal.SIGTERM)
        mail_handler.proceed.set()
        assert worker.wait(PATIENCE) == 0
    assert mail_handler.received == [["ines@example.test"]]
    assert is_delivered(practice)


@pytest.mark.fault
def test_mail_is_sent_again_after_the_worker_was_killed(practice, mail_handler):
    practice.python(ENQUEUE_MAIL)
    with practice.start("worker", CASEAPP_SMTP_URL=mail_handler.address) as worker:
        assert mail_handler.arrived.wait(PATIENCE), worker.kill()
        worker.kill()
    assert not is_delivered(practice)
    mail_handler.proceed.set()
    practice.python(SWEEP_LATER, CASEAPP_SMTP_URL=mail_handler.address)
    assert is_delivered(practice)
    assert ["ines@example.test"] in mail_handler.received


@pytest.mark.process
def test_demo_is_not_served_after_its_creation_was_killed(installation):
    with installation.start("serve", CASEAPP_ENV="demo") as process:
        marker = installation.data_dir / "demo.filling"
        while not marker.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    code, _, error = installation.run("serve", CASEAPP_ENV="demo")
    assert code == 1
    assert "was interrupted" in error
