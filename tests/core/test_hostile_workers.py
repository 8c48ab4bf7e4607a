"""What a worker can't do when a file has taken it over, as nobody and as the owner of the program's files (SEC-32)."""

from __future__ import annotations

import ast
import os
import pickle
import shutil
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.sandbox import confinement, protocol
from caseapp.core.sandbox.protocol import ANSWER_HEADER, FAILURE, RESULT, Limits
from caseapp.core.sandbox.server import NOBODY
from caseapp.core.settings import ROOT
from tests.core.sandboxes import CODES, get_failure, make_pool, server_pid
from tests.support import temporary
from tests.support.processes import children, watched

WITHOUT_OTHER_USERS = """#!/bin/sh
exec {setpriv} --bounding-set=-setuid,-setgid -- {python} "$@"
"""


@pytest.fixture(params=["another user", "own user"])
def hostile_pool(request, monkeypatch, tmp_path):
    """Give a pool whose workers run as nobody, and one whose workers run as the user that owns all files.

    Without root both are the same; root can be kept from changing its user.
    """
    if request.param == "own user" and os.getuid() == 0:
        start = tmp_path / "python"
        start.write_text(
            WITHOUT_OTHER_USERS.format(setpriv=shutil.which("setpriv"), python=sys.executable)
        )
        start.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(start))
    with closing(make_pool()) as found:
        owner = os.getuid() if request.param == "own user" else NOBODY
        if request.param == "own user" or os.getuid() == 0:
            assert found.run(b"who").startswith(b"((%d," % owner)
        yield found


@pytest.fixture
def secret():
    """Give a key file that only its owner may read, in a folder that everybody may enter."""
    folder = temporary.folder("data-")
    folder.chmod(0o755)
    file = folder / "vault.key"
    file.write_bytes(b"k" * 32)
    file.chmod(0o600)
    return file


@pytest.mark.process
def test_this_machine_offers_every_protection():
    """Otherwise the tests below would show nothing."""
    assert confinement.list_missing() == []


def describe(file):
    found = file.stat()
    return found.st_mode, found.st_uid, found.st_gid, found.st_nlink, found.st_mtime, found.st_size


@pytest.mark.process
def test_worker_can_neither_read_nor_change_a_key_file(hostile_pool, secret):
    before = describe(secret)
    for action in ("read", "mode", "owner", "time", "cut", "delete", "put", "link"):
        # Landlock refuses a link out of its folder as one to another disk.
        refusals = {"PermissionError"} | ({"OSError"} if action == "link" else set())
        assert get_failure(hostile_pool, f"{action} {secret}".encode()) in refusals, action
        assert describe(secret) == before, action
        assert secret.read_bytes() == b"k" * 32, action
        assert hostile_pool.run(b"echo next") == b"next", action


@pytest.mark.process
def test_worker_can_read_neither_settings_nor_the_program_nor_other_processes(hostile_pool, secret):
    secret.chmod(0o644)
    server = server_pid(hostile_pool)
    for path in (
        secret,
        "/etc/hostname",
        ROOT / "pyproject.toml",
        f"/proc/{os.getpid()}/environ",
        f"/proc/{server}/environ",
        f"/proc/{server}/mem",
        "/proc/self/environ",
    ):
        assert get_failure(hostile_pool, f"read {path}".encode()) == "PermissionError", path
    for path in (secret.parent, "/", "/etc", "/tmp", ROOT, "/proc"):  # noqa: S108
        assert get_failure(hostile_pool, f"list {path}".encode()) == "PermissionError", path
    assert get_failure(hostile_pool, f"put {secret.parent / 'other'}".encode()) == "PermissionError"
    assert [*secret.parent.iterdir()] == [secret]


@pytest.mark.process
def test_worker_can_reach_no_network_and_no_socket(hostile_pool):
    """What is inside the process that makes a document can ask nobody (VULN-29)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert get_failure(hostile_pool, b"connect %d" % port) == "PermissionError"
    assert get_failure(hostile_pool, b"datagram") == "PermissionError"
    own = hostile_pool._path / protocol.SOCKET  # noqa: SLF001
    assert get_failure(hostile_pool, f"connect-unix {own}".encode()) == "PermissionError"


@pytest.mark.process
def test_worker_can_start_nothing_and_reach_no_other_process(hostile_pool):
    server = server_pid(hostile_pool)
    sibling = children(server)[0]
    for job in (
        b"fork",
        b"exec /bin/true",
        b"spawn /bin/true",
        b"survive",
        b"signal %d" % os.getpid(),
        b"signal %d" % server,
        b"limit %d" % server,
    ):
        assert get_failure(hostile_pool, job) == "PermissionError", job
    jobs = [b"signal %d" % sibling, b"limit %d" % sibling]
    for job in jobs:
        # It may be its own process.
        assert get_failure(hostile_pool, job) in {
            "PermissionError",
            "ProcessLookupError",
            "TypeError",
        }
    assert hostile_pool.run(b"thread") == b"ran"


def encode(kind, content, length=None):
    return ANSWER_HEADER.pack(kind, len(content) if length is None else length) + content


class Trap:
    """An object that makes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):  # noqa: D105
        return Path.touch, (self.file,)


