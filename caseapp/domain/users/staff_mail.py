"""Mail to staff: neutral emails without names, in the language of whoever gets them."""

from __future__ import annotations

import sqlalchemy as sa

from caseapp.core import mail
from caseapp.core.database import db
from caseapp.core.i18n import in_language
from caseapp.core.templating import render_text
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.users.models import User


def send_staff_mail(address: str | None, template: str, values: dict[str, object]) -> bool:
    """Send an email to a member of staff, or nothing without an address; return whether it was sent.

    It is in the language that its reader has chosen, and otherwise, as at an address that they no longer have, in the
    practice's. This is the only function that sends mail to staff; its texts name no client and no reason.
    """
    own = db.session.scalar(sa.select(User.language).where(User.email == address))
    language = own or get_practice().language
    db.session.rollback()
    if address is None:
        return False
    with in_language(language):
        subject, _, body = render_text(f"emails/{template}.txt", values).partition("\n\n")
    mail.send(mail.MailMessage(address, subject.removeprefix("Subject: "), body))
    return True
