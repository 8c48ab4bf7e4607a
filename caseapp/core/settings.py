"""Settings, read from the environment and checked before the application starts."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from caseapp.core import key_files, runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "CASEAPP_"
LOOPBACK = "127.0.0.1"

Environment = Literal["production", "demo", "test"]
LogFormat = Literal["json", "text"]


class InvalidSettings(Exception):
    """Wrong or missing settings, one line for each."""


@dataclass(frozen=True)
class Provider:
    """An OpenID provider at which staff can sign in.

    `name` is what people call it. `factor_values` are the values of the claims `amr` and `acr` that show a second
    factor.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str
    factor_values: frozenset[str]


@dataclass(frozen=True)
class Settings:
    """The operator's settings; nothing else in the application reads the environment."""

    env: Environment
    data_dir: Path
    checkpoint_dir: Path
    database_url: str
    base_url: str
    secret_key: bytes = field(repr=False)
    vault_keys: tuple[bytes, ...] = field(repr=False)
    smtp_url: str | None = field(repr=False)
    mail_from: str
    trusted_proxies: int
    log_format: LogFormat
    scan_command: tuple[str, ...] = ()
    portal_url: str | None = None
    provider: Provider | None = None
    token_requests: int = 0
    owner_database_url: str | None = field(default=None, repr=False)

    @property
    def portal_base(self) -> str:
        """Return the address under which clients find the portal: its own, or that of the site."""
        return self.portal_url or self.base_url

    @cached_property
    def portal_host(self) -> str | None:
        """Return the host of the portal where it has one of its own, as a browser names it, else None."""
        host = get_host(self.portal_base)
        return None if host == self.staff_host else host

    @cached_property
    def staff_host(self) -> str:
        """Return the host of the staff pages and the API, as a browser names it."""
        return get_host(self.base_url)

    @property
    def demo(self) -> bool:
        """Return whether this is the demo practice, which is labelled on every page."""
        return self.env == "demo"


def get_host(url: str) -> str:
    """Return an address's host as a browser names it: in small letters, with a port unless it is the usual one."""
    parts = urlsplit(url.lower())
    return parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")


SETTING_DESCRIPTIONS = {
    "ENV": "production, demo or test (default: production)",
    "DATA_DIR": "folder for the SQLite database, fonts and mail (default: var/ in the program’s folder)",
    "CHECKPOINT_DIR": "folder for the signed checkpoints of the audit log and the list of erased records, which show "
    "whether an earlier database was restored; best on another disk or machine (default: checkpoints/ in DATA_DIR)",
    "DATABASE_URL": "SQLAlchemy database URL (default: SQLite in DATA_DIR)",
    "OWNER_DATABASE_URL": "address of the same PostgreSQL database for the owner of its tables, used by init and "
    "database roles only (default: DATABASE_URL for everything)",
    "BASE_URL": "address of the staff pages and the API (required in production)",
    "PORTAL_URL": "address of the clients’ portal on a host name of its own, as used in emails and on cards "
    "(default: BASE_URL)",
    "SECRET_KEY_FILE": "file with 32 or more random bytes that sign forms (required in production)",
    "VAULT_KEY_FILE": "file with 32 random bytes that encrypt client data (required in production); several "
    "files are separated by colons: all of them decrypt, the first one encrypts",
    "SMTP_URL": "smtp://user:password@host:587 or smtps://… (without it mail is stored in DATA_DIR/mail)",
    "MAIL_FROM": "sender of every email (default: no-reply at the host of PORTAL_URL)",
    "TRUSTED_PROXIES": "number of reverse proxies in front whose X-Forwarded-For is trusted, 0 without one "
    "(required in production, elsewhere 0)",
    "SCAN_COMMAND": "program that reads each uploaded file from standard input; exit code 0 accepts it (default: none)",
    "OPENID_ISSUER": "address of the OpenID provider at which staff can sign in, as it names itself (default: none)",
    "OPENID_CLIENT_ID": "the client ID that the provider gave this program (required with OPENID_ISSUER)",
    "OPENID_CLIENT_SECRET_FILE": "file with the secret that the provider has issued (required with OPENID_ISSUER)",
    "OPENID_NAME": "name of the provider on pages (default: its host name)",
    "OPENID_FACTOR_VALUES": "values of the claims amr and acr, separated by spaces, with which the provider says that "
    "somebody has shown a second factor (default: none)",
    "TOKEN_REQUESTS": "requests that an API token may send in a minute to each process, 0 for no limit "
    "(default: 600, in tests 0)",
    "LOG_FORMAT": "json or text (default: json in production, else text)",
}


