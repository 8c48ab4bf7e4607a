"""The demo's letterbox: mail that would have been sent, since the demo has no mail server."""

from __future__ import annotations

import email
from dataclasses import dataclass
from email import policy
from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from caseapp.core import settings
from caseapp.core.errors import NotFound
from caseapp.core.mail import kept_mail
from caseapp.http.guard import public

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from flask.typing import ResponseReturnValue

MOST_SHOWN = 25
blueprint = Blueprint("demo_mail", __name__)


@dataclass(frozen=True)
class KeptLetter:
    """Show one mail that was kept."""

    to: str
    subject: str
    at: datetime
    lines: tuple[str, ...]


@blueprint.get("/demo/mail")
@public("demo only: everybody in the demo is made up, and outside it there is nothing here")
def letters() -> ResponseReturnValue:
    """Show the newest mails of the demo."""
    if not settings.active().demo:
        raise NotFound
    files = sorted(kept_mail().glob("*.eml"), reverse=True)[:MOST_SHOWN]
    return render_template("demo/mail.html", letters=[_read(file) for file in files])


def _read(file: Path) -> KeptLetter:
    found = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    return KeptLetter(
        to=str(found["To"]),
        subject=str(found["Subject"]),
        at=found["Date"].datetime,
        lines=tuple(found.get_content().strip().splitlines()),
    )
