"""gunicorn servers on loopback for the measurements."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caseapp.core.settings import ROOT
from tests.bench.http_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STARTUP_SECONDS = 60
POLL_SECONDS = 0.05


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(
    target: str,
    environ: Mapping[str, str],
    processes: int = 1,
    threads: int = 1,
    kind: str = "gthread",
) -> Iterator[int]:
    """Serve `module:app` within the block and yield the port.

    The worker class `gthread` keeps connections alive even with one thread; `sync` does not.
    """
    port = free_port()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("CASEAPP_")}
    command = [
        *(sys.executable, "-m", "gunicorn", target, "--bind", f"127.0.0.1:{port}"),
        *("--workers", str(processes), "--worker-class", kind),
        *(("--threads", str(threads)) if kind == "gthread" else ()),
        *("--keep-alive", "120", "--log-level", "info", "--no-control-socket"),
    ]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(  # noqa: S603 - our own program
            command, cwd=ROOT, env=plain | dict(environ), stdout=log, stderr=log
        )
        try:
            _wait(server, port)
            yield port
        finally:
            server.terminate()
            server.wait()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server answers."""
    for _ in range(int(STARTUP_SECONDS / POLL_SECONDS)):
        if server.poll() is not None:
            break
        try:
            HttpClient(port).prepare("GET", "/livez", Connection="close")()
        except OSError:
            time.sleep(POLL_SECONDS)
        else:
            return
    raise RuntimeError("The server did not start.")