BROKEN_ANSWERS = (
    (b"HTTP/1.1 200 OK\r\n\r\n", "invalid_answer"),
    (b"\0" * 5, "ended"),
    (b"\x09" * 5, "invalid_answer"),
    (encode(RESULT, b"part", 99), "ended"),
    (encode(RESULT, b"more", 2), "invalid_answer"),
    (encode(RESULT, b"x", 2**64 - 1), "invalid_answer"),
    (encode(7, b"x"), "invalid_answer"),
    (encode(FAILURE, b"word"), "word"),
    (encode(FAILURE, b"Priya was here"), "other"),
    (encode(FAILURE, b"\xff\n\x1b[31m"), "other"),
    (encode(FAILURE, b""), "other"),
    (b"\x1b" + b"x" * 99, "time"),
)


@pytest.mark.process
def test_answer_that_breaks_the_protocol_is_refused(single_worker_pool):
    for answer, code in BROKEN_ANSWERS:
        job = b"send %s 1 exit" % answer.hex().encode()
        assert get_failure(single_worker_pool, job) == code, answer
        assert single_worker_pool.run(b"echo next") == b"next", answer


@pytest.mark.process
def test_pickled_answer_is_bytes_and_runs_nothing(single_worker_pool, tmp_path):
    trap = pickle.dumps(Trap(tmp_path / "made"))
    framed = encode(RESULT, trap)
    assert (
        get_failure(single_worker_pool, b"send %s 1 exit" % trap.hex().encode()) == "invalid_answer"
    )
    assert single_worker_pool.run(b"send %s 1 exit" % framed.hex().encode()) == trap
    assert [*tmp_path.iterdir()] == []
    pickle.loads(trap)  # noqa: S301 - as the program must not
    assert [*tmp_path.iterdir()] == [tmp_path / "made"]


@pytest.mark.slow
def test_program_unpickles_nothing():
    """No module of the application imports what could (VULN-41)."""
    loading = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "multiprocessing"}
    found = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "caseapp").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(a.name for a in node.names)]
        if name.partition(".")[0] in loading
    ]
    assert found == []


@pytest.mark.process
def test_endless_answer_is_read_no_further_than_the_longest_one():
    with closing(make_pool(workers=1, limits=Limits(result_bytes=100_000))) as small:
        chunk = encode(RESULT, b"x" * 50_000, 100_000).hex().encode()
        assert get_failure(small, b"send %s 1000 exit" % chunk) == "invalid_answer"
        assert len(small.run(b"answer 100000")) == 100_000


@pytest.mark.process
def test_worker_that_answers_and_sleeps_is_killed(single_worker_pool):
    for answer in (b"", b"\0", encode(RESULT, b"part", 99), encode(RESULT, b"all")):
        job = b"send %s 1 sleep" % (answer.hex().encode() or b"00")
        if answer.endswith(b"all"):
            # The answer is complete when the kernel closes the connection.
            assert single_worker_pool.run(job) == b"all"
        else:
            assert get_failure(single_worker_pool, job) == "ended", answer
        assert single_worker_pool.run(b"echo next") == b"next", answer


@pytest.mark.process
def test_worker_that_stops_its_timers_is_replaced(single_worker_pool):
    with watched(int(single_worker_pool.run(b"pid"))) as has_ended:
        assert get_failure(single_worker_pool, b"sleep-without-timers") == "ended"
        assert has_ended()
    assert single_worker_pool.run(b"echo next") == b"next"


@pytest.mark.process
@pytest.mark.parametrize("taken_over", [False, True])
def test_worker_is_replaced_when_it_is_old(taken_over):
    """Whether it is idle, or was taken over and pretends to work."""
    with closing(make_pool(workers=1, limits=Limits(seconds=1, worker_seconds=2))) as short:
        server = server_pid(short)
        while not (found := children(server)):
            time.sleep(0.01)
        with watched(*found) as have_ended:
            if taken_over:
                # Nothing but the master ends it.
                assert get_failure(short, b"stay") == "ended"
            assert have_ended()
        while children(server) in ([], found):
            time.sleep(0.01)


@given(st.binary(max_size=200) | st.builds(encode, st.integers(0, 3), st.binary(max_size=50)))
def test_any_answer_is_a_known_code_or_exactly_one_framed_result(message):
    code, result = protocol.decode_answer(message, CODES, 40)
    known = {"", "ended", "invalid_answer", "other", *CODES, *protocol.OWN_LIMITS}
    assert code in known or issubclass(getattr(__import__("builtins"), code), BaseException)
    assert (code == "") == (message == encode(RESULT, result) and len(result) <= 40)
    assert not (code and result)
