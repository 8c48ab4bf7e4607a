"""The application served from real processes, which a test can kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

from caseapp.core.settings import ROOT
from tests.support.loopback import own_port
from tests.support.patience import PATIENCE
from tests.support.temporary import share_fonts


class Served:
    """A server on one port, over a test's own database; it can be killed and started again."""

    def __init__(self, database_url, settings, folder, port):
        """Remember what to serve; nothing is started yet."""
        self.port, self.folder, self.process = port, folder, None
        share_fonts(folder)
        kept = {name: text for name, text in os.environ.items() if not name.startswith("CASEAPP_")}
        self.environ = kept | {
            "CASEAPP_ENV": "test",
            "CASEAPP_DATA_DIR": str(folder),
            "CASEAPP_DATABASE_URL": database_url.render_as_string(hide_password=False),
            "CASEAPP_VAULT_KEY_FILE": str(settings.data_dir / "vault.key"),
        }

    def start(self):
        """Start the server and wait until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    sys.executable,
                    "-m",
                    "caseapp",
                    "serve",
                    "--port",
                    str(self.port),
                    "--processes",
                    "2",
                ],
                cwd=ROOT,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                text=True,
            )
        told = any(line.startswith("Open ") for line in self.process.stdout)
        assert told, "the server did not start"

    def kill(self):
        """Kill every process of the server at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@contextmanager
def serving(database_url, settings, folder):
    """Serve within the block, on a port of its own."""
    with own_port() as port:
        served = Served(database_url, settings, folder, port)
        served.start()
        try:
            yield served
        finally:
            served.kill()
