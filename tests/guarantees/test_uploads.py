"""Uploads are limited before they are read (SEC-29); tests/core checks their content."""

from __future__ import annotations

import io
import re
import time
from itertools import product
from pathlib import Path

import pytest

from caseapp.core.pdf_forms import MAX_FILE_BYTES
from caseapp.http.security import LARGEST_BODY
from caseapp.http.uploads import OTHER_FIELDS_BYTES
from tests.guarantees import sample_data as w

MEBIBYTE = 2**20
MOST_MEMORY = 48 * MEBIBYTE
MOST_SECONDS = 60
MULTIPART = "multipart/form-data; boundary=x"


class Pipe(io.RawIOBase):
    """A body of unknown length, generated while it is read, that counts what was read."""

    def __init__(self, head, piece, times):
        """Take what comes first, and what comes so many times after it."""
        self.left, self.taken, self.head, self.piece = times, 0, head, piece

    def readable(self):
        """Say that it can be read."""
        return True

    def readinto(self, room):
        """Give the next bytes."""
        while len(self.head) < len(room) and self.left:
            many = min(self.left, 1 + (len(room) - len(self.head)) // len(self.piece))
            self.head, self.left = self.head + self.piece * many, self.left - many
        given, self.head = self.head[: len(room)], self.head[len(room) :]
        room[: len(given)] = given
        self.taken += len(given)
        return len(given)


def field(name, value):
    return b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name, value)


def begin(token):
    return field(b"csrf_token", token.encode())


FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
# Each piece is sent again and again; CVE-2023-25577 is about many parts, CVE-2023-46136 about one that begins with CR.
FLOODS = {
    "a million fields": (b"", field(b"a", b""), 1_000_000),
    "a million files": (
        b"",
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n\r\n',
        1_000_000,
    ),
    "one file of line ends": (FILE, b"\r" * 4096, 15_000),
    "one file of half boundaries": (FILE, b"\r\n--" * 1024, 15_000),
    "one field without an end": (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n',
        b"a" * 4096,
        15_000,
    ),
    "one head without an end": (b"--x\r\n", b"X-A: b\r\n" * 512, 15_000),
}


def peak():
    """Return the peak memory of this process since `forget_peak`, in bytes."""
    told = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", told)[1]) * 1024


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_oversized_body_is_refused_early(world):
    """The limit holds with and without a declared length, whatever the body."""
    targets = (
        (
            "client",
            f"/portal/h/{world.own['position']}/upload",
            MAX_FILE_BYTES + OTHER_FIELDS_BYTES,
        ),
        ("admin", "/settings/logo", LARGEST_BODY),
    )
    for (who, path, most), (name, flood) in product(targets, FLOODS.items()):
        head, piece, times = flood
        head = begin(world.csrf[who]) + head
        before, began = forget_peak(), time.process_time()
        endless = Pipe(head, piece, times)
        answer = sent(world, who, path, endless, **{"wsgi.input_terminated": True})
        assert answer.status_code == 413, (path, name)
        assert endless.taken <= most + MEBIBYTE, (path, name)
        measured = Pipe(head, piece, times)
        size = len(head) + len(piece) * times
        answer = sent(world, who, path, measured, CONTENT_LENGTH=str(size))
        assert answer.status_code == 413, (path, name)
        assert measured.taken <= MEBIBYTE, (path, name)
        assert peak() - before < MOST_MEMORY, (path, name)
        assert time.process_time() - began < MOST_SECONDS, (path, name)


def sent(world, who, path, body, **environ):
    """Send a body as a WSGI server would."""
    environ |= {"wsgi.input": body, "CONTENT_TYPE": MULTIPART}
    return world.browsers[who].post(path, environ_overrides=environ)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_only_two_forms_accept_a_file_with_a_limit(world):
    taking = {
        route.name
        for route in w.routes(world.app)
        if getattr(world.app.view_functions[route.rule.endpoint], "largest_file", 0)
    }
    forms = {
        path.as_posix().partition("templates/")[2]
        for path in Path(world.app.root_path, world.app.template_folder).rglob("*.html")
        if "multipart/form-data" in path.read_text()
    }
    assert taking == {"POST /portal/h/<int(max=9999):position>/upload"}
    # The logo fits the limit of every other form.
    assert forms == {"portal/handout.html", "settings/logo.html"}
