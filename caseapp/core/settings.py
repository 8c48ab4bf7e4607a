"""Settings: one declaration each, read whole from the environment, checked before anything starts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "CASEAPP_"
KEY_BYTES = 32

Environment = Literal["production", "demo", "test"]
LogFormat = Literal["json", "text"]


class BadSettings(Exception):
    """Name every setting that is wrong or missing, one line each."""


@dataclass(frozen=True)
class Settings:
    """Hold what the operator decided; nothing else in the house reads the environment."""

    env: Environment
    data_dir: Path
    database_url: str
    base_url: str
    secret_key: bytes = field(repr=False)
    vault_key: bytes = field(repr=False)
    smtp_url: str | None = field(repr=False)
    mail_from: str
    trusted_proxies: int
    log_format: LogFormat

    @property
    def demo(self) -> bool:
        """Tell whether this is the demo practice, which says so on every page."""
        return self.env == "demo"


EXPLAINED = {
    "ENV": "production, demo or test (default: production)",
    "DATA_DIR": "folder for the embedded database, fonts and mail (default: var/ beside the program)",
    "DATABASE_URL": "SQLAlchemy address (default: SQLite in DATA_DIR)",
    "BASE_URL": "address that people type; it stands in mail and cards (required in production)",
    "SECRET_KEY_FILE": "file with 32 or more random bytes that sign forms (required in production)",
    "VAULT_KEY_FILE": "file with 32 random bytes that open the vault (required in production)",
    "SMTP_URL": "smtp://user:password@host:587 or smtps://… (mail stays in DATA_DIR/mail without it)",
    "MAIL_FROM": "sender of every mail (default: no-reply at the host of BASE_URL)",
    "TRUSTED_PROXIES": "number of proxies in front whose X-Forwarded-For is believed (default: 0)",
    "LOG_FORMAT": "json or text (default: json in production, else text)",
}


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Read all settings from `environ`.

    Raises BadSettings with one line for each setting that is wrong or missing.
    """
    faults: list[str] = []

    def read(name: str, default: str = "") -> str:
        return environ.get(PREFIX + name, "").strip() or default

    unknown = sorted(
        name
        for name in environ
        if name.startswith(PREFIX)
        and name.removeprefix(PREFIX) not in {*EXPLAINED, "DEMO_PASSWORD", "DEMO_PIN"}
    )
    faults += [f"{name}: there is no such setting" for name in unknown]

    env = read("ENV", "production")
    if env not in {"production", "demo", "test"}:
        faults.append(f"{PREFIX}ENV: must be production, demo or test, not {env!r}")
    log_format = read("LOG_FORMAT", "json" if env == "production" else "text")
    if log_format not in {"json", "text"}:
        faults.append(f"{PREFIX}LOG_FORMAT: must be json or text, not {log_format!r}")
    proxies = read("TRUSTED_PROXIES", "0")
    if not proxies.isdigit():
        faults.append(f"{PREFIX}TRUSTED_PROXIES: must be a whole number")
    base_url = read("BASE_URL", "" if env == "production" else "http://127.0.0.1:8000").rstrip("/")
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        faults.append(f"{PREFIX}BASE_URL: must be the full address that people type")
    elif env == "production" and parts.scheme != "https":
        faults.append(f"{PREFIX}BASE_URL: must begin with https:// in production")
    smtp_url = read("SMTP_URL") or None
    if smtp_url and urlsplit(smtp_url).scheme not in {"smtp", "smtps"}:
        faults.append(f"{PREFIX}SMTP_URL: must begin with smtp:// or smtps://")
    if env == "production" and not smtp_url:
        faults.append(f"{PREFIX}SMTP_URL: is required in production")

    data_dir = Path(read("DATA_DIR", str(ROOT / "var"))).resolve()
    keys = {}
    for name, default in (("SECRET_KEY_FILE", "secret.key"), ("VAULT_KEY_FILE", "vault.key")):
        path = read(name)
        if not path and env == "production":
            faults.append(f"{PREFIX}{name}: is required in production")
            continue
        try:
            keys[name] = _key(Path(path) if path else data_dir / default, make=not path)
        except (OSError, ValueError) as fault:
            faults.append(f"{PREFIX}{name}: {fault}")
    if faults:
        raise BadSettings("\n".join(faults))
    return Settings(
        env=cast("Environment", env),
        data_dir=data_dir,
        database_url=read("DATABASE_URL", f"sqlite:///{data_dir / 'caseapp.db'}"),
        base_url=base_url,
        secret_key=keys["SECRET_KEY_FILE"],
        vault_key=keys["VAULT_KEY_FILE"],
        smtp_url=smtp_url,
        mail_from=read("MAIL_FROM", f"no-reply@{parts.hostname}"),
        trusted_proxies=int(proxies),
        log_format=cast("LogFormat", log_format),
    )


def _key(path: Path, *, make: bool) -> bytes:
    """Read a key file that only its owner may read; outside production it is made when missing."""
    if make and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        path.write_bytes(secrets.token_bytes(KEY_BYTES))
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others; set its mode to 0600")
    key = path.read_bytes()
    if len(key) < KEY_BYTES:
        raise ValueError(f"{path} must hold at least {KEY_BYTES} random bytes")
    return key


_active: list[Settings] = []


def use(settings: Settings) -> None:
    """Make these the settings of the process; called once by the factory."""
    _active[:] = [settings]


def active() -> Settings:
    """Give the settings of the process.

    Raises RuntimeError before the factory has run.
    """
    if not _active:
        raise RuntimeError("No settings yet: make the app first.")
    return _active[0]