@dataclass
class _Reader:
    """A reader of single settings that collects all errors, so that the operator sees them at once."""

    environ: Mapping[str, str]
    faults: list[str] = field(default_factory=list)

    def fault(self, name: str, words: str) -> None:
        self.faults.append(f"{PREFIX}{name}: {words}")

    def text(self, name: str, default: str = "") -> str:
        return self.environ.get(PREFIX + name, "").strip() or default

    def refuse_unknown(self) -> None:
        known = {*SETTING_DESCRIPTIONS, "DEMO_PASSWORD", "DEMO_PIN", "OPERATOR"}
        ours = sorted(name.removeprefix(PREFIX) for name in self.environ if name.startswith(PREFIX))
        for name in ours:
            if name not in known:
                self.fault(name, "unknown setting")

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        found = self.text(name, default)
        if found not in allowed:
            words = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
            self.fault(name, f"must be {words}, not {found!r}")
        return found

    def whole_number(self, name: str, default: str = "0") -> int:
        found = self.text(name, default)
        if not (found.isascii() and found.isdigit()):
            self.fault(name, "must be a whole number")
            return 0
        return int(found)

    def proxies(self, env: str) -> int:
        """Read how many proxies stand in front.

        With too few, strangers' failed tries count against everybody behind the proxy; with too many, a visitor can
        pretend to be at any address. So nobody may leave it to chance in production.
        """
        if env == "production" and not self.text("TRUSTED_PROXIES"):
            self.fault(
                "TRUSTED_PROXIES",
                "is required in production: the number of proxies in front, 0 when visitors connect directly",
            )
        return self.whole_number("TRUSTED_PROXIES")

    def base_url(self, env: str) -> str:
        found = self.text("BASE_URL", "" if env == "production" else "http://127.0.0.1:8000")
        return self.check_url("BASE_URL", found, env)

    def portal_url(self, env: str) -> str | None:
        found = self.text("PORTAL_URL")
        return self.check_url("PORTAL_URL", found, env) if found else None

    def check_url(self, name: str, found: str, env: str) -> str:
        parts = urlsplit(found)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            self.fault(name, "must be a full address such as https://name.example.org")
        elif env == "production" and parts.scheme != "https":
            self.fault(name, "must begin with https:// in production")
        elif parts.path.strip("/") or parts.query or parts.fragment:
            self.fault(name, "must be an address without a path")
        return found.rstrip("/")

    def provider(self, env: str) -> Provider | None:
        """Read the OpenID provider; its address may have a path, and needs TLS but for tests on this machine."""
        issuer, client_id = self.text("OPENID_ISSUER"), self.text("OPENID_CLIENT_ID")
        given = self.text("OPENID_CLIENT_SECRET_FILE")
        if not issuer:
            for name in ("CLIENT_ID", "CLIENT_SECRET_FILE", "NAME", "FACTOR_VALUES"):
                if self.text(f"OPENID_{name}"):
                    self.fault(f"OPENID_{name}", f"needs {PREFIX}OPENID_ISSUER")
            return None
        parts = urlsplit(issuer)
        own = env == "test" and parts.hostname == LOOPBACK
        if parts.scheme not in ({"https", "http"} if own else {"https"}) or not parts.hostname:
            self.fault("OPENID_ISSUER", "must be a full address that begins with https://")
        elif parts.query or parts.fragment:
            self.fault("OPENID_ISSUER", "must be an address without a query")
        if not client_id:
            self.fault("OPENID_CLIENT_ID", f"is required with {PREFIX}OPENID_ISSUER")
        return Provider(
            issuer,
            client_id,
            self.secret("OPENID_CLIENT_SECRET_FILE", given),
            self.text("OPENID_NAME", parts.hostname or ""),
            frozenset(self.text("OPENID_FACTOR_VALUES").split()),
        )

    def secret(self, name: str, given: str) -> str:
        """Read a file with a secret of one line that somebody else has made."""
        if not given:
            self.fault(name, f"is required with {PREFIX}OPENID_ISSUER")
            return ""
        try:
            found = key_files.read_private(Path(given)).decode().strip()
        except (OSError, ValueError) as fault:
            self.fault(name, str(fault))
            return ""
        if not found or not found.isprintable():
            self.fault(name, f"{given} must contain one line of text")
        return found

    def owner_database_url(self, database_url: str) -> str | None:
        """Read the address for the owner of the tables: another role of the same PostgreSQL database."""
        given = self.text("OWNER_DATABASE_URL")
        if not given:
            return None
        try:
            owner, application = make_url(given), make_url(database_url)
        except ArgumentError:
            self.fault("OWNER_DATABASE_URL", "must be a database URL, and so must DATABASE_URL")
            return None
        if {owner.get_backend_name(), application.get_backend_name()} != {"postgresql"}:
            self.fault("OWNER_DATABASE_URL", f"needs PostgreSQL, and so does {PREFIX}DATABASE_URL")
        elif not owner.username or not application.username:
            self.fault("OWNER_DATABASE_URL", f"must name a role, and so must {PREFIX}DATABASE_URL")
        elif owner.username == application.username:
            self.fault(
                "OWNER_DATABASE_URL", f"must name a different role from {PREFIX}DATABASE_URL"
            )
        elif owner.database != application.database:
            self.fault("OWNER_DATABASE_URL", f"must name the same database as {PREFIX}DATABASE_URL")
        return given

    def smtp_url(self, env: str) -> str | None:
        found = self.text("SMTP_URL") or None
        if found and urlsplit(found).scheme not in {"smtp", "smtps"}:
            self.fault("SMTP_URL", "must begin with smtp:// or smtps://")
        if not found and env == "production":
            self.fault("SMTP_URL", "is required in production")
        return found

    def command(self, name: str) -> tuple[str, ...]:
        try:
            found = tuple(shlex.split(self.text(name)))
        except ValueError as fault:
            self.fault(name, f"is not a valid command: {fault}")
            return ()
        if not found:
            return ()
        program = shutil.which(found[0])
        if program is None:
            self.fault(name, f"program not found: {found[0]!r}")
            return ()
        return (program, *found[1:])

    def keys(self, name: str, env: str, data_dir: Path, default: Path) -> tuple[bytes, ...]:
        """Read the key files of a setting; outside production the default one is created.

        Only the first key has to be a strong one: a weak one that is being replaced must still open what it wrapped.
        """
        given = self.text(name)
        if not given and env == "production":
            self.fault(name, "is required in production")
            return ()
        if not given:
            key_files.ensure(default)
        found: list[bytes] = []
        for path in map(Path, given.split(os.pathsep)) if given else [default]:
            try:
                key = key_files.read(path)
                if env == "production":
                    key_files.check_place(path, data_dir)
                if not found:
                    key_files.check_strength(path, key)
            except (OSError, ValueError) as fault:
                self.fault(name, str(fault))
                return ()
            found.append(key)
        return tuple(found)

    def check_keys(self, secret_keys: tuple[bytes, ...], vault_keys: tuple[bytes, ...]) -> None:
        if len(secret_keys) > 1:
            self.fault("SECRET_KEY_FILE", "must name one file")
        if vault_keys and len(vault_keys[0]) != key_files.KEY_BYTES:
            self.fault("VAULT_KEY_FILE", f"must contain exactly {key_files.KEY_BYTES} bytes")
        if len(set(vault_keys)) < len(vault_keys):
            self.fault("VAULT_KEY_FILE", "two of the files contain the same key")
        if set(secret_keys) & set(vault_keys):
            self.fault(
                "VAULT_KEY_FILE", f"must contain a different key from {PREFIX}SECRET_KEY_FILE"
            )


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read all settings from `environ`.

    Raises InvalidSettings with one line for each setting that is wrong or missing.
    """
    read = _Reader(environ)
    read.refuse_unknown()
    env = read.choice("ENV", "production", ("production", "demo", "test"))
    log_format = read.choice(
        "LOG_FORMAT", "json" if env == "production" else "text", ("json", "text")
    )
    data_dir = Path(read.text("DATA_DIR", str(ROOT / "var"))).resolve()
    base_url = read.base_url(env)
    portal_url = read.portal_url(env)
    smtp_url = read.smtp_url(env)
    proxies = read.proxies(env)
    secret_keys = read.keys("SECRET_KEY_FILE", env, data_dir, data_dir / "secret.key")
    vault_keys = read.keys("VAULT_KEY_FILE", env, data_dir, data_dir / "vault.key")
    read.check_keys(secret_keys, vault_keys)
    scan_command = read.command("SCAN_COMMAND")
    provider = read.provider(env)
    token_requests = read.whole_number("TOKEN_REQUESTS", "0" if env == "test" else "600")
    database_url = read.text("DATABASE_URL", f"sqlite:///{data_dir / 'caseapp.db'}")
    owner_database_url = read.owner_database_url(database_url)
    if read.faults:
        raise InvalidSettings("\n".join(read.faults))
    return Settings(
        env=cast("Environment", env),
        data_dir=data_dir,
        checkpoint_dir=Path(read.text("CHECKPOINT_DIR", str(data_dir / "checkpoints"))).resolve(),
        database_url=database_url,
        base_url=base_url,
        secret_key=secret_keys[0],
        vault_keys=vault_keys,
        smtp_url=smtp_url,
        mail_from=read.text("MAIL_FROM", f"no-reply@{urlsplit(portal_url or base_url).hostname}"),
        trusted_proxies=proxies,
        log_format=cast("LogFormat", log_format),
        scan_command=scan_command,
        portal_url=portal_url,
        provider=provider,
        token_requests=token_requests,
        owner_database_url=owner_database_url,
    )


def use(settings: Settings) -> None:
    """Replace the settings of the current application, or start with them in a program that makes none."""
    if runtime.is_set():
        runtime.current().settings = settings
    else:
        runtime.install(settings)


def active() -> Settings:
    """Return the settings of the current application.

    Raises RuntimeError before any application was made.
    """
    return runtime.current().settings
