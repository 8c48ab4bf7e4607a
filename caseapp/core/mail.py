"""Mail leaves here and nowhere else: plain text, one recipient, no client's name, no remote content."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from caseapp.core import settings
from caseapp.core.clock import now
from caseapp.core.ids import new_id

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class Letter:
    """Hold one mail: an address, a neutral subject, a plain body."""

    to: str
    subject: str
    body: str


def deliver(letter: Letter) -> None:
    """Send through the operator's server, or keep the mail under the data directory when there is none.

    Raises OSError or smtplib.SMTPException when the server did not take it.
    """
    if any(sign in letter.to + letter.subject for sign in "\r\n"):
        raise ValueError("A mail header cannot hold a line break.")
    message = EmailMessage()
    message["To"] = letter.to
    message["From"] = settings.active().mail_from
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(now())
    message["Message-ID"] = f"<{new_id()}@{urlsplit(settings.active().base_url).hostname}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.body)
    address = settings.active().smtp_url
    if address:
        _send(address, message)
    else:
        folder = kept_mail()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{new_id()}.eml").write_bytes(message.as_bytes())


def kept_mail() -> Path:
    """Give the folder where mail is kept when there is no server."""
    return settings.active().data_dir / "mail"


def _send(address: str, message: EmailMessage) -> None:
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
        server.send_message(message)
