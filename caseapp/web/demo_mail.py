"""The demo's mailbox: mail that would have been sent, since the demo has no mail server."""

from __future__ import annotations

import email
from dataclasses import dataclass
from email import policy
from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from caseapp.core import settings, urls
from caseapp.core.errors import NotFound
from caseapp.core.mail import mail_folder
from caseapp.http.guard import public

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from flask.typing import ResponseReturnValue

MAX_SHOWN = 25
blueprint = Blueprint("demo_mail", __name__)


@dataclass(frozen=True)
class StoredMail:
    """A stored mail."""

    to: str
    subject: str
    sent_at: datetime
    lines: tuple[str, ...]


@blueprint.get("/demo/mail")
@public("demo only, where everybody is fictional; elsewhere it is 404")
def mail_list() -> ResponseReturnValue:
    """List the demo's newest mails."""
    if not settings.active().demo:
        raise NotFound
    files = sorted(mail_folder().glob("*.eml"), reverse=True)[:MAX_SHOWN]
    return render_template(
        "demo/mail.html",
        mails=[_read(file) for file in files],
        portal_url=urls.portal_url(),
    )


def _read(file: Path) -> StoredMail:
    found = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    return StoredMail(
        to=str(found["To"]),
        subject=str(found["Subject"]),
        sent_at=found["Date"].datetime,
        lines=tuple(found.get_content().strip().splitlines()),
    )
