"""Outgoing mail: plain text to one recipient, without client names or remote content."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from caseapp.core import settings
from caseapp.core.clock import now
from caseapp.core.email_addresses import address_for_mail
from caseapp.core.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class MailMessage:
    """An email with one recipient, a neutral subject and a plain-text body."""

    to: str
    subject: str
    body: str


def send(mail: MailMessage) -> None:
    """Send through the operator's server, or store the mail in the data directory if there is none.

    Raises OSError or smtplib.SMTPException when the server did not accept it, and ValueError unless there is exactly
    one address and no line break in a header.
    """
    if any(char in mail.to + mail.subject for char in "\r\n"):
        raise ValueError("A mail header cannot contain a line break.")
    message = EmailMessage()
    message["To"] = Address(addr_spec=address_for_mail(mail.to))
    message["From"] = settings.active().mail_from
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(now())
    message["Message-ID"] = f"<{new_id()}@{urlsplit(settings.active().portal_base).hostname}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    address = settings.active().smtp_url
    if address:
        _send(address, message)
    else:
        folder = mail_folder()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{new_id()}.eml").write_bytes(message.as_bytes())


def mail_folder() -> Path:
    """Return the folder where mail is stored when there is no server."""
    return settings.active().data_dir / "mail"


def check_connection() -> None:
    """Connect and sign in to the operator's server without sending anything; do nothing without a server.

    Raises OSError or smtplib.SMTPException when the server cannot be used.
    """
    address = settings.active().smtp_url
    if address:
        with _connected(address) as server:
            server.noop()


def _send(address: str, message: EmailMessage) -> None:
    with _connected(address) as server:
        server.send_message(message)


@contextmanager
def _connected(address: str) -> Iterator[smtplib.SMTP]:
    parts = urlsplit(address)
    host = parts.hostname or "localhost"
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, parts.port or 465, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT_SECONDS)
    with server:
        server.ehlo_or_helo_if_needed()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        yield server
