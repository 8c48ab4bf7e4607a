"""A signed-in member of staff who reads pages and submits their forms, as a browser would."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import uuid4

import sqlalchemy as sa
from lxml import html

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.http.form_keys import FormKey, seal_form_key
from caseapp.http.form_merge import Base
from caseapp.http.interfaces import Interface
from caseapp.http.sessions import COOKIES

PASSING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r'|(?<=name="csrf_token" value=")[^"]+|(?<=name="idempotency_key" value=")[^"]+|(?<=name="form_key" value=")[^"]+'
    r"|\b\d\d:\d\d(:\d\d)?\b"
)


def lasting(page):
    """Remove what differs between any two visits: ids, tokens, form keys, the time of day.

    A short word that must not be on a page could otherwise stand there by chance, in one visit of many thousands.
    """
    return PASSING.sub("·", page)


@dataclass
class SentForm:
    """A form on a page: its target and what it would send unchanged."""

    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)


def _read_form(form, path):
    sent = SentForm(form.get("action") or path, form.get("method", "get"))
    for element in form.iter("input", "select", "textarea"):
        name, kind = element.get("name"), element.tag
        if name is None:
            continue
        if kind == "textarea":
            sent.fields[name] = [element.text or ""]
        elif kind == "select":
            options = [*element.iter("option")]
            chosen = [option for option in options if "selected" in option.attrib] or options
            sent.fields[name] = [chosen[0].get("value") or ""]
        elif element.get("type") not in {"checkbox", "radio"} or "checked" in element.attrib:
            sent.fields.setdefault(name, []).append(element.get("value") or "")
    return sent


def read_forms(text, path):
    """Read all forms of a page: what each would send unchanged."""
    own = urlsplit(path).path
    return [_read_form(form, own) for form in html.document_fromstring(text).iter("form")]


def forms_in(text, path, action=None):
    """Find the forms on a page that post to `action`, or to the page itself."""
    wanted, forms = action or urlsplit(path).path, read_forms(text, path)
    found = [form for form in forms if form.method == "post" and form.action == wanted]
    assert found, f"{path} has no form for {wanted}: {[form.action for form in forms]}"
    return found


class StaffBrowser:
    """The browser of one member of staff."""

    def __init__(self, app, actor):
        """Begin with a session, as signing in with the password makes it."""
        self.actor = actor
        self.browser = app.test_client()
        db.session.remove()
        with transaction():
            token = begin_session("staff", actor.id, method="password")
        self.browser.set_cookie(COOKIES[Interface.STAFF], token, domain="localhost", secure=True)

    def get(self, path):
        """Read a page."""
        return self.browser.get(path)

    def text(self, path, status=200):
        """Read a page's source, which must answer with `status`."""
        answer = self.browser.get(path)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_data(as_text=True)

    def form(self, path, action=None):
        """Find the first form on a page that posts to `action`, or to the page itself."""
        return forms_in(self.text(path), path, action)[0]

    @property
    def token(self):
        """Give the hidden token alone, for forms that no page shows to this person."""
        return {"csrf_token": self.form("/help/keys", "/sign-out").fields["csrf_token"]}

    def key_for(self, action, base=None):
        """Give the hidden key of a form that no page shows to this person, as their own page would make it."""
        base = base or Base.of({})
        key = FormKey(uuid4(), self.actor.id, None, action, action, now(), base)
        return {"form_key": seal_form_key(key)}

    def post(self, path, fields):
        """Send fields to an address as they are."""
        return self.browser.post(path, data=fields)

    def send(self, path, action=None, **changes):
        """Read a page, change some fields of its form and send it; None leaves a field out."""
        form = self.form(path, action)
        fields = form.fields | changes
        return self.post(
            form.action, {name: value for name, value in fields.items() if value is not None}
        )


class Statements:
    """Count the SQL statements of a block, but for transaction control."""

    def __enter__(self):
        """Begin to listen."""
        self.seen = []
        sa.event.listen(db.engine, "before_cursor_execute", self._hear)
        return self

    def _hear(self, _connection, _cursor, statement, *_rest):
        if not statement.startswith(("BEGIN", "COMMIT", "PRAGMA")):
            self.seen.append(statement)

    def __exit__(self, *_fault):
        """Stop listening."""
        sa.event.remove(db.engine, "before_cursor_execute", self._hear)
