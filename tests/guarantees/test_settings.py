"""Every wrong setting names itself, on one line, before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields

import pytest

from caseapp.core.sandbox.pool import PASSED_ENVIRONMENT
from caseapp.core.settings import PREFIX, ROOT, SETTING_DESCRIPTIONS, Provider, Settings

WRONG = {
    "ENV": "staging",
    "BASE_URL": "desk.example.org",
    "PORTAL_URL": "reader.example.net",
    "SMTP_URL": "https://mail.example.org",
    "TRUSTED_PROXIES": "some",
    "SCAN_COMMAND": "no-such-program -",
    "LOG_FORMAT": "xml",
    "OPENID_ISSUER": "id.example.org",
    "OPENID_CLIENT_ID": "",
    "OPENID_CLIENT_SECRET_FILE": "/nowhere/openid",
    "SECRET_KEY_FILE": "/nowhere/secret",
    "VAULT_KEY_FILE": "/nowhere/vault",
}


def console(folder, *arguments, **chosen):
    """Run the console script with nothing set but what is given."""
    environ = {"PATH": os.environ["PATH"], f"{PREFIX}DATA_DIR": str(folder / "data")}
    environ |= {PREFIX + name: value for name, value in chosen.items()}
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "caseapp", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.process
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_all_wrong_settings_are_reported_at_once(tmp_path, command):
    done = console(tmp_path, command, **WRONG, COLOUR="green")
    assert done.returncode == 2
    assert done.stdout == ""
    told = done.stderr.splitlines()
    assert sorted(line.partition(":")[0] for line in told) == sorted(
        PREFIX + name for name in [*WRONG, "COLOUR"]
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.process
def test_production_requires_explicit_settings(tmp_path):
    done = console(tmp_path, "init")
    assert done.returncode == 2
    required = ("BASE_URL", "SMTP_URL", "SECRET_KEY_FILE", "TRUSTED_PROXIES", "VAULT_KEY_FILE")
    assert {line.partition(":")[0] for line in done.stderr.splitlines()} == {
        f"{PREFIX}{name}" for name in required
    }


def test_every_setting_is_declared_and_explained_once():
    own = {field.name for field in fields(Settings)} - {"provider"}
    of_provider = {f"openid_{field.name}" for field in fields(Provider)}
    declared = {name.upper().removesuffix("S") for name in own | of_provider}
    described = {name.removesuffix("_FILE").removesuffix("S") for name in SETTING_DESCRIPTIONS}
    assert described == declared


def test_only_settings_read_the_environment():
    # The console script and wsgi.py pass the environment on; the worker gets it from the server. The supervisor of the
    # sandbox is given where libraries and fonts lie, and none of our settings.
    reading = {
        path.relative_to(ROOT).as_posix()
        for path in [*(ROOT / "caseapp").rglob("*.py"), ROOT / "wsgi.py"]
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    }
    assert reading == {"caseapp/__main__.py", "caseapp/core/sandbox/pool.py", "wsgi.py"}


def test_sandbox_workers_get_no_settings():
    assert not [name for name in PASSED_ENVIRONMENT if name.startswith(PREFIX)]
